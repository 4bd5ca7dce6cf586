//! Errors of the store.

use crate::domain::{InvalidId, UnknownName};

/// The result of a store call.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Why a store call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It did not answer, refused the call, or could not write. The change may be stored all the same; repeating the call
    /// is safe.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// It holds a record that this version cannot read. Retrying does not help.
    #[error("the store holds something unreadable: {0}")]
    Unreadable(String),
}

impl StoreError {
    /// Whether the caller may retry.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl From<InvalidId> for StoreError {
    fn from(error: InvalidId) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl From<UnknownName> for StoreError {
    fn from(error: UnknownName) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// Skips and logs a record that this version cannot read, so that maintenance processes the others.
pub(crate) fn skip_unreadable<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Err(StoreError::Unreadable(what)) => {
            tracing::error!(what, "skipped an unreadable record");
            Ok(None)
        }
        read => read.map(Some),
    }
}
