//! The steps of a random sequence, and how they are performed on a store.

use crate::contract::fixtures::{Shared, arrival, at, person, tn};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::{bool::weighted, option, prelude::*, sample::select, test_runner::TestCaseError};
use sms_proxy::{
    domain::{
        Decision, EndCause, Kind, Message, NewSession, Number, Route, Session, SessionId, Sharing, VirtualTn,
    },
    service::{Wording, relay::decide},
    store::{AddTn, OpenSession, Received, RemoveTn},
};
use std::sync::{Arc, Mutex};

pub(super) const PEOPLE: usize = 6;
pub(super) const TNS: usize = 4;
/// So many idempotency keys are used in a round.
const KEYS: usize = 6;

pub(super) fn someone(n: usize) -> Number {
    person(n as u64)
}

/// The n-th number that may be in the pool. The last one is a person's, too.
pub(super) fn line(n: usize) -> Number {
    if n + 1 == TNS { someone(PEOPLE - 1) } else { tn(n as u64) }
}

pub(super) fn lines() -> impl Iterator<Item = Number> {
    (0..TNS).map(line)
}

/// An operation, or another event. People and numbers are given by their place, sessions by how many began later.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Add(usize),
    Remove(usize),
    Drain(usize, bool),
    Open {
        pair: [usize; 2],
        on: Option<usize>,
        window: Option<i64>,
        key: Option<usize>,
    },
    End(usize, EndCause),
    EndExpired(usize),
    SetExpiry(usize, Option<i64>),
    /// A text by anybody to any number, or by a participant of this session.
    Text {
        from: usize,
        to: usize,
        session: Option<usize>,
        words: &'static str,
        age: Option<i64>,
    },
    Maximum(u32),
    Pass(i64),
}

/// A request with this idempotency key: one that the key stands for, or another.
fn with_key(key: usize, is_other: bool) -> Step {
    let mut pair = [key % PEOPLE, (key + 1 + key % 3) % PEOPLE];
    if is_other {
        pair.reverse();
    }
    let on = key.is_multiple_of(3).then_some(key % TNS);
    Step::Open { pair, on, window: [None, Some(60), Some(600)][key % 3], key: Some(key) }
}

/// Any step; the idempotency keys are those of this round.
pub(super) fn any_step(round: usize) -> impl Strategy<Value = Step> {
    let keys = KEYS * round..KEYS * (round + 1);
    let pair = (0..PEOPLE, 1..PEOPLE).prop_map(|(a, apart)| [a, (a + apart) % PEOPLE]);
    let window = option::of(select(vec![1, 30, 60, 600]));
    let causes = vec![EndCause::Deleted, EndCause::Deleted, EndCause::Expired, EndCause::RolledBack];
    let words = select(vec!["hello", "hello", "hello", "hello", "STOP", "UNSTOP"]);
    prop_oneof![
        3 => (0..TNS).prop_map(Step::Add),
        1 => (0..TNS).prop_map(Step::Remove),
        2 => (0..TNS, any::<bool>()).prop_map(|(tn, draining)| Step::Drain(tn, draining)),
        10 => (pair, option::weighted(0.3, 0..TNS), window)
            .prop_map(|(pair, on, window)| Step::Open { pair, on, window, key: None }),
        6 => (keys, weighted(0.25)).prop_map(|(key, is_other)| with_key(key, is_other)),
        5 => (0..6_usize, select(causes)).prop_map(|(n, cause)| Step::End(n, cause)),
        2 => (1..3_usize).prop_map(Step::EndExpired),
        4 => (0..6_usize, option::weighted(0.8, select(vec![0, 1, 60, 600]))).prop_map(|(n, after)| Step::SetExpiry(n, after)),
        10 => (0..PEOPLE, 0..TNS, option::weighted(0.6, 0..6_usize), words, option::of(select(vec![0, 1, 60])))
            .prop_map(|(from, to, session, words, age)| Step::Text { from, to, session, words, age }),
        1 => (1..4_u32).prop_map(Step::Maximum),
        4 => select(vec![1, 29, 30, 60, 600]).prop_map(Step::Pass),
    ]
}

pub(super) fn any_sharing() -> impl Strategy<Value = Sharing> {
    (1..4_u32, select(vec![0, 60, 600]), any::<bool>()).prop_map(|(sessions_per_tn, cool_off, strict)| {
        Sharing { sessions_per_tn, cool_off: TimeDelta::seconds(cool_off), strict }
    })
}

