//! A session: one virtual TN, two participants, for a while.

use super::{Number, SessionId, name::names};
use chrono::{DateTime, Utc};

/// Which of a session's two participants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// `participant_a` of the API.
    A,
    /// `participant_b` of the API.
    B,
}

names!(Role { A => "a", B => "b" });

impl Role {
    /// The other participant's.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// One of the two people of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Participant {
    /// Which of the two.
    pub role: Role,
    /// The person's own number, which the other never sees.
    pub number: Number,
    /// Why no text from the session's TN may go there, if that is so.
    pub blocked: Option<Blocked>,
}

/// Why no text may be sent to a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blocked {
    /// The person has opted out of the TN that it would come from (docs/flowroute.md#opt-out).
    OptedOut,
    /// The number has become a TN of the pool: two proxies must never talk to each other.
    IsTn,
}

impl Blocked {
    /// The reason as it is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OptedOut => "the recipient has opted out of this number (STOP)",
            Self::IsTn => "the recipient is a virtual TN",
        }
    }
}

/// Two participants who text each other through a virtual TN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The number between the two.
    pub tn: Number,
    /// The two people, `A` first; their numbers differ.
    pub participants: [Participant; 2],
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// From this moment on it counts as ended, even before it is stored as ended.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Session {
    /// Whether the session has expired at `now`.
    #[must_use]
    pub fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|expiry| expiry <= now)
    }

    /// The participant with this number, and the other one.
    #[must_use]
    pub fn sides(&self, number: Number) -> Option<(Participant, Participant)> {
        let [a, b] = self.participants;
        match number {
            n if n == a.number => Some((a, b)),
            n if n == b.number => Some((b, a)),
            _ => None,
        }
    }
}

/// Why a session ends, which decides whether it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndCause {
    /// Its end was requested. Only a live session ends so.
    Deleted,
    /// It expired. Only an expired session ends so.
    Expired,
    /// Its creation is rolled back. Its unsent notices are withdrawn too.
    RolledBack,
}

impl EndCause {
    /// Whether the session counts as a previous one of its participants. One that was never reported as created does not.
    #[must_use]
    pub fn is_past(self) -> bool {
        self != Self::RolledBack
    }

    /// Whether a session that is not ended yet may end for this cause.
    #[must_use]
    pub fn allows(self, session: &Session, now: DateTime<Utc>) -> bool {
        match self {
            Self::Deleted => !session.is_expired(now),
            Self::Expired => session.is_expired(now),
            Self::RolledBack => true,
        }
    }
}
