//! The pool of virtual TNs.

use super::{Number, SessionId};

/// A number of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VirtualTn {
    /// The number.
    pub number: Number,
    /// Its live session, if it has exactly one.
    pub session: Option<SessionId>,
    /// The number of its live sessions.
    pub sessions: u32,
    /// Whether it takes no new sessions.
    pub draining: bool,
}

/// The size of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSize {
    /// All numbers.
    pub total: u64,
    /// Numbers with a live session.
    pub in_use: u64,
    /// Live sessions.
    pub sessions: u64,
    /// Sessions that still fit.
    pub room: u64,
}

/// An opt-out of a TN's texts, or an opt-in (docs/flowroute.md#opt-out).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptChange {
    /// The TN.
    pub tn: Number,
    /// The person.
    pub person: Number,
    /// `true`: opt-out; `false`: opt-in.
    pub out: bool,
}
