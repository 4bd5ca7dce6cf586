//! All records of a store as plain values: how one store is written out, and another one filled.

use super::{Delivery, Result, State};
use crate::domain::{Kind, MessageId, Number, Outbound, Role, Session, SessionId};
use async_trait::async_trait;
use chrono::{DateTime, Utc};

/// A store that can be written out and filled again, with the service stopped.
#[async_trait]
pub trait Snapshot: Send + Sync + 'static {
    /// Everything on record, sorted by [`Entry::place`], but for what was settled, received or ended before then.
    ///
    /// A backend that has a consistent picture of all records gives that. One that has not reads everything twice, and
    /// says `Changed` if that makes a difference.
    async fn export(&self, before: DateTime<Utc>) -> Result<Exported>;

    /// Puts these on record, which are of one kind. Each happens as a whole or not at all. Nothing is overwritten: at
    /// the first one whose place is taken this stops, with some of the others done.
    async fn import(&self, entries: Vec<Entry>) -> Result<Imported>;
}

/// What [`Snapshot::export`] gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exported {
    /// All records.
    Entries(Vec<Entry>),
    /// So many messages are leased: they may be on their way at this moment.
    Leased(usize),
    /// Records changed while they were read.
    Changed,
}

/// What became of [`Snapshot::import`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Imported {
    /// All are on record.
    Done,
    /// This one can't be, since something else is there or, for a session, its TN is not free.
    InTheWay(Place),
}

/// One record, with everything in the store that belongs to it.
///
/// What a store makes up by itself is not in it: a free TN's place in the draw, who drains the outbox, the entries of
/// lists. Nor are the counters of answers to strangers, which matter for an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A number of the pool. Whether it is free is told by the sessions.
    Tn {
        /// The number.
        number: Number,
        /// Since when it is in the pool.
        added_at: DateTime<Utc>,
    },
    /// A session, with its routes and its TN while it is not ended. What bars its people is not told here.
    Session {
        /// The session.
        session: Session,
        /// When somebody ended it.
        ended_at: Option<DateTime<Utc>>,
    },
    /// A person has opted out of a TN.
    OptOut {
        /// The TN.
        tn: Number,
        /// The person.
        person: Number,
    },
    /// A text came in and led to no message that has its id.
    Inbound {
        /// The id that such a message would have had.
        id: MessageId,
        /// When the text came.
        received_at: DateTime<Utc>,
    },
    /// An outbound message. Its provider's id is at the same time the row of the provider's list that is credited to it.
    Message(Box<MessageEntry>),
}

/// An outbound message with all that is on record about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageEntry {
    /// The message; its content is empty if it is settled.
    pub outbound: Outbound,
    /// Where it stands.
    pub stage: Stage,
    /// The number of its newest lease.
    pub lease: u32,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was last tried.
    pub attempted_at: Option<DateTime<Utc>>,
    /// When the provider's list was first seen without it.
    pub absent_at: Option<DateTime<Utc>>,
    /// Its session ended while it was on its way: it must not be sent again.
    pub revoked: bool,
    /// The provider's id of it.
    pub provider_id: Option<String>,
    /// Why it is not sent.
    pub reason: Option<String>,
    /// The last delivery receipt, and its level.
    pub delivery: Option<(i64, Delivery)>,
    /// The levels of which a receipt has come, in order.
    pub levels: Vec<i64>,
}

/// Where a message stands that nobody is sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// To be sent from then on.
    Waiting(DateTime<Utc>),
    /// Nobody knows yet whether the provider took it.
    Unknown,
    /// For good, since then. The state is none of `Sending` and `Waiting`.
    Settled(State, DateTime<Utc>),
}

/// What an entry is, and where it stands among the others: those that rest on others come after them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A number of the pool.
    Tn(Number),
    /// A session, by its creation.
    Session(DateTime<Utc>, SessionId),
    /// An opt-out of a TN, by a person.
    OptOut(Number, Number),
    /// An inbound text.
    Inbound(MessageId),
    /// A message, by its creation; of those created together starts come before ends, A's before B's.
    Message(DateTime<Utc>, u8, MessageId),
}

impl Entry {
    /// Its place; no two entries of a snapshot have the same.
    #[must_use]
    pub fn place(&self) -> Place {
        match self {
            Self::Tn { number, .. } => Place::Tn(*number),
            Self::Session { session, .. } => Place::Session(session.created_at, session.id),
            Self::OptOut { tn, person } => Place::OptOut(*tn, *person),
            Self::Inbound { id, .. } => Place::Inbound(*id),
            Self::Message(message) => {
                let Outbound { id, created_at, text } = &message.outbound;
                let kind = match text.kind {
                    Kind::Start => 0,
                    Kind::Relay | Kind::NoSession => 2,
                    Kind::End | Kind::Expired => 4,
                };
                Place::Message(*created_at, kind + u8::from(text.to_role == Some(Role::B)), *id)
            }
        }
    }

    /// Whether it was settled, received or ended before then: it is to be forgotten.
    #[must_use]
    pub fn is_past(&self, before: DateTime<Utc>) -> bool {
        let over_since = match self {
            Self::Tn { .. } | Self::OptOut { .. } => None,
            Self::Session { ended_at, .. } => *ended_at,
            Self::Inbound { received_at, .. } => Some(*received_at),
            Self::Message(message) => match message.stage {
                Stage::Settled(_, at) => Some(at),
                Stage::Waiting(_) | Stage::Unknown => None,
            },
        };
        over_since.is_some_and(|since| since < before)
    }
}

impl Place {
    /// What kind of entry it is, in words.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Tn(_) => "TN",
            Self::Session(..) => "session",
            Self::OptOut(..) => "opt-out",
            Self::Inbound(_) => "inbound text",
            Self::Message(..) => "message",
        }
    }
}

/// Names the entry without showing a phone number in full.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = self.kind();
        match self {
            Self::Tn(number) => write!(f, "{kind} {}", number.masked()),
            Self::Session(_, id) => write!(f, "{kind} {id}"),
            Self::OptOut(tn, person) => write!(f, "{kind} of {} from {}", person.masked(), tn.masked()),
            Self::Inbound(id) | Self::Message(_, _, id) => write!(f, "{kind} {id}"),
        }
    }
}
