//! What the service asks of a store, and what a store promises.
//!
//! The trait speaks of what the service needs, never of rows or keys. **Every method is atomic**: it happens as a
//! whole or not at all, also when many callers, in this process or another, ask at once, and an answer is given
//! only when its effect would survive a power cut. Expected outcomes are values; [`StoreError`] is for the rest.
//!
//! `now` is always the caller's: no backend reads a clock. Every read compares times with it, so that a session
//! past its expiry counts as ended everywhere, whether or not somebody has ended it yet.
//!
//! A record that this version cannot read is [`StoreError::Unreadable`] for whoever asks for it. What maintenance asks
//! for (expired sessions, messages to reclaim, to send or to look up, gauges) leaves it out, so that the others are seen
//! to; so is an expired session of somebody about whom such a record speaks.

mod dynamodb;
mod gauges;
mod messages;
mod sessions;
mod snapshot;
mod sqlite;

pub use dynamodb::{Dynamo, config_of, create_table};
pub use gauges::Gauges;
pub use messages::{
    AnswerLimits, AnswersSeen, Delivery, Due, Leased, Message, Opt, Others, Receipted, Record, Recorded,
    RestsOn, Settlement, State, Unknown,
};
pub use sessions::{AddTn, EndCause, OpenSession, Page, Part, PoolSize, RemoveTn, Route, VirtualTn};
pub use snapshot::{Entry, Exported, Imported, MessageEntry, Place, Snapshot, Stage};
pub use sqlite::{OpenError, Sqlite};

use crate::domain::{InvalidId, MessageId, NewSession, Number, Outbound, Receipt, Session, SessionId};
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

/// Leaves out what this version cannot read, and says so in the log: one such record must not keep maintenance from the
/// others.
pub(crate) fn readable<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Err(StoreError::Unreadable(what)) => {
            tracing::error!(what, "a record is left alone");
            Ok(None)
        }
        read => read.map(Some),
    }
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
    /// A caller that was not answered may ask again with the same notices: if its earlier call has ended the session,
    /// it is answered as that would have been. A session that is undone and not on record cannot be opened any more by a
    /// call that was not answered.
    ///
    /// A relay that a backend does not find at that moment is cancelled instead of being leased again.
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

    /// Messages whose lease has run out (`now` is past its `until`) become `unknown`, at most `limit`; how many did. Each by
    /// itself is atomic: a slow backend stops in time and says how many it was until then.
    async fn reclaim(&self, limit: u32, now: DateTime<Utc>) -> Result<usize>;

    /// At most `limit` messages that wait and are due, the oldest first. Where more are due than that, a backend may choose
    /// those that have been due for the longest time, and gives these oldest first.
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
    /// What an engine should have forgotten by now is not shown.
    async fn messages(
        &self,
        session: SessionId,
        page: Page,
        now: DateTime<Utc>,
    ) -> Result<Option<Part<Message>>>;

    /// Forgets what was settled, received or ended before then, at most `limit` of each; how many in all. A backend whose
    /// engine forgets by itself, in its own time, answers 0.
    async fn forget(&self, before: DateTime<Utc>, limit: u32) -> Result<usize>;

    /// How full the store is. Each number is counted up to `up_to` and no further, which bounds the cost; a backend may
    /// be some moments behind.
    async fn gauges(&self, up_to: u32) -> Result<Gauges>;

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
