//! A session that is to be opened.

use super::{Kind, MessageId, Number, Outbound, Participant, Role, Session, SessionId, Sharing};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

/// A requested session, before a TN is found for it.
///
/// It has its ids already, so that a store that retries writes the same session, never a second one.
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
    /// The TN that it must get, if it is not to be picked.
    pub virtual_tn: Option<Number>,
    /// How it may share a TN with others.
    pub sharing: Sharing,
    /// What was requested with an idempotency key, as a hash; the id is then [that of the key](SessionId::for_key).
    pub request: Option<String>,
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
            virtual_tn: None,
            sharing: Sharing::default(),
            request: None,
            start_notice,
            notice_ids: [MessageId::random(), MessageId::random()],
        }
    }

    /// The same session, opened by a request with an idempotency key: another one with that key opens no other.
    #[must_use]
    pub fn with_key(self, key: &str) -> Self {
        let [a, b] = self.participants.map(Number::digits);
        let window = self.window().map(|window| window.num_milliseconds());
        let requested = format!("{a} {b} {window:?} {:?}", self.virtual_tn.map(Number::digits));
        let request = Uuid::new_v5(&Uuid::NAMESPACE_OID, requested.as_bytes()).simple().to_string();
        Self { id: SessionId::for_key(key), request: Some(request), ..self }
    }

    /// The time to its expiry.
    #[must_use]
    pub fn window(&self) -> Option<TimeDelta> {
        self.expires_at.map(|expiry| expiry - self.created_at)
    }

    /// The ids of the start notices.
    #[must_use]
    pub fn notice_ids(&self) -> [MessageId; 2] {
        self.notice_ids
    }

    /// The session on this TN, which neither participant has opted out of, and its start notices.
    #[must_use]
    pub fn on(&self, tn: Number) -> (Session, [Outbound; 2]) {
        let [a, b] = self.participants;
        let session = Session {
            id: self.id,
            tn,
            participants: [(Role::A, a), (Role::B, b)].map(|(role, number)| Participant {
                role,
                number,
                blocked: None,
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
