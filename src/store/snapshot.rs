//! Export and import of all records, as plain values.

use super::Result;
use crate::domain::{
    Kind, Message, MessageId, Number, OptOutKey, Outbound, PersonHash, Role, Session, SessionId,
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};

/// A store that can be exported and imported, with the service stopped.
#[async_trait]
pub trait Snapshot: Send + Sync + 'static {
    /// All records, sorted by [`Entry::key`], except those settled, received or ended before then.
    ///
    /// A backend without consistent views of all records reads them twice, and returns `Changed` if the readings differ.
    async fn export(&self, before: DateTime<Utc>) -> Result<Exported>;

    /// Stores these records, which are of one kind. Atomic for each record. Nothing is overwritten: the import stops at the
    /// first record that conflicts with a stored one, and the records that were stored by then stay.
    async fn import(&self, entries: Vec<Entry>) -> Result<Imported>;
}

/// The outcome of [`Snapshot::export`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exported {
    /// All records.
    Entries(Vec<Entry>),
    /// Messages are leased, so they may be being sent; how many.
    Leased(usize),
    /// Records changed while they were read.
    Changed,
}

/// The outcome of [`Snapshot::import`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Imported {
    /// All are stored.
    Done,
    /// This one conflicts with a stored record or, for a session, its TN is not in the pool.
    Conflict(EntryKey),
}

/// One record.
///
/// What a store derives by itself is not exported: the free list, the drain lease, entries of lists. Nor are the counters of
/// replies to strangers, which are used for an hour only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A number of the pool. How many sessions it has follows from those.
    Tn {
        /// The number.
        number: Number,
        /// When it was added.
        added_at: DateTime<Utc>,
        /// Whether it takes no new sessions.
        draining: bool,
    },
    /// The key under which people are hashed, if there are opt-outs.
    OptOutKey(OptOutKey),
    /// A person has opted out of a TN.
    OptOut {
        /// The TN.
        tn: Number,
        /// The person.
        person: PersonHash,
    },
    /// A session, without who is blocked.
    Session {
        /// The session.
        session: Session,
        /// When it was ended.
        ended_at: Option<DateTime<Utc>>,
        /// What was requested with its idempotency key, as a hash.
        request: Option<String>,
    },
    /// The tombstone of a text that caused no message with its dedupe key.
    Inbound {
        /// The dedupe key.
        id: MessageId,
        /// When the text came.
        received_at: DateTime<Utc>,
    },
    /// An outbound message that is not leased. Its provider's id also counts as credited to it.
    Message(Box<Message>),
}

/// The identity and the sort key of an entry: entries come after those that they depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKey {
    /// A number of the pool.
    Tn(Number),
    /// The key of opt-outs.
    OptOutKey,
    /// An opt-out of a TN, by a person.
    OptOut(Number, PersonHash),
    /// A session, by its creation.
    Session(DateTime<Utc>, SessionId),
    /// An inbound text.
    Inbound(MessageId),
    /// A message, by its creation; of those created together starts are before ends, A's before B's, and a relay before the
    /// notice that it failed.
    Message(DateTime<Utc>, u8, MessageId),
}

impl Entry {
    /// Its key; no two entries of a snapshot have the same.
    #[must_use]
    pub fn key(&self) -> EntryKey {
        match self {
            Self::Tn { number, .. } => EntryKey::Tn(*number),
            Self::Session { session, .. } => EntryKey::Session(session.created_at, session.id),
            Self::OptOutKey(_) => EntryKey::OptOutKey,
            Self::OptOut { tn, person } => EntryKey::OptOut(*tn, *person),
            Self::Inbound { id, .. } => EntryKey::Inbound(*id),
            Self::Message(message) => {
                let Outbound { id, created_at, text } = &message.outbound;
                let kind = match text.kind {
                    Kind::Start => 0,
                    Kind::Relay | Kind::NoSession => 2,
                    Kind::NotDelivered => 4,
                    Kind::End | Kind::Expired => 6,
                };
                EntryKey::Message(*created_at, kind + u8::from(text.to_role == Some(Role::B)), *id)
            }
        }
    }

    /// Whether it was settled, received or ended before then, so it is past its retention.
    #[must_use]
    pub fn is_past(&self, before: DateTime<Utc>) -> bool {
        let over_since = match self {
            Self::Tn { .. } | Self::OptOutKey(_) | Self::OptOut { .. } => None,
            Self::Session { ended_at, .. } => *ended_at,
            Self::Inbound { received_at, .. } => Some(*received_at),
            Self::Message(message) => message.status.settled_at,
        };
        over_since.is_some_and(|since| since < before)
    }
}

/// The entries as an export returns them: sorted, without those past their retention, and without a key that no opt-out
/// needs, since an empty store may have one.
pub(super) fn exported(mut entries: Vec<Entry>, before: DateTime<Utc>) -> Exported {
    let has_opt_outs = entries.iter().any(|entry| matches!(entry, Entry::OptOut { .. }));
    entries.retain(|entry| !entry.is_past(before) && (has_opt_outs || !matches!(entry, Entry::OptOutKey(_))));
    entries.sort_by_key(Entry::key);
    Exported::Entries(entries)
}

impl EntryKey {
    /// The kind of entry, in words, and the fields that entries of this kind are sorted by.
    #[must_use]
    pub fn kind(&self) -> (&'static str, &'static str) {
        match self {
            Self::Tn(_) => ("TN", "number"),
            Self::Session(..) => ("session", "created_at, then id"),
            Self::OptOutKey => ("key of opt-outs", "nothing: there is one"),
            Self::OptOut(..) => ("opt-out", "tn, then person"),
            Self::Inbound(_) => ("inbound text", "id"),
            Self::Message(..) => ("message", "created_at, then kind and recipient, then id"),
        }
    }
}

/// Names the entry without showing a phone number in full.
impl std::fmt::Display for EntryKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kind, _) = self.kind();
        match self {
            Self::Tn(number) => write!(f, "{kind} {}", number.masked()),
            Self::Session(_, id) => write!(f, "{kind} {id}"),
            Self::OptOutKey => f.write_str(kind),
            Self::OptOut(tn, person) => write!(f, "{kind} of person {person} from {}", tn.masked()),
            Self::Inbound(id) | Self::Message(_, _, id) => write!(f, "{kind} {id}"),
        }
    }
}
