//! SMS providers: Flowroute, and a sandbox that records messages instead of sending them.

pub mod flowroute;
mod sandbox;

pub use sandbox::{Sandbox, SandboxMessage};

use crate::domain::{Number, Outbound};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::{fmt, time::Duration};

/// Sends messages.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// The provider's name, for messages to people.
    fn name(&self) -> &'static str;

    /// The provider, as `SMS_PROVIDER` names it.
    fn setting(&self) -> &'static str;

    /// What the operator should do when the provider [needs them](NotTaken::needs_operator).
    fn remedy(&self) -> &'static str;

    /// Sends one message, once: nothing is retried and no redirect is followed. Returns the provider's id of it.
    ///
    /// # Errors
    /// After at most `limit`, classified by what the caller may do next.
    async fn send(&self, message: &Outbound, limit: Duration) -> Result<String, SendError>;

    /// The complete list of our messages that the provider has taken since then.
    ///
    /// # Errors
    /// When the list could not be read completely in `limit`, or when there is none.
    async fn list(&self, since: DateTime<Utc>, limit: Duration) -> Result<Vec<Listed>, ListError>;

    /// Opens a connection ahead of the first message, by a request that does nothing and has no credentials. Best effort.
    async fn connect(&self) {}
}

/// A row of the provider's message list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The provider's id.
    pub id: String,
    /// The sender.
    pub from: Number,
    /// The recipient.
    pub to: Number,
    /// The text.
    pub body: String,
    /// When it was taken.
    pub sent_at: Option<DateTime<Utc>>,
}

/// Why there is no list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// The provider has no list that can be compared.
    #[error("the provider has no list")]
    Unsupported,
    /// It could not be read completely.
    #[error("{0}")]
    Failed(String),
}

/// Words of the provider, which may quote the text or a number in any form. They are shown to a caller who knows both, and
/// neither logged nor stored; so they have no `Display`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Quote(String);

impl Quote {
    /// These words.
    #[must_use]
    pub fn new(words: String) -> Self {
        Self(words)
    }

    /// The words; may be empty.
    #[must_use]
    pub fn words(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Quote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quote({} characters)", self.0.chars().count())
    }
}

/// Why a message is not known to be sent, by what the caller may do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The provider refused this message. It must never be sent again.
    #[error("refused with {status}: {detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The recipient has opted out of this number (docs/flowroute.md#opt-out).
        opted_out: bool,
        /// Why, in our words.
        detail: String,
        /// Why, in the provider's words.
        quote: Quote,
    },
    /// The provider did not take it. It may be sent again.
    #[error("not taken: {detail}")]
    NotTaken {
        /// Why.
        cause: NotTaken,
        /// What happened.
        detail: String,
    },
    /// The request left, and the outcome is unknown: only the provider's own list can tell whether it was sent.
    #[error("outcome unknown: {detail}")]
    Unknown {
        /// What happened.
        detail: String,
    },
}

/// Why the provider did not take a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// It could not be reached.
    NoConnection,
    /// It asks to slow down, or is down for maintenance.
    Busy,
    /// It does not accept our credentials: the operator must fix them.
    Credentials,
    /// It does not understand the request, perhaps because of a wrong address: the operator must fix a setting.
    Misconfigured,
}

impl NotTaken {
    /// Whether retrying is useless until the operator acts.
    #[must_use]
    pub fn needs_operator(self) -> bool {
        matches!(self, Self::Credentials | Self::Misconfigured)
    }
}
