//! What the service asks of a store, and what a store promises.
//!
//! The trait speaks of what the service needs, never of rows or keys. **Every method is atomic**: it happens as a
//! whole or not at all, also when many callers, in this process or another, ask at once, and an answer is given
//! only when its effect would survive a power cut. Expected outcomes are values; [`StoreError`] is for the rest.
//!
//! `now` is always the caller's: no backend reads a clock. Every read compares times with it, so that a session
//! past its expiry counts as ended everywhere, whether or not somebody has ended it yet.

mod dynamodb;
mod sqlite;

pub use dynamodb::{Dynamo, config_of, create_table};
pub use sqlite::{OpenError, Sqlite};

use crate::domain::{
    Barred, InvalidId, Kind, MessageId, NewSession, Number, Outbound, Receipt, Role, Session, SessionId,
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::collections::HashSet;

/// What a store call gives.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Why a store call gave nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It did not answer, or could not write. Nothing of the call has happened, as far as anybody can tell;
    /// the caller may ask again.
    #[error("the store did not answer: {0}")]
    Unavailable(String),
    /// It holds something that this version cannot read. Asking again does not help.
    #[error("the store holds something unreadable: {0}")]
    Unreadable(String),
}

impl From<InvalidId> for StoreError {
    fn from(error: InvalidId) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// What became of [`Store::add_tn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddTn {
    /// It is in the pool now, and free.
    Added,
    /// It was in the pool already.
    Duplicate,
    /// It is a participant of a live session.
    IsParticipant,
}

/// What became of [`Store::remove_tn`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoveTn {
    /// It is no longer in the pool.
    Removed,
    /// It was not in the pool.
    NotInPool,
    /// It carries this live session.
    InUse(SessionId),
    /// It carries this session, which has expired and must be ended first.
    HeldByExpired(Session),
}

/// A number of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VirtualTn {
    /// The number.
    pub number: Number,
    /// The live session that it carries.
    pub session: Option<SessionId>,
}

/// Which part of a list.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// At most so many; all of them without it.
    pub limit: Option<u32>,
    /// What follows this mark, which an earlier page gave as `next`.
    pub after: Option<String>,
}

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Part<T> {
    /// The elements, in an order that stays the same from page to page. Paging to the end shows each element
    /// that was there all the time exactly once.
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

/// How large the pool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSize {
    /// All its numbers.
    pub total: u64,
    /// Those that carry a live session.
    pub in_use: u64,
}

/// What became of [`Store::open_session`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenSession {
    /// The session stands, on a free TN picked at random.
    Opened {
        /// The session.
        session: Session,
        /// Its start notices, on record and leased to the caller.
        notices: Vec<Leased>,
    },
    /// Every TN that neither participant has opted out of carries a session that nobody has ended yet; some of
    /// those may have expired.
    NoFreeTn,
    /// This participant is itself a TN of the pool.
    ParticipantIsTn(Role),
}

/// Why a session ends, which decides when it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndCause {
    /// Somebody asked for it. Only a live session ends so.
    Deleted,
    /// Its time ran out. Only an expired session ends so.
    Expired,
    /// Its start was refused: it should never have been. Its unsent notices are cancelled too.
    Undone,
}

/// Who "sender to TN" is, at one point in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// The TN is not in the pool.
    NotOurTn,
    /// The sender is itself a TN of the pool.
    SenderIsTn,
    /// The sender is in no session on this TN.
    Stranger {
        /// Why the sender must not be answered, if that is so.
        barred: Option<Barred>,
        /// When the newest live session on the TN was created.
        in_use_since: Option<DateTime<Utc>>,
    },
    /// The sender is a participant of this live session.
    Live(Session),
    /// The sender is a participant of this session, which has expired and is not ended yet.
    Expired(Session),
}

/// An inbound text and everything that it causes, to be put on record in one step.
#[derive(Debug, Clone)]
pub struct Record {
    /// Flowroute's id of the text, if it has one.
    pub inbound: Option<String>,
    /// When it came.
    pub at: DateTime<Utc>,
    /// What is to be sent because of it.
    pub outbound: Vec<Outbound>,
    /// Until when these are leased to the caller, who sends them at once.
    pub lease_until: DateTime<Utc>,
    /// What the decision rests on.
    pub rests_on: RestsOn,
    /// How many strangers may be answered; what goes beyond is not put on record.
    pub answers: AnswerLimits,
    /// The sender opts out of the TN, or in again.
    pub opt: Option<Opt>,
}

/// How many `no_session` notices may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerLimits {
    /// To one number from one TN, in any hour.
    pub per_hour: u32,
    /// In all, in any minute.
    pub per_minute: u32,
}

/// A person who wants no more texts from a TN, or wants them again (FLOWROUTE.md 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opt {
    /// The TN.
    pub tn: Number,
    /// The person.
    pub person: Number,
    /// Out, or in again.
    pub out: bool,
}

/// The state of things that a decision was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestsOn {
    /// Nothing that could change.
    Nothing,
    /// This session being live.
    Live(SessionId),
    /// This session being expired and not ended; it ends in the same step.
    Expired(SessionId),
}

