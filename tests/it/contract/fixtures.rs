//! Fixtures: people, numbers, times, and helpers that bring a store into a state.

use chrono::{DateTime, TimeDelta, Utc};
use sms_proxy::{
    domain::{
        Blocked, Content, Decision, EndCause, IgnoreReason, Inbound, Kind, Message, MessageEvent, MessageId,
        NewSession, Number, OptChange, Outbound, Page, Participant, Role, Route, SenderLimit, Session,
        SessionId, Settlement, State, Text,
    },
    store::{AddTn, Arrival, OpenSession, Received, ReplyQuota, Store, StoreError},
};
use std::{
    future::Future,
    sync::{Arc, LazyLock, Mutex},
};
use tokio::sync::Barrier;

pub type Shared = Arc<dyn Store>;

/// The resolution of time in a store.
pub const MS: TimeDelta = TimeDelta::milliseconds(1);

/// The time this many seconds after the start of the test run. It is about now, because a database may delete records by
/// the real clock.
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

/// The n-th of the numbers that the DynamoDB backend samples to estimate the size of its pool, one in 97.
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

/// A session of these two that begins at `created` and ends after `window` seconds, both as in [`at`].
pub fn new_session(people: [Number; 2], created: i64, window: Option<i64>) -> NewSession {
    let expiry = window.map(|window| at(created + window));
    NewSession::new(people, at(created), expiry, "Your session has started".into())
}

/// Opens a session, which must succeed; its start notices are leased for 30 seconds.
pub async fn opened(store: &Shared, new: NewSession) -> (Session, Vec<Message>) {
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
        settled(store, &notice, sent(&format!("start-{}", notice.outbound.id)), created).await;
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
    taken(|| store.end_session(session, cause, Vec::new(), at(now), None)).await.is_some()
}

