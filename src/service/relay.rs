//! The way of a text: route, decide, record, send, settle.

use super::{Error, Result, Service, Wording, answer::Answer, sessions::on_record};
use crate::{
    domain::{Barred, Content, Inbound, Kind, MessageId, Receipt, Session, Text},
    store::{AnswersSeen, Opt, Record, Recorded, RestsOn, Route},
};
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

/// How much older than the session a text may seem, for clocks that differ.
const CLOCK_SLACK: TimeDelta = TimeDelta::seconds(5);
/// How often a text whose session changes under it is routed again.
const ROUTE_LIMIT: usize = 5;

/// What is to be done about an inbound text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    Ignore(Reason),
    /// Put it on record, and send these.
    Send {
        /// What is to be sent.
        texts: Vec<Text>,
        /// What must still be so when this is put on record.
        rests_on: RestsOn,
    },
    /// Put it on record that the sender opts out of the number, or in again. Flowroute answers such a text itself.
    Opt(Opt),
}

/// Why nothing is done about a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The number that it was sent to is not in the pool.
    NotOurTn,
    /// Its sender is a number of the pool: two proxies must never talk to each other.
    SenderIsTn,
    /// Its sender must not be answered.
    Barred(Barred),
    /// It was sent before the session on the number began, to whoever had the number then.
    OlderThanSession,
}

/// Decides what an inbound text leads to, given who its sender is to the number. Pure: no I/O, no clock, no chance.
#[must_use]
pub fn decide(route: &Route, inbound: &Inbound, wording: &Wording) -> Decision {
    let opt = opt_word(&inbound.content).map(|out| Opt { tn: inbound.to, person: inbound.from, out });
    match route {
        Route::NotOurTn => Decision::Ignore(Reason::NotOurTn),
        Route::SenderIsTn => Decision::Ignore(Reason::SenderIsTn),
        _ if let Some(opt) = opt => Decision::Opt(opt),
        Route::Stranger { barred: Some(barred), .. } => Decision::Ignore(Reason::Barred(*barred)),
        Route::Stranger { in_use_since: Some(since), .. } if is_older(inbound, *since) => {
            Decision::Ignore(Reason::OlderThanSession)
        }
        Route::Stranger { answers, .. } => answer_stranger(inbound, wording, answers.clone()),
        Route::Live(session) if is_older(inbound, session.created_at) => {
            Decision::Ignore(Reason::OlderThanSession)
        }
        Route::Live(session) => match session.sides(inbound.from) {
            Some((_, other)) => Decision::Send {
                texts: vec![Text::in_session(session, Kind::Relay, other, inbound.content.clone())],
                rests_on: RestsOn::Live(session.id),
            },
            None => answer_stranger(inbound, wording, AnswersSeen::default()),
        },
        Route::Expired(session) => Decision::Send {
            texts: wording.expired_notices(session),
            rests_on: RestsOn::Expired(session.clone()),
        },
    }
}

/// Whether a text is just the word that opts out (`true`) or in again (`false`), in any case (FLOWROUTE.md 5).
fn opt_word(content: &Content) -> Option<bool> {
    if !content.media_urls.is_empty() {
        return None;
    }
    match content.body.trim().to_ascii_uppercase().as_str() {
        "STOP" => Some(true),
        "UNSTOP" => Some(false),
        _ => None,
    }
}

fn is_older(inbound: &Inbound, created_at: DateTime<Utc>) -> bool {
    inbound.sent_at.is_some_and(|sent_at| sent_at < created_at - CLOCK_SLACK)
}

fn answer_stranger(inbound: &Inbound, wording: &Wording, answers: AnswersSeen) -> Decision {
    let answer = Text {
        kind: Kind::NoSession,
        session: None,
        from: inbound.to,
        to: inbound.from,
        to_role: None,
        barred: None,
        content: Content::from(wording.signed(&wording.no_session).as_str()),
    };
    Decision::Send { texts: vec![answer], rests_on: RestsOn::Answers(answers) }
}

impl Wording {
    /// What both participants are told when their session's time has run out; nothing, if the operator says so.
    pub(super) fn expired_notices(&self, session: &Session) -> Vec<Text> {
        if self.session_expired.is_empty() {
            return Vec::new();
        }
        session.notices(Kind::Expired, &self.signed(&self.session_expired)).into()
    }
}

impl Service {
    /// Takes a text that was sent to one of our numbers. When this returns `Ok`, whatever the text leads to is on
    /// record: nobody needs to send it again, and if somebody does, it goes out once.
    ///
    /// # Errors
    /// When the store fails: the text should be sent again.
    pub async fn receive(&self, inbound: Inbound) -> Result<()> {
        let service = self.clone();
        let deadline = self.deadline();
        self.in_time(|answer| async move { service.relay(inbound, deadline, &answer).await }).await
    }

    async fn relay(&self, inbound: Inbound, deadline: Instant, answer: &Answer<()>) -> Result<()> {
        let now = self.now();
        for _ in 0..ROUTE_LIMIT {
            let route = self.store.route(inbound.to, inbound.from, now).await?;
            let (texts, rests_on, opt) = match decide(&route, &inbound, &self.options.wording) {
                Decision::Ignore(reason) => {
                    log_ignored(&inbound, reason);
                    return Ok(());
                }
                Decision::Send { texts, rests_on } => (texts, rests_on, None),
                Decision::Opt(opt) => (Vec::new(), RestsOn::Nothing, Some(opt)),
            };
            let mut outbound = on_record(texts, now);
            if let (Some(id), Some(first)) = (&inbound.id, outbound.first_mut()) {
                first.id = MessageId::for_inbound(id);
            }
            let record = Record {
                inbound: inbound.id.clone(),
                at: now,
                outbound,
                lease_until: self.lease_until(now),
                rests_on,
                answers: self.options.answers,
                opt,
            };
            match self.store.record(record).await? {
                Recorded::New(leased) => {
                    answer.prepare(());
                    self.dispatch(leased, deadline).await;
                    return Ok(());
                }
                Recorded::Duplicate => {
                    tracing::info!("this text is on record already");
                    return Ok(());
                }
                Recorded::Stale => {}
            }
        }
        Err(Error::Contention)
    }
}

impl Service {
    /// Takes what Flowroute reports about a message of ours.
    ///
    /// # Errors
    /// When the store fails: the receipt should be sent again.
    pub async fn receive_receipt(&self, receipt: Receipt) -> Result<()> {
        let receipted = self.store.receipt(&receipt, self.now()).await?;
        let outbound = receipt.message.map(|id| id.to_string());
        tracing::info!(outbound, level = receipt.level, ?receipted, "delivery receipt");
        Ok(())
    }
}

fn log_ignored(inbound: &Inbound, reason: Reason) {
    let (from, to) = (inbound.from.masked(), inbound.to.masked());
    tracing::info!(from, to, ?reason, "nothing is sent for this text");
}
