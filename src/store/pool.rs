//! The pool of virtual TNs.

use super::Result;
use crate::domain::{Number, Page, Part, PoolSize, Session, VirtualTn};
use async_trait::async_trait;
use chrono::{DateTime, Utc};

/// Store methods for the pool.
#[async_trait]
pub trait Pool: Send + Sync + 'static {
    /// Adds a number to the pool. Of several callers with the same number, one gets `Added`.
    ///
    /// `IsParticipant` is best effort: a session that is being opened at this moment may not be seen.
    async fn add_tn(&self, tn: Number, now: DateTime<Utc>) -> Result<AddTn>;

    /// Removes a number from the pool, unless it has a session that is not ended.
    async fn remove_tn(&self, tn: Number, now: DateTime<Utc>) -> Result<RemoveTn>;

    /// A number of the pool; `None`: it is not in the pool.
    async fn tn(&self, tn: Number, now: DateTime<Utc>) -> Result<Option<VirtualTn>>;

    /// The pool's numbers, and its size, with room for `sessions_per_tn` sessions on each.
    async fn tns(
        &self,
        page: Page,
        sessions_per_tn: u32,
        now: DateTime<Utc>,
    ) -> Result<(Part<VirtualTn>, PoolSize)>;

    /// Lets a number take no new sessions, or take them again; `None`: it is not in the pool.
    async fn drain_tn(&self, tn: Number, draining: bool, now: DateTime<Utc>) -> Result<Option<VirtualTn>>;
}

/// The outcome of [`Pool::add_tn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddTn {
    /// It is in the pool now, and free.
    Added,
    /// It was in the pool already.
    Duplicate,
    /// It is a participant of a live session.
    IsParticipant,
}

/// The outcome of [`Pool::remove_tn`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoveTn {
    /// It is no longer in the pool.
    Removed,
    /// It was not in the pool.
    NotInPool,
    /// It has live sessions.
    InUse(VirtualTn),
    /// It has this session, which has expired and must be ended first.
    HeldByExpired(Session),
}
