//! A provider that records what reaches it and answers as a test says.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sms_proxy::{
    domain::{MessageId, Outbound},
    provider::{ListError, Listed, NotTaken, Provider, SendError},
};
use std::{
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// A text that the provider took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentText {
    pub from: String,
    pub to: String,
    pub body: String,
    pub media_urls: Vec<String>,
}

/// How the provider answers a text.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It takes the text.
    Sent,
    /// It refuses it for good.
    Refused,
    /// It refuses it because the recipient has opted out.
    OptedOut,
    /// It does not accept the credentials.
    BadCredentials,
    /// It is busy.
    Busy,
    /// It takes the text and is not heard of again.
    SentUnheard,
    /// It does not take the text and is not heard of either.
    LostUnheard,
    /// It takes the text, and the sending process dies.
    SentAndDies,
    /// The sending process dies before the text leaves.
    Dies,
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

/// Takes every text, unless a test says otherwise.
#[derive(Default)]
pub struct Recorder(Mutex<State>);

impl Recorder {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while it holds this")
    }

    /// Answers each text with what `script` says from now on.
    pub fn script(&self, script: impl FnMut(&Outbound) -> Outcome + Send + 'static) {
        self.state().script = Some(Box::new(script));
    }

    /// Answers each text with this from now on.
    pub fn always(&self, outcome: Outcome) {
        self.script(move |_| outcome.clone());
    }

    /// The texts that were taken, in order.
    pub fn taken(&self) -> Vec<SentText> {
        self.state().taken.clone()
    }

    /// The texts that were taken as `(to, body)`, sorted.
    pub fn taken_by(&self) -> Vec<(String, String)> {
        let mut taken: Vec<_> = self.taken().into_iter().map(|text| (text.to, text.body)).collect();
        taken.sort();
        taken
    }

    /// The bodies of the texts that were taken, in order.
    pub fn bodies(&self) -> Vec<String> {
        self.taken().into_iter().map(|text| text.body).collect()
    }

    /// When texts were taken, in order.
    pub fn times(&self) -> Vec<Instant> {
        self.state().times.clone()
    }

    /// How many texts the provider was asked to take.
    pub fn asked(&self) -> usize {
        self.state().asked
    }

    /// Whether its list of messages can't be read.
    pub fn list_is_down(&self, down: bool) {
        self.state().list_is_down = down;
    }

    /// Its list of messages is too long to come whole if it is asked for from before then.
    pub fn list_comes_whole_from(&self, then: DateTime<Utc>) {
        self.state().list_begins = Some(then);
    }

    /// Changes its list of messages.
    pub fn edit_list(&self, edit: impl FnOnce(&mut Vec<Listed>)) {
        edit(&mut self.state().listed);
    }

    /// How often its list was asked for.
    pub fn readings(&self) -> usize {
        self.state().readings
    }

    /// Forgets what was taken and asked.
    pub fn clear(&self) {
        let mut state = self.state();
        state.taken.clear();
        state.times.clear();
        state.asked = 0;
    }
}

#[async_trait]
impl Provider for Recorder {
    async fn send(&self, message: &Outbound, _limit: Duration) -> Result<String, SendError> {
        let mut state = self.state();
        state.asked += 1;
        let outcome = state.script.as_mut().map_or(Outcome::Sent, |script| script(message));
        let id = format!("mdr2-{}", MessageId::random());
        if matches!(outcome, Outcome::Sent | Outcome::SentUnheard | Outcome::SentAndDies) {
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
                Err(SendError::Refused { status: 422, opted_out: false, detail: "as scripted".into() })
            }
            Outcome::OptedOut => {
                Err(SendError::Refused { status: 400, opted_out: true, detail: "as scripted".into() })
            }
            Outcome::BadCredentials => not_taken(NotTaken::Credentials),
            Outcome::Busy => not_taken(NotTaken::Busy),
            Outcome::Dies | Outcome::SentAndDies => panic!("the process dies, as scripted"),
            Outcome::SentUnheard | Outcome::LostUnheard => {
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