/// What became of [`Store::record`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// On record, for the first time; these are leased to the caller.
    New(Vec<Leased>),
    /// This inbound id was on record before; nothing was changed.
    Duplicate,
    /// The session is no longer what the decision rests on; nothing was changed. Ask for the route again.
    Stale,
}

/// An outbound message that one sender, and nobody else, may send now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    /// The message.
    pub outbound: Outbound,
    /// Which lease of this message it is, counted from 1: only its holder can settle it.
    pub lease: u32,
}

/// What became of a leased message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The provider took it, under this id.
    Sent {
        /// The provider's id of it.
        provider_id: String,
    },
    /// It will never be sent.
    Failed {
        /// Why, in words that are safe to show.
        reason: String,
        /// The recipient has opted out of the TN, which is put on record too.
        opted_out: bool,
    },
    /// The provider did not take it; it may be sent from `due` on.
    Waiting {
        /// Not before.
        due: DateTime<Utc>,
        /// Why it was not taken.
        reason: String,
    },
    /// It was not tried after all, and is due at once; told twice, it takes back one attempt.
    Deferred,
    /// Nobody knows whether the provider took it.
    Unknown {
        /// What went wrong.
        reason: String,
    },
    /// The provider's list shows it under this id. No two messages are settled with the same id so.
    Found {
        /// The provider's id of it.
        provider_id: String,
    },
    /// The provider's list was read without it; the first such time is kept.
    SeenAbsent,
    /// Nobody will ever know. It stays `unknown`, and is settled.
    UnknownForGood,
}

/// A message that waits and is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Its id.
    pub id: MessageId,
    /// Whether it has media, which are paced apart.
    pub has_media: bool,
}

/// A message of which nobody knows whether the provider took it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// The message, under its last lease.
    pub leased: Leased,
    /// When it was last tried.
    pub attempted_at: DateTime<Utc>,
    /// When the provider's list was first seen without it since then.
    pub absent_at: Option<DateTime<Utc>>,
    /// Its session has ended since: it will not be sent again.
    pub revoked: bool,
}

/// What else was sent from one number to another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Others {
    /// One is being sent right now.
    pub sending: bool,
    /// The provider's ids of those that it took.
    pub provider_ids: HashSet<String>,
}

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Leased to somebody who sends it.
    Sending,
    /// Not taken by the provider yet; to be sent when it is due.
    Waiting,
    /// Nobody knows whether the provider took it.
    Unknown,
    /// Taken by the provider.
    Sent,
    /// Never to be sent: refused, barred, or not taken for too long.
    Failed,
    /// Never to be sent: its session ended first.
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Sending, Self::Waiting, Self::Unknown, Self::Sent, Self::Failed, Self::Cancelled];

    /// The state's name on record and in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Waiting => "waiting",
            Self::Unknown => "unknown",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What is on record about a message of a session: all but its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Our id of it.
    pub id: MessageId,
    /// What it is for.
    pub kind: Kind,
    /// Which participant it is for.
    pub to: Option<Role>,
    /// Where it stands.
    pub state: State,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was decided on.
    pub created_at: DateTime<Utc>,
    /// When it was last tried.
    pub attempted_at: Option<DateTime<Utc>>,
    /// When its last state became final.
    pub settled_at: Option<DateTime<Utc>>,
    /// The provider's id of it.
    pub provider_id: Option<String>,
    /// Why it is not sent.
    pub reason: Option<String>,
    /// Its last delivery receipt.
    pub delivery: Option<Delivery>,
}

/// What the last delivery receipt of a message said (FLOWROUTE.md 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// A word such as `delivered`.
    pub status: String,
    /// A code such as `1003`.
    pub code: Option<String>,
    /// When it happened.
    pub at: Option<DateTime<Utc>>,
}

/// What became of [`Store::receipt`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipted {
    /// On record with its message.
    Recorded,
    /// This level of this message was on record before.
    Known,
    /// It belongs to no message that is on record.
    NoMessage,
}

