//! What the service asks of a store, and what a store promises.
//!
//! The trait speaks of what the service needs, never of rows or keys. **Every method is atomic**: it happens as a
//! whole or not at all, also when many callers, in this process or another, ask at once, and an answer is given
//! only when its effect would survive a power cut. Expected outcomes are values; [`StoreError`] is for the rest.
//!
//! `now` is always the caller's: no backend reads a clock. Every read compares times with it, so that a session
//! past its expiry counts as ended everywhere, whether or not somebody has ended it yet.

mod sqlite;

pub use sqlite::{OpenError, Sqlite};

use crate::domain::{InvalidId, NewSession, Number, Outbound, Role, Session, SessionId};
use async_trait::async_trait;
use chrono::{DateTime, Utc};

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
    /// Every TN carries a session that nobody has ended yet; some of those may have expired.
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
    Stranger,
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
    },
    /// The provider did not take it; it may be sent from `due` on.
    Waiting {
        /// Not before.
        due: DateTime<Utc>,
        /// Why it was not taken.
        reason: String,
    },
    /// Nobody knows whether the provider took it.
    Unknown {
        /// What went wrong.
        reason: String,
    },
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

    /// Opens the session on a free TN picked at random, and puts its start notices on record, leased until
    /// `lease_until`. Two sessions never get the same TN; `NoFreeTn` is said only when there was none, never
    /// for contention. The cost does not grow with the pool.
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

    /// The live sessions, oldest first, and how many there are in all.
    async fn sessions(&self, page: Page, now: DateTime<Utc>) -> Result<(Part<Session>, u64)>;

    /// At most `limit` sessions that have expired and that nobody has ended yet, the longest expired first.
    async fn expired_sessions(&self, limit: u32, now: DateTime<Utc>) -> Result<Vec<Session>>;

    /// Who `sender` is to `tn`: a consistent read, and the point in time that counts for the text.
    async fn route(&self, tn: Number, sender: Number, now: DateTime<Utc>) -> Result<Route>;

    /// Puts an inbound text on record with everything that it causes. An inbound id goes on record once: of
    /// several callers with the same id one is told `New`.
    async fn record(&self, record: Record) -> Result<Recorded>;

    /// Ends a lease with what became of the message. `false`: the lease was no longer the newest, nothing was
    /// changed. A message that is settled for good loses its content. One that should wait, but whose session
    /// has ended meanwhile, is cancelled.
    async fn settle(&self, leased: &Leased, settlement: Settlement, now: DateTime<Utc>) -> Result<bool>;

    /// Whether the store answers.
    async fn ping(&self) -> Result<()>;
}
