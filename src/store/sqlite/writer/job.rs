//! A write in the queue of the writer thread.

use crate::{
    domain::MessageId,
    store::{Result, StoreError},
};
use rusqlite::Connection;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::oneshot;

pub(super) fn busy() -> StoreError {
    StoreError::Unavailable("too many writes are waiting".into())
}

pub(super) fn stopped() -> StoreError {
    StoreError::Unavailable("the writer thread has stopped".into())
}

pub(super) trait Write: Send {
    /// Runs the write, and keeps its result. Whether it succeeded.
    fn run(&mut self, db: &Connection) -> bool;
    /// Reports the result, or why its transaction has failed.
    fn reply(self: Box<Self>, end: Result<()>);
    fn is_abandoned(&self) -> bool {
        false
    }
    /// Whether its success shows that a text can be stored.
    fn is_proof(&self) -> bool {
        true
    }
    /// Whether nobody waits for it.
    fn is_deferred(&self) -> bool {
        false
    }
    /// Whether it failed, and may succeed if it is repeated.
    fn may_be_repeated(&self, _end: &Result<()>) -> bool {
        false
    }
}

/// A write whose caller waits for its result.
pub(super) struct Job<T, F> {
    pub(super) work: F,
    pub(super) is_proof: bool,
    pub(super) result: Option<Result<T>>,
    pub(super) reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Write for Job<T, F>
where
    T: Send + 'static,
    F: FnMut(&Connection) -> Result<T> + Send + 'static,
{
    fn run(&mut self, db: &Connection) -> bool {
        let result = (self.work)(db);
        let is_ok = result.is_ok();
        self.result = Some(result);
        is_ok
    }

    fn reply(self: Box<Self>, end: Result<()>) {
        let result = match (self.result, end) {
            (Some(Ok(_)) | None, Err(error)) => Err(error),
            (Some(result), _) => result,
            (None, Ok(())) => Err(stopped()),
        };
        // If the caller was dropped, the write is kept all the same.
        let _ = self.reply.send(result);
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn is_proof(&self) -> bool {
        self.is_proof
    }
}

/// A write on a message that nobody waits for.
pub(super) struct Deferred<F> {
    message: MessageId,
    work: F,
    result: Result<()>,
    /// How many there are.
    count: Arc<AtomicUsize>,
}

impl<F> Deferred<F> {
    pub(super) fn new(message: MessageId, work: F, count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self { message, work, result: Ok(()), count: Arc::clone(count) }
    }
}

impl<F> Drop for Deferred<F> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<F: FnMut(&Connection) -> Result<()> + Send + 'static> Write for Deferred<F> {
    fn run(&mut self, db: &Connection) -> bool {
        self.result = (self.work)(db);
        self.result.is_ok()
    }

    fn reply(self: Box<Self>, end: Result<()>) {
        if let Err(error) = self.result.clone().and(end) {
            tracing::error!(outbound = %self.message, %error, "outcome not stored");
        }
    }

    fn is_deferred(&self) -> bool {
        true
    }

    fn may_be_repeated(&self, end: &Result<()>) -> bool {
        self.result.as_ref().err().or(end.as_ref().err()).is_some_and(StoreError::is_retryable)
    }
}
