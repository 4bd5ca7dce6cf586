//! The erasure of a person.

use super::Result;
use crate::domain::{Erased, Number, Session};
use async_trait::async_trait;
use chrono::{DateTime, Utc};

/// Store methods for the erasure of a person.
#[async_trait]
pub trait Erasure: Send + Sync + 'static {
    /// The sessions of this person that are not ended, also those that have expired.
    async fn sessions_of(&self, person: Number) -> Result<Vec<Session>>;

    /// Removes the number from every record, except those of sessions that are not ended; returns how many there were.
    ///
    /// A record of a session is deleted. A message to the person becomes the tombstone of its id, so that it is neither
    /// sent nor settled any more, and a text that is posted again is still recognised. A route of somebody else keeps
    /// when a session ended, without the partner. Opt-outs stay, since they have a keyed hash instead of the number. A TN
    /// stays in the pool.
    ///
    /// Not atomic: a backend may remove record by record. Repeating the call finishes the work, and what others store at
    /// the same moment may be left for such a call.
    async fn erase(&self, person: Number, now: DateTime<Utc>) -> Result<Erased>;
}