/// A step's outcome.
#[derive(Debug)]
pub(super) enum Outcome {
    Added(AddTn),
    Removed(RemoveTn),
    Drained(Option<VirtualTn>),
    Opened(NewSession, OpenSession),
    Ended(Option<SessionId>, bool),
    EndedExpired(Vec<Session>, Vec<(SessionId, bool)>),
    ExpirySet(Option<SessionId>, Option<DateTime<Utc>>, Option<Session>),
    /// A text by this person to this number: what was done, and the expired session that it ended.
    Received([Number; 2], Received, Option<SessionId>),
    Nothing,
}

/// Performs a step at this time; `begun` are all sessions so far.
pub(super) async fn perform(
    store: &Shared,
    step: &Step,
    sharing: Sharing,
    begun: &[Session],
    now: i64,
) -> Outcome {
    let session = |n: usize| begun.iter().rev().nth(n % begun.len().clamp(1, 6));
    let id = |n: usize| session(n).map(|session| session.id);
    let end = async |id, cause| store.end_session(id, cause, vec![], at(now), None).await.unwrap().is_some();
    match *step {
        Step::Add(n) => Outcome::Added(store.add_tn(line(n), at(now)).await.unwrap()),
        Step::Remove(n) => Outcome::Removed(store.remove_tn(line(n), at(now)).await.unwrap()),
        Step::Drain(n, on) => Outcome::Drained(store.drain_tn(line(n), on, at(now)).await.unwrap()),
        Step::Open { pair, on, window, key } => {
            let expiry = window.map(|window| at(now + window));
            let mut new = NewSession::new(pair.map(someone), at(now), expiry, "hello".into());
            (new.virtual_tn, new.sharing) = (on.map(line), sharing);
            if let Some(key) = key {
                new = new.with_key(&format!("key {key}"));
            }
            Outcome::Opened(new.clone(), store.open_session(new, at(now + 30)).await.unwrap())
        }
        Step::End(n, cause) => match id(n) {
            Some(id) => Outcome::Ended(Some(id), end(id, cause).await),
            None => Outcome::Ended(None, false),
        },
        Step::EndExpired(limit) => {
            let (expired, mut ended) = (store.expired_sessions(100, at(now)).await.unwrap(), vec![]);
            for session in expired.iter().take(limit) {
                ended.push((session.id, end(session.id, EndCause::Expired).await));
            }
            Outcome::EndedExpired(expired, ended)
        }
        Step::SetExpiry(n, after) => match id(n) {
            Some(id) => {
                let expiry = after.map(|after| at(now + after));
                Outcome::ExpirySet(Some(id), expiry, store.set_expiry(id, expiry, at(now)).await.unwrap())
            }
            None => Outcome::ExpirySet(None, None, None),
        },
        Step::Text { from: place, to, session: of, words, age } => {
            let of = of.and_then(session).map(|s| (s.participants[place % 2].number, s.tn));
            let (from, to) = of.unwrap_or((someone(place), line(to)));
            let mut arrival = arrival(None, from, to, now);
            arrival.inbound.content = words.into();
            arrival.inbound.sent_at = age.map(|age| at(now - age));
            let (inbound, wording) = (arrival.inbound.clone(), Wording::default());
            let last = Arc::new(Mutex::new(None));
            let noted = Arc::clone(&last);
            let decide = move |route: &Route| {
                let decision = decide(route, &inbound, &wording);
                *noted.lock().unwrap() = match &decision {
                    Decision::Expire(texts) => texts[0].session,
                    _ => None,
                };
                decision
            };
            let received = store.receive(arrival, Arc::new(decide)).await.unwrap();
            let ended = last.lock().unwrap().take();
            Outcome::Received([from, to], received, ended)
        }
        Step::Maximum(_) | Step::Pass(_) => Outcome::Nothing,
    }
}

pub(super) type Checked = Result<(), TestCaseError>;

/// A message: its kind, the number it comes from, who gets it, and its session.
pub(super) type Sent = (Kind, Number, Number, Option<SessionId>);

pub(super) fn sent(messages: &[Message]) -> Vec<Sent> {
    let texts = messages.iter().map(|message| &message.outbound.text);
    texts.map(|text| (text.kind, text.from, text.to, text.session)).collect()
}

/// The session without who is blocked.
pub(super) fn unblocked(session: &Session) -> Session {
    let mut session = session.clone();
    session.participants.iter_mut().for_each(|participant| participant.blocked = None);
    session
}
