//! The people, numbers and times of the cases, and short ways to bring a store into a state.

use chrono::{DateTime, TimeDelta, Utc};
use sms_proxy::{
    domain::{
        Barred, Content, Kind, MessageId, NewSession, Number, Outbound, Participant, Role, Session,
        SessionId, Text,
    },
    store::{
        AddTn, AnswerLimits, AnswersSeen, EndCause, Leased, Message, OpenSession, Opt, Page, Record,
        Recorded, RestsOn, Route, Settlement, State, Store,
    },
};
use std::{
    future::Future,
    sync::{Arc, LazyLock},
};
use tokio::sync::Barrier;

pub type Shared = Arc<dyn Store>;

/// The smallest step of time that a store keeps apart.
pub const MS: TimeDelta = TimeDelta::milliseconds(1);

/// So many seconds after the beginning of the story, which is the same for all cases. It is about now, since a
/// backend may let its database forget by the real clock.
pub fn at(seconds: i64) -> DateTime<Utc> {
    static BEGINNING: LazyLock<DateTime<Utc>> = LazyLock::new(|| {
        DateTime::from_timestamp_millis(Utc::now().timestamp_millis()).expect("now is in range")
    });
    *BEGINNING + TimeDelta::seconds(seconds)
}

/// The n-th number of the pool.
pub fn tn(n: u64) -> Number {
    Number::try_from(12_060_000_000 + n).expect("valid")
}

/// The n-th of the numbers by which the DynamoDB backend tells how large its pool is, one in 97.
pub fn counted(n: u64) -> Number {
    tn(10_000 + 97 * n)
}

/// The n-th person.
pub fn person(n: u64) -> Number {
    Number::try_from(13_000_000_000 + n).expect("valid")
}

pub fn alice() -> Number {
    person(1)
}

pub fn bob() -> Number {
    person(2)
}

pub fn eve() -> Number {
    person(3)
}

/// Puts the first `count` numbers into the pool.
pub async fn fill_pool(store: &Shared, count: u64) {
    for n in 1..=count {
        assert_eq!(store.add_tn(tn(n), at(0)).await.unwrap(), AddTn::Added);
    }
}

/// A session of these two that begins at `created` and ends after `window` seconds, both in seconds of the story.
pub fn new_session(people: [Number; 2], created: i64, window: Option<i64>) -> NewSession {
    let expiry = window.map(|window| at(created + window));
    NewSession::new(people, at(created), expiry, "Your session has started".into())
}

/// Opens a session, which must succeed; its start notices are leased for 30 seconds.
pub async fn opened(store: &Shared, new: NewSession) -> (Session, Vec<Leased>) {
    let lease_until = new.created_at + TimeDelta::seconds(30);
    match store.open_session(new, lease_until).await.unwrap() {
        OpenSession::Opened { session, notices } => (session, notices),
        refused => panic!("{refused:?}"),
    }
}

/// Opens a session of these two and settles its start notices as sent.
pub async fn talking(store: &Shared, people: [Number; 2], created: i64, window: Option<i64>) -> Session {
    let (session, notices) = opened(store, new_session(people, created, window)).await;
    for notice in notices {
        let provider_id = format!("start-{}", notice.outbound.id);
        assert!(store.settle(&notice, Settlement::Sent { provider_id }, at(created)).await.unwrap());
    }
    session
}

/// One TN with a session of Alice and Bob on it, whose start notices are sent.
pub async fn conversation(store: &Shared, window: Option<i64>) -> Session {
    fill_pool(store, 1).await;
    talking(store, [alice(), bob()], 0, window).await
}

/// Ends a session without notices; whether this call ended it.
pub async fn end(store: &Shared, session: SessionId, cause: EndCause, now: i64) -> bool {
    store.end_session(session, cause, Vec::new(), at(now), None).await.unwrap().is_some()
}

/// The participant of a session in this role.
pub fn side(session: &Session, role: Role) -> Participant {
    let [a, b] = session.participants;
    if role == Role::A { a } else { b }
}

/// A message of this kind to a participant.
pub fn to_side(session: &Session, kind: Kind, role: Role, created: i64) -> Outbound {
    Outbound::new(Text::in_session(session, kind, side(session, role), "hello".into()), at(created))
}

/// Alice's text on its way to Bob.
pub fn relay(session: &Session, created: i64) -> Outbound {
    to_side(session, Kind::Relay, Role::B, created)
}

/// An answer to somebody without a session.
pub fn answer(from: Number, to: Number, created: DateTime<Utc>) -> Outbound {
    let content = Content::from("no session");
    let text = Text { kind: Kind::NoSession, session: None, from, to, to_role: None, barred: None, content };
    Outbound::new(text, created)
}