/// Calls until the store takes the call. A write that has waited for too long is refused before it is run: of many at
/// once, on a busy machine, some are, and their callers try again.
pub async fn taken<T, F>(mut call: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, StoreError>>,
{
    loop {
        match call().await {
            Err(StoreError::Unavailable(error)) if error == "too many writes are waiting" => {}
            answer => return answer.unwrap(),
        }
    }
}

/// The participant of a session in this role.
pub fn side(session: &Session, role: Role) -> Participant {
    let [a, b] = session.participants;
    if role == Role::A { a } else { b }
}

/// A text of this kind to a participant.
pub fn to_side(session: &Session, kind: Kind, role: Role) -> Text {
    Text::in_session(session, kind, side(session, role), "hello".into())
}

/// A notice of this kind to a participant, created at `created`.
pub fn notice(session: &Session, kind: Kind, role: Role, created: i64) -> Outbound {
    Outbound::new(to_side(session, kind, role), at(created))
}

/// A relay of Alice's text to Bob.
pub fn relay(session: &Session) -> Text {
    to_side(session, Kind::Relay, Role::B)
}

/// A reply to a sender without a session.
pub fn answer(from: Number, to: Number) -> Text {
    let content = Content::from("no session");
    Text { kind: Kind::NoSession, session: None, from, to, to_role: None, blocked: None, content }
}

/// The route of a sender who is in no session on a TN.
pub fn stranger(blocked: Option<Blocked>) -> Route {
    Route::Stranger { blocked }
}

/// The route of a sender who is in this session, the first on its TN for the sender.
pub fn live(session: &Session) -> Route {
    Route::Live { session: session.clone(), previous_end: None }
}

/// The same, after a session on the TN that ended then.
pub fn live_after(session: &Session, previous_end: i64) -> Route {
    Route::Live { session: session.clone(), previous_end: Some(at(previous_end)) }
}

/// A text that arrives at `now`. What it causes is leased for 30 seconds; quota and limit are ample.
pub fn arrival(id: Option<&str>, from: Number, to: Number, now: i64) -> Arrival {
    let inbound = Inbound {
        id: id.map(str::to_owned),
        from,
        to,
        content: "hello".into(),
        sent_at: None,
        media_missing: false,
    };
    let quota = ReplyQuota { per_hour: 1_000, per_minute: 1_000, per_day: 1_000 };
    let sender_limit = SenderLimit { per_minute: 1_000, per_day: 1_000 };
    Arrival { inbound, now: at(now), lease_until: at(now + 30), quota, sender_limit }
}

/// Receives a text; the decision is the same on every route.
pub async fn receive(store: &Shared, arrival: Arrival, decision: Decision) -> Received {
    store.receive(arrival, Arc::new(move |_: &Route| decision.clone())).await.unwrap()
}

/// Receives a text, which must be stored; the messages that it causes.
pub async fn accepted(store: &Shared, arrival: Arrival, decision: Decision) -> Vec<Message> {
    match receive(store, arrival, decision).await {
        Received::Stored(leased) => leased,
        other => panic!("{other:?}"),
    }
}

/// The route by which a text is decided. The text itself is ignored.
pub async fn decided_by(store: &Shared, arrival: Arrival) -> Route {
    let (seen, why) = (Arc::new(Mutex::new(None)), IgnoreReason::PreviousSession);
    let noted = Arc::clone(&seen);
    let decide = move |route: &Route| {
        *noted.lock().unwrap() = Some(route.clone());
        Decision::Ignore(why)
    };
    assert_eq!(store.receive(arrival, Arc::new(decide)).await.unwrap(), Received::Ignored(why));
    seen.lock().unwrap().take().expect("a decision was asked for")
}

/// Who this sender is to the TN.
pub async fn route(store: &Shared, tn: Number, sender: Number, now: DateTime<Utc>) -> Route {
    decided_by(store, Arrival { now, ..arrival(None, sender, tn, 0) }).await
}

/// Stores this one text, created at `created` and leased for 30 seconds.
pub async fn sending(store: &Shared, text: Text, created: i64) -> Message {
    // A reply counts for its recipient, so the recipient is the sender of the inbound text.
    let sender = if text.kind == Kind::NoSession { text.to } else { person(999_999) };
    let arrival = arrival(None, sender, text.from, created);
    let mut leased = accepted(store, arrival, Decision::Send(vec![text])).await;
    assert_eq!(leased.len(), 1);
    leased.remove(0)
}

/// Stores this one text and lets it wait until `due`; its message as it was leased before.
pub async fn waiting(store: &Shared, text: Text, created: i64, due: i64) -> Message {
    let leased = sending(store, text, created).await;
    settled(store, &leased, not_taken(due), created).await;
    leased
}

/// Stores this one text, whose outcome is unknown; its message as it was leased before.
pub async fn uncertain(store: &Shared, text: Text, created: i64) -> Message {
    let leased = sending(store, text, created).await;
    settled(store, &leased, no_answer(), created).await;
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

pub fn no_answer() -> Settlement {
    Settlement::Unknown { reason: "no answer".into() }
}

/// Settles a message as the holder of this lease; what happened to it.
pub async fn settle(
    store: &Shared,
    leased: &Message,
    settlement: Settlement,
    now: i64,
) -> Option<MessageEvent> {
    store.settle(leased, settlement, at(now)).await.unwrap()
}

/// Settles a message as the holder of this lease, which must be accepted.
pub async fn settled(store: &Shared, leased: &Message, settlement: Settlement, now: i64) {
    let event = settle(store, leased, settlement.clone(), now).await;
    assert!(event.is_some(), "{settlement:?} was not accepted");
}

/// Lets this person opt out of the TN, or in.
pub async fn opt(store: &Shared, tn: Number, person: Number, out: bool, now: i64) {
    let change = Decision::Opt(OptChange { tn, person, out });
    assert_eq!(accepted(store, arrival(None, person, tn, now), change).await, []);
}

/// All messages of a session that is stored.
pub async fn messages(store: &Shared, session: SessionId) -> Vec<Message> {
    store.messages(session, Page::default(), at(1)).await.unwrap().expect("the session is stored").items
}

/// A message of a session as it is stored, without its content.
pub async fn stored(store: &Shared, message: &Message) -> Message {
    let session = message.outbound.text.session.expect("a message of a session");
    let id = message.outbound.id;
    let found = messages(store, session).await.into_iter().find(|message| message.outbound.id == id);
    found.expect("the message is stored")
}

/// The state of a message.
pub async fn state(store: &Shared, message: &Message) -> State {
    stored(store, message).await.status.state
}

/// The messages that are due, oldest first.
pub async fn due(store: &Shared, now: i64) -> Vec<MessageId> {
    store.due(100, at(now)).await.unwrap().into_iter().map(|due| due.id).collect()
}

/// The messages that are unknown, earliest attempt first.
pub async fn unknown(store: &Shared) -> Vec<MessageId> {
    store.unknown(100, None).await.unwrap().into_iter().map(|message| message.outbound.id).collect()
}

/// The number of concurrent callers.
pub const CALLERS: usize = 8;

/// Runs all of these concurrently, each in its own task.
pub async fn concurrently<T, F>(calls: impl IntoIterator<Item = F>) -> Vec<T>
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

/// Makes the same call concurrently.
pub async fn callers<T, F>(store: &Shared, call: impl Fn(Shared, usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    concurrently((0..CALLERS).map(|n| call(Arc::clone(store), n))).await
}
