//! What a request is answered when its time is up and its work goes on.

use super::{Error, Result, Service};
use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::timeout;

/// How much earlier than the request the work in it has to be done.
const EARLIER: Duration = Duration::from_millis(500);

/// What a request would be answered with.
pub(super) struct Answer<T>(Arc<Mutex<State<T>>>);

enum State<T> {
    /// Nobody knows yet whether it will be on record.
    Open,
    /// It is on record.
    Prepared(T),
    /// It was given, or the time for it is over.
    Closed,
}

impl<T> Clone for Answer<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Answer<T> {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(State::Open)))
    }

    /// It is on record: from now on the request may be answered so, whatever becomes of the texts. `false`: it comes too
    /// late, the caller was told that it took too long.
    pub(super) fn prepare(&self, answer: T) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = matches!(*state, State::Open);
        if open {
            *state = State::Prepared(answer);
        }
        open
    }

    /// Takes the answer away, and closes it. `None`: none is prepared, or it was given already.
    pub(super) fn take(&self) -> Option<T> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Closed) {
            State::Prepared(answer) => Some(answer),
            State::Open | State::Closed => None,
        }
    }
}

impl Service {
    /// Does what a request asks for in a task of its own, and waits for it as long as a request may take. When the
    /// time is up, the answer is what `work` has prepared; without that nobody knows whether it will be on record.
    ///
    /// In Lambda the rest of the work stands still then, until the next event or for good. That is safe: a message that
    /// is not settled is looked up when its lease has run out.
    pub(super) async fn in_time<T, F>(&self, work: impl FnOnce(Answer<T>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let answer = Answer::new();
        let work = self.to_the_end(work(answer.clone()));
        match timeout(self.time_for_work(), work).await {
            Ok(done) => done,
            Err(_) => answer.take().ok_or(Error::Late),
        }
    }

    /// How long a request waits for what it asks for.
    pub(super) fn time_for_work(&self) -> Duration {
        self.options.request_limit.saturating_sub(EARLIER)
    }
}
