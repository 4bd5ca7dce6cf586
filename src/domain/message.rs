//! Messages: inbound texts, and what we send.

use super::{Blocked, MessageId, Number, Participant, Role, Session, SessionId, name::names};
use chrono::{DateTime, Utc};

/// What a message says. Its `Debug` form shows sizes only: no text may reach a log.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// The text; empty for media without words (Flowroute's `body: null`, docs/flowroute.md#payloads).
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

/// A text that was sent to one of our numbers.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// Flowroute's id of it, the same each time it is posted; without one duplicates can't be recognised.
    pub id: Option<String>,
    /// Who sent it.
    pub from: Number,
    /// The number it was sent to.
    pub to: Number,
    /// What it says.
    pub content: Content,
    /// When Flowroute took it; the flat form has no such time (docs/flowroute.md#webhook).
    pub sent_at: Option<DateTime<Utc>>,
    /// The post announces a picture that is not in it.
    pub media_missing: bool,
}

/// What a text causes: messages, and what identifies its duplicates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caused {
    /// The messages to be sent.
    pub messages: Vec<Outbound>,
    /// The text's dedupe key, if no message has it as its id.
    pub tombstone: Option<MessageId>,
}

impl Inbound {
    /// The key that identifies duplicates of the text.
    #[must_use]
    pub fn dedupe_key(&self) -> Option<MessageId> {
        self.id.as_deref().map(|id| MessageId::for_inbound(id, self.to))
    }

    /// Assigns ids to the messages that this text causes. The first of them gets the dedupe key, so that no separate
    /// record of the text is needed.
    #[must_use]
    pub fn cause(&self, texts: Vec<Text>, now: DateTime<Utc>) -> Caused {
        let mut messages = Outbound::all(texts, now);
        let mut tombstone = self.dedupe_key();
        if let Some(first) = messages.first_mut() {
            first.id = tombstone.take().unwrap_or(first.id);
        }
        Caused { messages, tombstone }
    }
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
    /// Tells a participant that the session has expired.
    Expired,
    /// Tells a sender that there is no session.
    NoSession,
    /// Tells a participant that a text of theirs could not be delivered.
    NotDelivered,
}

names!(Kind {
    Relay => "relay",
    Start => "start",
    End => "end",
    Expired => "expired",
    NoSession => "no_session",
    NotDelivered => "not_delivered",
});

/// An outbound message before it has an id. Its recipient is never looked up again.
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
    /// Why it must not be sent, if so: then it is stored as failed.
    pub blocked: Option<Blocked>,
    /// What it says.
    pub content: Content,
}

impl Text {
    /// Whether the limit of its sender applies to it: it is a participant's text, and may be sent.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.kind == Kind::Relay && self.blocked.is_none()
    }

    /// A text to one of a session's participants, from the session's TN.
    #[must_use]
    pub fn in_session(session: &Session, kind: Kind, to: Participant, content: Content) -> Self {
        Self {
            kind,
            session: Some(session.id),
            from: session.tn,
            to: to.number,
            to_role: Some(to.role),
            blocked: to.blocked,
            content,
        }
    }
}

impl Session {
    /// The same notice for both participants, from the session's TN.
    #[must_use]
    pub fn notices(&self, kind: Kind, body: &str) -> [Text; 2] {
        self.participants.map(|to| Text::in_session(self, kind, to, body.into()))
    }
}

/// A text with its id.
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

    /// Gives each of these texts an id.
    #[must_use]
    pub fn all(texts: impl IntoIterator<Item = Text>, created_at: DateTime<Utc>) -> Vec<Self> {
        texts.into_iter().map(|text| Self::new(text, created_at)).collect()
    }
}
