//! A session: one virtual TN, two participants, for a while.

use super::{Kind, MessageId, Number, Outbound, SessionId, Text};
use chrono::{DateTime, Utc};

/// Which of a session's two participants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// `participant_a` of the API.
    A,
    /// `participant_b` of the API.
    B,
}

/// One of the two people of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Participant {
    /// Which of the two.
    pub role: Role,
    /// The person's own number, which the other never sees.
    pub number: Number,
    /// Why no text from the session's TN may go there, if that is so.
    pub barred: Option<Barred>,
}

/// Why a text must not be sent to somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Barred {
    /// The person has opted out of the TN that it would come from (FLOWROUTE.md 5).
    OptedOut,
    /// The number has become a TN of the pool: two proxies must never talk to each other.
    IsTn,
}

impl Barred {
    /// The reason as it is put on record.
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
    /// From this moment on it counts as ended, whether or not anybody has ended it yet.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Session {
    /// Whether the session's time has run out at `now`.
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

    /// The same notice for both participants, from the session's TN.
    #[must_use]
    pub fn notices(&self, kind: Kind, body: &str) -> [Text; 2] {
        self.participants.map(|to| Text::in_session(self, kind, to, body.into()))
    }
}

/// A session that is asked for, before a TN is found for it.
///
/// Its ids are drawn here, once: a store that has to try again writes the same session, never a second one.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The id it will have.
    pub id: SessionId,
    /// The two numbers, `A` first.
    pub participants: [Number; 2],
    /// When it is created.
    pub created_at: DateTime<Utc>,
    /// When it will count as ended.
    pub expires_at: Option<DateTime<Utc>>,
    /// What both are told at the start.
    pub start_notice: String,
    notice_ids: [MessageId; 2],
}

impl NewSession {
    /// A session for these two, with fresh ids.
    #[must_use]
    pub fn new(
        participants: [Number; 2],
        created_at: DateTime<Utc>,
        expires_at: Option<DateTime<Utc>>,
        start_notice: String,
    ) -> Self {
        Self {
            id: SessionId::random(),
            participants,
            created_at,
            expires_at,
            start_notice,
            notice_ids: [MessageId::random(), MessageId::random()],
        }
    }

    /// The session as it is on this TN, which neither of the two has opted out of, and its start notices.
    #[must_use]
    pub fn on(&self, tn: Number) -> (Session, [Outbound; 2]) {
        let [a, b] = self.participants;
        let session = Session {
            id: self.id,
            tn,
            participants: [(Role::A, a), (Role::B, b)].map(|(role, number)| Participant {
                role,
                number,
                barred: None,
            }),
            created_at: self.created_at,
            expires_at: self.expires_at,
        };
        let [to_a, to_b] = session.notices(Kind::Start, &self.start_notice);
        let [id_a, id_b] = self.notice_ids;
        let notices =
            [(id_a, to_a), (id_b, to_b)].map(|(id, text)| Outbound { id, created_at: self.created_at, text });
        (session, notices)
    }
}
