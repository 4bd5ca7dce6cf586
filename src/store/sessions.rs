//! What the store is asked and says about the pool, sessions and routes.

use super::{AnswersSeen, Leased};
use crate::domain::{Barred, Number, Role, Session, SessionId};
use chrono::{DateTime, Utc};

/// What became of [`Store::add_tn`](super::Store::add_tn).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddTn {
    /// It is in the pool now, and free.
    Added,
    /// It was in the pool already.
    Duplicate,
    /// It is a participant of a live session.
    IsParticipant,
}

/// What became of [`Store::remove_tn`](super::Store::remove_tn).
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

/// What became of [`Store::open_session`](super::Store::open_session).
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
        /// How often strangers were answered, for the store alone.
        answers: AnswersSeen,
    },
    /// The sender is a participant of this live session.
    Live(Session),
    /// The sender is a participant of this session, which has expired and is not ended yet.
    Expired(Session),
}