/// The store. See the [module's page](self) for what holds for every method.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Puts a number into the pool. Of several callers with the same number, one is told `Added`.
    ///
    /// `IsParticipant` is best effort: a session that is being opened at this moment may not be seen.
    async fn add_tn(&self, tn: Number, now: DateTime<Utc>) -> Result<AddTn>;

    /// Takes a number out of the pool, unless a session that is not ended is on it.
    async fn remove_tn(&self, tn: Number, now: DateTime<Utc>) -> Result<RemoveTn>;

    /// A number of the pool, or `None` if it is not in it.
    async fn tn(&self, tn: Number, now: DateTime<Utc>) -> Result<Option<VirtualTn>>;

    /// The pool's numbers, and how many there are in all.
    async fn tns(&self, page: Page, now: DateTime<Utc>) -> Result<(Part<VirtualTn>, PoolSize)>;

    /// Opens the session on a free TN, picked at random among those that neither participant has opted out of, and
    /// puts its start notices on record, leased until `lease_until`. Two sessions never get the same TN; `NoFreeTn`
    /// is said only when there was none, never for contention. The cost does not grow with the pool.
    async fn open_session(&self, new: NewSession, lease_until: DateTime<Utc>) -> Result<OpenSession>;

    /// Ends the session, frees its TN, puts the notices on record and cancels the session's unsent relays. Of
    /// several callers, one is answered; the others get `None`, as does a call whose cause does not hold.
    ///
    /// With `lease_until` the notices are leased to the caller; without it they are due at once.
    async fn end_session(
        &self,
        session: SessionId,
        cause: EndCause,
        notices: Vec<Outbound>,
        now: DateTime<Utc>,
        lease_until: Option<DateTime<Utc>>,
    ) -> Result<Option<Vec<Leased>>>;

    /// A live session.
    async fn session(&self, id: SessionId, now: DateTime<Utc>) -> Result<Option<Session>>;

    /// The live sessions, oldest first, and how many there are in all. What bars their people need not be told here.
    async fn sessions(&self, page: Page, now: DateTime<Utc>) -> Result<(Part<Session>, u64)>;

    /// At most `limit` sessions that have expired and that nobody has ended yet, the longest expired first.
    async fn expired_sessions(&self, limit: u32, now: DateTime<Utc>) -> Result<Vec<Session>>;

    /// Who `sender` is to `tn`: a consistent read, and the point in time that counts for the text.
    async fn route(&self, tn: Number, sender: Number, now: DateTime<Utc>) -> Result<Route>;

    /// Puts an inbound text on record with everything that it causes. An inbound id goes on record once: of
    /// several callers with the same id one is told `New`.
    async fn record(&self, record: Record) -> Result<Recorded>;

    /// Writes down what became of a message. `false`: nothing was changed, since the lease was no longer the
    /// message's newest, or it was settled for good before, or (for `Found`) the id belongs to another message.
    ///
    /// A message that is settled for good loses its content. One that should wait, but that was revoked when its
    /// session ended, is cancelled.
    async fn settle(&self, leased: &Leased, settlement: Settlement, now: DateTime<Utc>) -> Result<bool>;

    /// Messages whose lease has run out (`now` is past its `until`) become `unknown`, at most `limit`; how many did.
    async fn reclaim(&self, limit: u32, now: DateTime<Utc>) -> Result<usize>;

    /// At most `limit` messages that wait and are due, the oldest first.
    async fn due(&self, limit: u32, now: DateTime<Utc>) -> Result<Vec<Due>>;

    /// Leases a message that waits and is due. Of several callers one gets it.
    ///
    /// A relay whose session is no longer live is cancelled instead, and a message whose recipient is barred by now
    /// has failed.
    async fn lease(&self, id: MessageId, now: DateTime<Utc>, until: DateTime<Utc>) -> Result<Option<Leased>>;

    /// Prolongs a lease that is still the newest, immediately before a send that had to wait. `false`: it must not
    /// be sent, for the reasons that [`lease`](Self::lease) has, and is settled accordingly.
    async fn renew(&self, leased: &Leased, now: DateTime<Utc>, until: DateTime<Utc>) -> Result<bool>;

    /// At most `limit` messages that are `unknown` and not settled, the longest tried first, after this one.
    async fn unknown(&self, limit: u32, after: Option<MessageId>) -> Result<Vec<Unknown>>;

    /// What else was sent from the number of this message to its recipient.
    async fn others(&self, message: &Outbound) -> Result<Others>;

    /// Makes `holder` the one who drains the outbox, through `until`, unless another is. The same holder may prolong.
    async fn begin_drain(&self, holder: &str, now: DateTime<Utc>, until: DateTime<Utc>) -> Result<bool>;

    /// Lets somebody else drain the outbox.
    async fn end_drain(&self, holder: &str) -> Result<()>;

    /// Puts a delivery receipt on record, once per message and level. The message keeps the state of its highest
    /// level. A receipt that names our own id of a message proves that the provider took it: if that was not known,
    /// the message is settled as sent.
    async fn receipt(&self, receipt: &Receipt, now: DateTime<Utc>) -> Result<Receipted>;

    /// The messages of a session that is on record, live or ended, oldest first; `None`: there is no such session.
    async fn messages(&self, session: SessionId, page: Page) -> Result<Option<Part<Message>>>;

    /// Forgets what was settled, received or ended before then, at most `limit` of each; how many in all. A backend whose
    /// engine forgets by itself, in its own time, answers 0.
    async fn forget(&self, before: DateTime<Utc>, limit: u32) -> Result<usize>;

    /// Whether the store answers.
    async fn ping(&self) -> Result<()>;
}

/// Cuts a list that was read one element too far, so as to know whether there is a next page.
fn cut<T>(mut items: Vec<T>, limit: Option<u32>, mark: impl Fn(&T) -> String) -> Part<T> {
    let limit = limit.map_or(usize::MAX, |limit| limit as usize);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(mark);
    Part { items, next }
}
