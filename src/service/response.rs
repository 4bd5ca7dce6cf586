//! The response to a request whose work takes longer than the request.

use super::{Error, Result, Service};
use crate::limits;
use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::timeout;

/// Holds the response to a request from the moment its effect is stored.
pub(super) struct ResponseSlot<T>(Arc<Mutex<Slot<T>>>);

enum Slot<T> {
    /// The effect is not stored yet.
    Empty,
    /// The effect is stored.
    Published(T),
    /// The response was taken, or the request timed out.
    Closed,
}

impl<T> Clone for ResponseSlot<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> ResponseSlot<T> {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Slot::Empty)))
    }

    /// Publishes the response when the effect is stored: it no longer depends on the sends. `false`: the caller was told
    /// that the request timed out.
    pub(super) fn publish(&self, response: T) -> bool {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_empty = matches!(*slot, Slot::Empty);
        if is_empty {
            *slot = Slot::Published(response);
        }
        is_empty
    }

    /// Takes the response and closes the slot. `None`: it was not published, or it was taken before.
    pub(super) fn take(&self) -> Option<T> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *slot, Slot::Closed) {
            Slot::Published(response) => Some(response),
            Slot::Empty | Slot::Closed => None,
        }
    }
}

impl Service {
    /// Runs the work of a request and waits for it. After the time limit the response is what the work
    /// has published; if nothing, the effect may or may not be stored.
    ///
    /// In Lambda the rest of the work is then frozen until the next event, or forever. That is safe: a message that is not
    /// settled is reclaimed when its lease has expired.
    pub(super) async fn respond<T, F>(&self, work: impl FnOnce(ResponseSlot<T>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let slot = ResponseSlot::new();
        let work = self.run_detached(work(slot.clone()));
        match timeout(self.time_for_work(), work).await {
            Ok(done) => done,
            Err(_) => slot.take().ok_or(Error::TimedOut),
        }
    }

    /// How long a request waits for its work.
    pub(super) fn time_for_work(&self) -> Duration {
        self.options.request_limit.saturating_sub(limits::RESPONSE_MARGIN)
    }
}
