//! Sessions.

use super::Result;
use crate::domain::{EndCause, Message, NewSession, Outbound, Page, Part, Role, Session, SessionId};
use async_trait::async_trait;
use chrono::{DateTime, Utc};

/// Store methods for sessions.
#[async_trait]
pub trait Sessions: Send + Sync + 'static {
    /// Opens the session on a free TN, picked at random among those that neither participant has opted out of, and
    /// stores its start notices, leased through `lease_until`. Two sessions never get the same TN. `NoFreeTn` never means
    /// contention. The cost does not grow with the pool.
    async fn open_session(&self, new: NewSession, lease_until: DateTime<Utc>) -> Result<OpenSession>;

    /// Ends the session, frees its TN, stores the notices and withdraws the session's unsent messages. Of several
    /// callers, one gets `Some`; the others get `None`, as does a call whose cause does not [allow](EndCause::allows) it.
    ///
    /// Idempotent: a caller whose response was lost may repeat the call with the same notices, and gets the result of the
    /// first call. After the rollback of a session that is not stored, a late write cannot open it.
    ///
    /// A relay that a lagging index hides is cancelled when it is next due.
    ///
    /// With `lease_until` the notices are leased to the caller; without it they are due immediately.
    async fn end_session(
        &self,
        session: SessionId,
        cause: EndCause,
        notices: Vec<Outbound>,
        now: DateTime<Utc>,
        lease_until: Option<DateTime<Utc>>,
    ) -> Result<Option<Vec<Message>>>;

    /// A live session.
    async fn session(&self, id: SessionId, now: DateTime<Utc>) -> Result<Option<Session>>;

    /// The live sessions, oldest first, and their number in all. `blocked` of the participants may be unset.
    async fn sessions(&self, page: Page, now: DateTime<Utc>) -> Result<(Part<Session>, u64)>;

    /// At most `limit` sessions that have expired and are not ended yet, earliest expiry first.
    async fn expired_sessions(&self, limit: u32, now: DateTime<Utc>) -> Result<Vec<Session>>;
}

/// The outcome of [`Sessions::open_session`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenSession {
    /// The session is open.
    Opened {
        /// The session.
        session: Session,
        /// Its start notices, leased to the caller.
        notices: Vec<Message>,
    },
    /// Every TN that neither participant has opted out of has a session that is not ended yet; some of those may have
    /// expired.
    NoFreeTn {
        /// The participants who have opted out of a TN that is free.
        opted_out: Vec<Role>,
    },
    /// This participant is a TN of the pool.
    ParticipantIsTn(Role),
}
