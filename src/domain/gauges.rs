//! How full a store is.

use chrono::{DateTime, Utc};

/// Counts for the operator, each up to a maximum: a value at the maximum means at least that many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Messages that wait, due or not.
    pub waiting: u32,
    /// When the oldest counted message was created.
    pub waiting_since: Option<DateTime<Utc>>,
    /// Messages that are `unknown` and not settled.
    pub unknown: u32,
    /// Numbers of the pool without a session. An expired session holds its number until it is ended.
    pub free_tns: u32,
}
