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

/// Further counts for the operator, each up to the same maximum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// Numbers of the pool.
    pub tns: u32,
    /// Those among them with a session. An expired session counts until it is ended.
    pub in_use: u32,
    /// Those among them that take no new sessions.
    pub draining: u32,
    /// Live sessions.
    pub sessions: u32,
    /// Messages that failed in the last hour; `None`: this store cannot count them at a bounded cost.
    pub failed: Option<Failed>,
}

/// Messages that failed for good in the last hour, without those to people who must not be texted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failed {
    /// Their number.
    pub count: u32,
    /// Whether there may be more.
    pub at_least: bool,
}
