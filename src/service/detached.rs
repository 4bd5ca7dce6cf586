//! Work that a caller who gives up does not cancel.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::runtime::Handle;

/// Runs work in the task of its caller. When the caller is dropped first, for example because its client disconnects, the
/// rest of the work runs in a task of its own. Most callers wait, and a task for each costs wake-ups of other threads.
pub(super) struct Detached<F>(Option<Pin<Box<F>>>)
where
    F: Future<Output: Send> + Send + 'static;

impl<F: Future<Output: Send> + Send + 'static> Detached<F> {
    pub(super) fn new(work: F) -> Self {
        Self(Some(Box::pin(work)))
    }
}

impl<F: Future<Output: Send> + Send + 'static> Future for Detached<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Some(work) = &mut self.0 else { return Poll::Pending };
        let polled = work.as_mut().poll(cx);
        if polled.is_ready() {
            self.0 = None;
        }
        polled
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Detached<F> {
    fn drop(&mut self) {
        // Without a runtime the process is at its end.
        if let (Some(rest), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(rest);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;
    use std::{sync::Arc, time::Duration};
    use tokio::{sync::Notify, time::timeout};

    /// Work that waits for `go`, then says that it is done.
    async fn work(go: Arc<Notify>, done: Arc<Notify>) -> u8 {
        go.notified().await;
        done.notify_one();
        7
    }

    #[tokio::test]
    async fn a_caller_who_waits_gets_the_result() {
        let (go, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        go.notify_one();
        assert_eq!(Detached::new(work(go, done)).await, 7);
    }

    #[tokio::test]
    async fn the_work_goes_on_after_its_caller_has_given_up() {
        let (go, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let caller = Detached::new(work(Arc::clone(&go), Arc::clone(&done)));
        timeout(Duration::ZERO, caller).await.unwrap_err();
        go.notify_one();
        timeout(Duration::from_secs(60), done.notified()).await.unwrap();
    }
}
