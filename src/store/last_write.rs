//! The outcome of the last write, which tells whether a store can be written.

use super::{Result, StoreError};
use crate::limits;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

/// The last write of a store in this process. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct LastWrite(Arc<Mutex<Option<Ended>>>);

#[derive(Debug, Clone)]
struct Ended {
    at: Instant,
    outcome: Result<()>,
}

impl LastWrite {
    /// Keeps the outcome of a write. A record of a newer release does not count as a failure.
    pub(super) fn keep(&self, outcome: Result<()>) {
        let outcome = match outcome {
            Err(StoreError::Unreadable(_)) => Ok(()),
            outcome => outcome,
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Ended { at: Instant::now(), outcome });
    }

    /// The outcome of the last write; `None` if that was more than [`limits::WRITE_CHECK`] ago.
    pub(super) fn recent(&self) -> Option<Result<()>> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        last.filter(|last| last.at.elapsed() < limits::WRITE_CHECK).map(|last| last.outcome)
    }
}
