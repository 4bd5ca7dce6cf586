//! Messages: what Flowroute posts to us, and what we send.

use super::{Barred, MessageId, Number, Participant, Role, Session, SessionId};
use chrono::{DateTime, Utc};

/// What a message says. Its `Debug` form shows sizes only: no text may reach a log.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// The text; empty for media without words (Flowroute's `body: null`, FLOWROUTE.md 8.6).
    pub body: String,
    /// Addresses of pictures and the like, in the order received.
    pub media_urls: Vec<String>,
}

impl Content {
    /// Neither text nor media.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.body.is_empty() && self.media_urls.is_empty()
    }
}

impl From<&str> for Content {
    fn from(body: &str) -> Self {
        Self { body: body.to_owned(), media_urls: Vec::new() }
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({} characters, {} media)", self.body.chars().count(), self.media_urls.len())
    }
}

/// A text that somebody sent to one of our numbers.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// Flowroute's id of it, the same each time it is posted; without one a repetition can't be recognised.
    pub id: Option<String>,
    /// Who sent it.
    pub from: Number,
    /// The number it was sent to.
    pub to: Number,
    /// What it says.
    pub content: Content,
    /// When Flowroute took it; the flat form does not say (FLOWROUTE.md 2.2).
    pub sent_at: Option<DateTime<Utc>>,
}

/// What Flowroute reports about a message that we sent (FLOWROUTE.md 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Our id of the message, from the callback's `?m=`.
    pub message: Option<MessageId>,
    /// Flowroute's id of the message.
    pub provider_id: String,
    /// 1: handed to the carrier; 2: anything after.
    pub level: i64,
    /// A word such as `smsc submit` or `delivered`.
    pub status: String,
    /// A code such as `1003`.
    pub code: Option<String>,
    /// When it happened.
    pub at: Option<DateTime<Utc>>,
}

/// What an outbound message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One participant's text on its way to the other.
    Relay,
    /// Tells a participant that the session has begun.
    Start,
    /// Tells a participant that the session was ended.
    End,
    /// Tells a participant that the session's time ran out.
    Expired,
    /// Tells a sender that there is no session.
    NoSession,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Relay, Self::Start, Self::End, Self::Expired, Self::NoSession];

    /// The kind's name on record, in logs and in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Start => "start",
            Self::End => "end",
            Self::Expired => "expired",
            Self::NoSession => "no_session",
        }
    }
}

/// A text to be sent: from where, to whom, saying what. The recipient is final; nobody looks it up again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// What it is for.
    pub kind: Kind,
    /// The session it belongs to; a text to a stranger has none.
    pub session: Option<SessionId>,
    /// The virtual TN that it comes from.
    pub from: Number,
    /// Who gets it.
    pub to: Number,
    /// Which participant of the session that is.
    pub to_role: Option<Role>,
    /// Why it must not be sent: it goes on record as failed.
    pub barred: Option<Barred>,
    /// What it says.
    pub content: Content,
}

impl Text {
    /// A text to one of a session's participants, from the session's TN.
    #[must_use]
    pub fn in_session(session: &Session, kind: Kind, to: Participant, content: Content) -> Self {
        Self {
            kind,
            session: Some(session.id),
            from: session.tn,
            to: to.number,
            to_role: Some(to.role),
            barred: to.barred,
            content,
        }
    }
}

/// A text under the id that it has on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// Our id of it.
    pub id: MessageId,
    /// When it was decided on.
    pub created_at: DateTime<Utc>,
    /// What is to be sent.
    pub text: Text,
}

impl Outbound {
    /// Gives the text an id.
    #[must_use]
    pub fn new(text: Text, created_at: DateTime<Utc>) -> Self {
        Self { id: MessageId::random(), created_at, text }
    }
}