/// An inbound text that causes these messages, leased for 30 seconds.
/// A sender who is in no session on a number whose newest live session was created then.
pub fn stranger(barred: Option<Barred>, in_use_since: Option<i64>) -> Route {
    Route::Stranger { barred, in_use_since: in_use_since.map(at), answers: AnswersSeen::default() }
}

pub fn inbound(id: Option<&str>, rests_on: RestsOn, outbound: Vec<Outbound>, now: i64) -> Record {
    Record {
        inbound: id.map(str::to_owned),
        at: at(now),
        outbound,
        lease_until: at(now + 30),
        rests_on,
        answers: AnswerLimits { per_hour: 1_000, per_minute: 1_000 },
        opt: None,
    }
}

/// Puts a record on record, which must be new.
pub async fn recorded(store: &Shared, record: Record) -> Vec<Leased> {
    match store.record(record).await.unwrap() {
        Recorded::New(leased) => leased,
        other => panic!("{other:?}"),
    }
}

/// Puts one message on record, leased for 30 seconds.
pub async fn sending(store: &Shared, message: Outbound, now: i64) -> Leased {
    let mut leased = recorded(store, inbound(None, RestsOn::Nothing, vec![message], now)).await;
    assert_eq!(leased.len(), 1);
    leased.remove(0)
}

/// Puts one message on record that waits and is due at `due`.
pub async fn waiting(store: &Shared, message: Outbound, now: i64, due: i64) -> Leased {
    let leased = sending(store, message, now).await;
    assert!(store.settle(&leased, not_taken(due), at(now)).await.unwrap());
    leased
}

/// Puts one message on record of which nobody knows whether the provider took it.
pub async fn uncertain(store: &Shared, message: Outbound, now: i64) -> Leased {
    let leased = sending(store, message, now).await;
    assert!(store.settle(&leased, nobody_knows(), at(now)).await.unwrap());
    leased
}

pub fn sent(provider_id: &str) -> Settlement {
    Settlement::Sent { provider_id: provider_id.into() }
}

pub fn found(provider_id: &str) -> Settlement {
    Settlement::Found { provider_id: provider_id.into() }
}

pub fn refused(opted_out: bool) -> Settlement {
    Settlement::Failed { reason: "refused".into(), opted_out }
}

pub fn not_taken(due: i64) -> Settlement {
    Settlement::Waiting { due: at(due), reason: "not taken".into() }
}

pub fn nobody_knows() -> Settlement {
    Settlement::Unknown { reason: "no answer".into() }
}

/// Puts on record that this person opts out of the TN, or in again.
pub async fn opt(store: &Shared, tn: Number, person: Number, out: bool, now: i64) {
    let opt = Some(Opt { tn, person, out });
    let record = Record { opt, ..inbound(None, RestsOn::Nothing, Vec::new(), now) };
    assert_eq!(recorded(store, record).await, []);
}

/// All messages of a session that is on record.
pub async fn messages(store: &Shared, session: SessionId) -> Vec<Message> {
    store.messages(session, Page::default(), at(1)).await.unwrap().expect("the session is on record").items
}

/// What is on record about a message of a session.
pub async fn message(store: &Shared, leased: &Leased) -> Message {
    let session = leased.outbound.text.session.expect("a message of a session");
    message_of(store, session, leased.outbound.id).await
}

pub async fn message_of(store: &Shared, session: SessionId, id: MessageId) -> Message {
    let found = messages(store, session).await.into_iter().find(|message| message.id == id);
    found.expect("the message is on record")
}

/// Where a message stands.
pub async fn state(store: &Shared, leased: &Leased) -> State {
    message(store, leased).await.state
}

/// The messages that are due, oldest first.
pub async fn due(store: &Shared, now: i64) -> Vec<MessageId> {
    store.due(100, at(now)).await.unwrap().into_iter().map(|due| due.id).collect()
}

/// The messages that are unknown, the longest tried first.
pub async fn unknown(store: &Shared) -> Vec<MessageId> {
    store.unknown(100, None).await.unwrap().into_iter().map(|unknown| unknown.leased.outbound.id).collect()
}

/// How many callers ask at once.
pub const CALLERS: usize = 8;

/// Runs all of these at the same time, each as a task of its own.
pub async fn at_once<T, F>(calls: impl IntoIterator<Item = F>) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let calls: Vec<F> = calls.into_iter().collect();
    let start = Arc::new(Barrier::new(calls.len()));
    let begin = |call| {
        let start = Arc::clone(&start);
        tokio::spawn(async move {
            start.wait().await;
            call.await
        })
    };
    let tasks: Vec<_> = calls.into_iter().map(begin).collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

/// Lets several callers ask the same at once.
pub async fn callers<T, F>(store: &Shared, call: impl Fn(Shared, usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    at_once((0..CALLERS).map(|n| call(Arc::clone(store), n))).await
}
