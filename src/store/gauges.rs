//! How full the store is.

use chrono::{DateTime, Utc};

/// What waits, what is in doubt and what is free, each counted up to a limit: where that is reached, there are at
/// least so many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Messages that wait, due or not.
    pub waiting: u32,
    /// When the oldest of those that were counted was decided on.
    pub waiting_since: Option<DateTime<Utc>>,
    /// Messages that are `unknown` and not settled.
    pub unknown: u32,
    /// Numbers of the pool that no session holds. One that has expired holds its number until somebody ends it.
    pub free_tns: u32,
}
