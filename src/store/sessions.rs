//! Sessions.

use super::Result;
use crate::domain::{
    EndCause, Message, NewSession, Outbound, Page, Part, Role, Session, SessionFilter, SessionId, Unavailable,
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};

/// Store methods for sessions.
#[async_trait]
pub trait Sessions: Send + Sync + 'static {
    /// Opens the session on a TN, and stores its start notices, leased through `lease_until`. Nobody gets two sessions on a
    /// TN.
    ///
    /// The TN is the one that the session must get, or the one of the pair's previous session, or is picked at random
    /// among those that have room and that [`Choice`](crate::domain::Choice) admits. `NoFreeTn` and `Unavailable` never
    /// mean contention. The cost grows neither with the pool nor with the sessions of others.
    ///
    /// With an idempotency key: of several callers with the same key and request, at the same time or later, one gets
    /// `Opened`, and the others `Repeated`. A session that was rolled back leaves its key unused.
    async fn open_session(&self, new: NewSession, lease_until: DateTime<Utc>) -> Result<OpenSession>;

    /// Ends the session, frees its TN, stores the notices and withdraws the session's unsent messages. Of several
    /// callers, one gets `Some`; the others get `None`, as does a call whose cause does not [allow](EndCause::allows) it.
    ///
    /// Idempotent: a caller whose response was lost may repeat the call with the same notices, and gets the result of the
    /// first call. After the rollback of a session that is not stored, a late write cannot open it. The rollback of a session
    /// with an idempotency key removes its record.
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

    /// Changes when a live session expires; `None`: it is not live. Of this and an end at the same moment one wins.
    async fn set_expiry(
        &self,
        id: SessionId,
        expires_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Option<Session>>;

    /// A live session.
    async fn session(&self, id: SessionId, now: DateTime<Utc>) -> Result<Option<Session>>;

    /// The live sessions that pass the filter, oldest first, and their number in all. `blocked` of the participants may be
    /// unset.
    async fn sessions(
        &self,
        filter: SessionFilter,
        page: Page,
        now: DateTime<Utc>,
    ) -> Result<(Part<Session>, u64)>;

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
    /// No TN will do. Sessions that have expired and are not ended yet may be in the way.
    NoFreeTn {
        /// The participants who have opted out of a TN that would do.
        opted_out: Vec<Role>,
    },
    /// This session, live or ended, was opened before by a request with the same key.
    Repeated(Session),
    /// The key was used for another request.
    KeyReused,
    /// The TN that the session must get will not do, for this reason. The same holds of expired sessions.
    Unavailable(Unavailable),
    /// This participant is a TN of the pool.
    ParticipantIsTn(Role),
}
