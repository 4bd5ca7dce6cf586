//! The state of an outbound message.

use super::{Delivery, Kind, Outbound, SessionId, name::names};
use chrono::{DateTime, Utc};

/// The state of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Leased to a sender.
    Sending,
    /// Not taken by the provider yet; sent when it is due.
    Waiting,
    /// It is not known whether the provider took it.
    Unknown,
    /// Taken by the provider.
    Sent,
    /// Never sent: refused, blocked, or not taken for too long.
    Failed,
    /// Never sent: its session ended first.
    Cancelled,
}

names!(State {
    Sending => "sending",
    Waiting => "waiting",
    Unknown => "unknown",
    Sent => "sent",
    Failed => "failed",
    Cancelled => "cancelled",
});

/// An outbound message with its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The message; its content is erased when it is settled.
    pub outbound: Outbound,
    /// Its status.
    pub status: Status,
}

/// Everything about a message that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its state.
    pub state: State,
    /// The number of its newest lease, counted from 1. An outcome reported under an older lease is not applied.
    pub lease: u32,
    /// `Sending` only: the last moment of the lease.
    pub lease_until: Option<DateTime<Utc>>,
    /// `Waiting` only: it is not sent earlier.
    pub due_at: Option<DateTime<Utc>>,
    /// The number of attempts to send it.
    pub attempts: u32,
    /// When the last attempt began.
    pub attempted_at: Option<DateTime<Utc>>,
    /// When the provider's list first did not have it, since the last attempt.
    pub absent_at: Option<DateTime<Utc>>,
    /// Its session ended while it may have been sent: it must not be sent again.
    pub revoked: bool,
    /// The provider's id of it.
    pub provider_id: Option<String>,
    /// Why it is not sent, or not yet.
    pub reason: Option<String>,
    /// The delivery receipt that is kept.
    pub delivery: Option<Delivery>,
    /// When it was settled: from then on only receipts change it.
    pub settled_at: Option<DateTime<Utc>>,
}

impl Message {
    /// Whether its outcome is final.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.status.settled_at.is_some()
    }

    /// When the last attempt began, or else when it was created.
    #[must_use]
    pub fn attempted_at(&self) -> DateTime<Utc> {
        self.status.attempted_at.unwrap_or(self.outbound.created_at)
    }

    /// The session that must be live for this message to be sent. Other notices outlive their session.
    #[must_use]
    pub fn needs_live(&self) -> Option<SessionId> {
        let text = &self.outbound.text;
        text.session.filter(|_| matches!(text.kind, Kind::Relay | Kind::NotDelivered))
    }
}
