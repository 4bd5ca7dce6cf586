//! Whoever carries our texts: Flowroute, or the sandbox that sends nothing.

pub mod flowroute;
mod sandbox;

pub use sandbox::{Sandbox, SandboxMessage};

use crate::domain::{Number, Outbound};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::time::Duration;

/// Sends texts.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// Sends one text, once: nothing is repeated and no redirect is followed. Returns the provider's id of it.
    ///
    /// # Errors
    /// Within `limit`, in one of three ways that differ in what may be done next.
    async fn send(&self, message: &Outbound, limit: Duration) -> Result<String, SendError>;

    /// All that the provider has taken from us since then, whole.
    ///
    /// # Errors
    /// When the list does not come whole within `limit`, or when there is none.
    async fn list(&self, since: DateTime<Utc>, limit: Duration) -> Result<Vec<Listed>, ListError>;

    /// Opens a connection ahead of the first text, by a request that does nothing and carries no credentials. Whether
    /// it succeeds does not matter.
    async fn connect(&self) {}
}

/// A row of the provider's list of what it has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The provider's id.
    pub id: String,
    /// From where.
    pub from: Number,
    /// To whom.
    pub to: Number,
    /// The text.
    pub body: String,
    /// When it was taken.
    pub sent_at: Option<DateTime<Utc>>,
}

/// Why there is no list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// The provider has none that could be compared.
    #[error("the provider has no list")]
    Unsupported,
    /// It could not be read, or not whole.
    #[error("{0}")]
    Failed(String),
}

/// Why a text is not known to be sent, by what the caller may do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The provider said no to this text. It must never be sent again.
    #[error("refused with {status}: {detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The recipient has opted out of this number (FLOWROUTE.md 5).
        opted_out: bool,
        /// The provider's words, without digit runs and without the text.
        detail: String,
    },
    /// The provider did not take it. It may be sent again.
    #[error("not taken: {detail}")]
    NotTaken {
        /// Whose turn it is.
        cause: NotTaken,
        /// What happened.
        detail: String,
    },
    /// It left, and no clear answer came: only the provider's own list can tell whether it was sent.
    #[error("no clear answer: {detail}")]
    Unknown {
        /// What happened.
        detail: String,
    },
}

/// Why the provider did not take a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// It could not be reached.
    NoConnection,
    /// It asks to slow down, or is closed for a while.
    Busy,
    /// It does not accept our credentials: the operator must mend them.
    Credentials,
    /// It does not understand us, a wrong address perhaps: the operator must mend something.
    Misconfigured,
}

impl NotTaken {
    /// Whether nothing gets better until the operator does something.
    #[must_use]
    pub fn needs_operator(self) -> bool {
        matches!(self, Self::Credentials | Self::Misconfigured)
    }
}
