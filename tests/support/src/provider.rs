//! A provider that records messages and answers by a script.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sms_proxy::{
    domain::{MessageId, Outbound},
    provider::{ListError, Listed, NotTaken, Provider, Quote, SendError},
};
use std::{
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// A message that the provider accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentText {
    /// The sending number.
    pub from: String,
    /// The receiving number.
    pub to: String,
    /// The text.
    pub body: String,
    /// The addresses of the pictures.
    pub media_urls: Vec<String>,
}

/// What happens to a message.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The provider accepts it.
    Sent,
    /// The provider refuses it for good.
    Refused,
    /// The provider refuses it because the recipient has opted out.
    OptedOut,
    /// The provider does not accept the credentials.
    BadCredentials,
    /// The provider is busy.
    Busy,
    /// The provider accepts it; the response is lost.
    SentNoResponse,
    /// The message is lost before it reaches the provider, and no response comes.
    LostNoResponse,
    /// The provider accepts it; the sending process crashes.
    SentThenCrash,
    /// The sending process crashes before it is sent.
    Crash,
}

type Script = Box<dyn FnMut(&Outbound) -> Outcome + Send>;

#[derive(Default)]
struct State {
    taken: Vec<SentText>,
    asked: usize,
    script: Option<Script>,
    times: Vec<Instant>,
    listed: Vec<Listed>,
    list_is_down: bool,
    list_begins: Option<DateTime<Utc>>,
    readings: usize,
}

/// Accepts every message unless a script says otherwise.
#[derive(Default)]
pub struct Recorder(Mutex<State>);

impl Recorder {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while it holds this")
    }

    /// Asks `script` what happens to each further message.
    pub fn script(&self, script: impl FnMut(&Outbound) -> Outcome + Send + 'static) {
        self.state().script = Some(Box::new(script));
    }

    /// Lets this happen to each further message.
    pub fn always(&self, outcome: Outcome) {
        self.script(move |_| outcome.clone());
    }

    /// The accepted messages, in order.
    pub fn taken(&self) -> Vec<SentText> {
        self.state().taken.clone()
    }

    /// The accepted messages as `(to, body)`, sorted.
    pub fn taken_by(&self) -> Vec<(String, String)> {
        let mut taken: Vec<_> = self.taken().into_iter().map(|text| (text.to, text.body)).collect();
        taken.sort();
        taken
    }

    /// The texts of the accepted messages, in order.
    pub fn bodies(&self) -> Vec<String> {
        self.taken().into_iter().map(|text| text.body).collect()
    }

    /// When messages were accepted, in order.
    pub fn times(&self) -> Vec<Instant> {
        self.state().times.clone()
    }

    /// How many messages the provider was asked to send.
    pub fn asked(&self) -> usize {
        self.state().asked
    }

    /// Makes the list of messages unavailable, or available again.
    pub fn list_is_down(&self, down: bool) {
        self.state().list_is_down = down;
    }

    /// Fails every further reading of the list that starts before `then`: it is too long.
    pub fn list_fails_before(&self, then: DateTime<Utc>) {
        self.state().list_begins = Some(then);
    }

    /// Edits the list of messages.
    pub fn edit_list(&self, edit: impl FnOnce(&mut Vec<Listed>)) {
        edit(&mut self.state().listed);
    }

    /// How often the list was read.
    pub fn readings(&self) -> usize {
        self.state().readings
    }

    /// Forgets which messages were accepted and asked for. The list stays.
    pub fn clear(&self) {
        let mut state = self.state();
        state.taken.clear();
        state.times.clear();
        state.asked = 0;
    }
}

#[async_trait]
impl Provider for Recorder {
    fn name(&self) -> &'static str {
        "Flowroute"
    }

    fn setting(&self) -> &'static str {
        "flowroute"
    }

    fn remedy(&self) -> &'static str {
        "check FLOWROUTE_SECRET_KEY"
    }

    async fn send(&self, message: &Outbound, _limit: Duration) -> Result<String, SendError> {
        let mut state = self.state();
        state.asked += 1;
        let outcome = state.script.as_mut().map_or(Outcome::Sent, |script| script(message));
        let id = format!("mdr2-{}", MessageId::random());
        if matches!(outcome, Outcome::Sent | Outcome::SentNoResponse | Outcome::SentThenCrash) {
            let text = &message.text;
            let body = text.content.body.clone();
            state.listed.push(Listed { id: id.clone(), from: text.from, to: text.to, body, sent_at: None });
            state.times.push(Instant::now());
            state.taken.push(SentText {
                from: text.from.digits(),
                to: text.to.digits(),
                body: text.content.body.clone(),
                media_urls: text.content.media_urls.clone(),
            });
        }
        drop(state);
        let not_taken = |cause| Err(SendError::NotTaken { cause, detail: "as scripted".into() });
        match outcome {
            Outcome::Sent => Ok(id),
            Outcome::Refused => {
                let detail = "as scripted".into();
                Err(SendError::Refused { status: 422, opted_out: false, detail, quote: Quote::default() })
            }
            Outcome::OptedOut => {
                let detail = "as scripted".into();
                Err(SendError::Refused { status: 400, opted_out: true, detail, quote: Quote::default() })
            }
            Outcome::BadCredentials => not_taken(NotTaken::Credentials),
            Outcome::Busy => not_taken(NotTaken::Busy),
            Outcome::Crash | Outcome::SentThenCrash => panic!("the process crashes, as scripted"),
            Outcome::SentNoResponse | Outcome::LostNoResponse => {
                Err(SendError::Unknown { detail: "as scripted".into() })
            }
        }
    }

    async fn list(&self, since: DateTime<Utc>, _limit: Duration) -> Result<Vec<Listed>, ListError> {
        let mut state = self.state();
        state.readings += 1;
        if state.list_is_down || state.list_begins.is_some_and(|begin| since < begin) {
            return Err(ListError::Failed("as scripted".into()));
        }
        Ok(state.listed.clone())
    }
}
