//! What the store is asked and says about inbound texts and outbound messages.

use crate::domain::{Kind, MessageId, Number, Outbound, Role, Session, SessionId};
use chrono::{DateTime, Utc};
use std::collections::HashSet;

/// An inbound text and everything that it causes, to be put on record in one step.
#[derive(Debug, Clone)]
pub struct Record {
    /// Flowroute's id of the text, if it has one.
    pub inbound: Option<String>,
    /// When it came.
    pub at: DateTime<Utc>,
    /// What is to be sent because of it.
    pub outbound: Vec<Outbound>,
    /// Until when these are leased to the caller, who sends them at once.
    pub lease_until: DateTime<Utc>,
    /// What the decision rests on.
    pub rests_on: RestsOn,
    /// How many strangers may be answered; what goes beyond is not put on record.
    pub answers: AnswerLimits,
    /// The sender opts out of the TN, or in again.
    pub opt: Option<Opt>,
}

/// How many `no_session` notices may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerLimits {
    /// To one number from one TN, in any hour.
    pub per_hour: u32,
    /// In all, in any minute.
    pub per_minute: u32,
}

/// A person who wants no more texts from a TN, or wants them again (FLOWROUTE.md 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opt {
    /// The TN.
    pub tn: Number,
    /// The person.
    pub person: Number,
    /// Out, or in again.
    pub out: bool,
}

/// The state of things that a decision was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestsOn {
    /// Nothing that could change.
    Nothing,
    /// The sender being a stranger, and what the route told of the answers so far.
    Answers(AnswersSeen),
    /// This session being live.
    Live(SessionId),
    /// This session being expired and not ended; it ends in the same step.
    Expired(Session),
}

/// What a store saw of the answers to strangers when it told a route, for itself alone: it need not look again unless
/// that has changed. The default saw nothing. All are equal, since none tells anybody anything.
#[derive(Debug, Clone, Default)]
pub struct AnswersSeen(pub(super) Option<[Counter; 2]>);

impl PartialEq for AnswersSeen {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for AnswersSeen {}

/// When answers were given, in milliseconds since 1970, and how often that was written down.
#[derive(Debug, Clone, Default)]
pub(super) struct Counter {
    pub(super) times: Vec<i64>,
    pub(super) version: i64,
}

/// What became of [`Store::record`](super::Store::record).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// On record, for the first time; these are leased to the caller.
    New(Vec<Leased>),
    /// This inbound id was on record before; nothing was changed.
    Duplicate,
    /// The session is no longer what the decision rests on; nothing was changed. Ask for the route again.
    Stale,
}

/// An outbound message that one sender, and nobody else, may send now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    /// The message.
    pub outbound: Outbound,
    /// Which lease of this message it is, counted from 1: only its holder can settle it.
    pub lease: u32,
}

/// What became of a leased message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The provider took it, under this id.
    Sent {
        /// The provider's id of it.
        provider_id: String,
    },
    /// It will never be sent.
    Failed {
        /// Why, in words that are safe to show.
        reason: String,
        /// The recipient has opted out of the TN, which is put on record too.
        opted_out: bool,
    },
    /// The provider did not take it; it may be sent from `due` on.
    Waiting {
        /// Not before.
        due: DateTime<Utc>,
        /// Why it was not taken.
        reason: String,
    },
    /// It was not tried after all, and is due at once; told twice, it takes back one attempt.
    Deferred,
    /// Nobody knows whether the provider took it.
    Unknown {
        /// What went wrong.
        reason: String,
    },
    /// The provider's list shows it under this id. No two messages are settled with the same id so.
    Found {
        /// The provider's id of it.
        provider_id: String,
    },
    /// The provider's list was read without it; the first such time is kept.
    SeenAbsent,
    /// Nobody will ever know. It stays `unknown`, and is settled.
    UnknownForGood,
}

/// A message that waits and is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Its id.
    pub id: MessageId,
    /// Whether it has media, which are paced apart.
    pub has_media: bool,
}

/// A message of which nobody knows whether the provider took it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// The message, under its last lease.
    pub leased: Leased,
    /// When it was last tried.
    pub attempted_at: DateTime<Utc>,
    /// When the provider's list was first seen without it since then.
    pub absent_at: Option<DateTime<Utc>>,
    /// Its session has ended since: it will not be sent again.
    pub revoked: bool,
}

/// What else was sent from one number to another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Others {
    /// One is being sent right now.
    pub sending: bool,
    /// The provider's ids of those that it took.
    pub provider_ids: HashSet<String>,
}

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Leased to somebody who sends it.
    Sending,
    /// Not taken by the provider yet; to be sent when it is due.
    Waiting,
    /// Nobody knows whether the provider took it.
    Unknown,
    /// Taken by the provider.
    Sent,
    /// Never to be sent: refused, barred, or not taken for too long.
    Failed,
    /// Never to be sent: its session ended first.
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Sending, Self::Waiting, Self::Unknown, Self::Sent, Self::Failed, Self::Cancelled];

    /// The state's name on record and in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Waiting => "waiting",
            Self::Unknown => "unknown",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What is on record about a message of a session: all but its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Our id of it.
    pub id: MessageId,
    /// What it is for.
    pub kind: Kind,
    /// Which participant it is for.
    pub to: Option<Role>,
    /// Where it stands.
    pub state: State,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was decided on.
    pub created_at: DateTime<Utc>,
    /// When it was last tried.
    pub attempted_at: Option<DateTime<Utc>>,
    /// When its last state became final.
    pub settled_at: Option<DateTime<Utc>>,
    /// The provider's id of it.
    pub provider_id: Option<String>,
    /// Why it is not sent.
    pub reason: Option<String>,
    /// Its last delivery receipt.
    pub delivery: Option<Delivery>,
}

/// What the last delivery receipt of a message said (FLOWROUTE.md 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// A word such as `delivered`.
    pub status: String,
    /// A code such as `1003`.
    pub code: Option<String>,
    /// When it happened.
    pub at: Option<DateTime<Utc>>,
}

/// What became of [`Store::receipt`](super::Store::receipt).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipted {
    /// On record with its message.
    Recorded,
    /// This level of this message was on record before.
    Known,
    /// It belongs to no message that is on record.
    NoMessage,
}
