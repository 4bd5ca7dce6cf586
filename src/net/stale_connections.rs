//! Replaces an HTTP client whose pooled connections may be stale.
//!
//! Lambda freezes the process between two events. Meanwhile the peer closes the connections, or a router drops them, and
//! the process does not notice. The outcome of a text sent over such a connection is *unknown*, and a call to the store
//! loses most of its time limit. A new connection costs some tenths of a second at most.
//!
//! The idle timeouts of HTTP clients use the monotonic clock, and AWS does not say whether it advances in a frozen process.
//! The wall clock does, because AWS refuses wrongly dated requests. A client is replaced if either clock says so.
//!
//! [`MAX_IDLE`](crate::limits::MAX_IDLE) is two seconds: servers usually keep idle connections for 5 s or more, and a
//! busy function gets its next event much earlier.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

/// Reads both clocks; a function, so that tests can set them.
pub(crate) type Clocks = fn() -> (SystemTime, Instant);

fn clocks() -> (SystemTime, Instant) {
    (SystemTime::now(), Instant::now())
}

/// A client, whose clones share its connections, and a function that makes a new one.
pub(crate) struct Reconnecting<T> {
    make: Box<dyn Fn() -> T + Send + Sync>,
    max_idle: Option<Duration>,
    clocks: Clocks,
    last: Mutex<(T, SystemTime, Instant)>,
}

impl<T: Clone> Reconnecting<T> {
    /// A client that is replaced after being idle for longer than `max_idle`; `None`: never.
    pub(crate) fn new(max_idle: Option<Duration>, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self::by(clocks, max_idle, make)
    }

    fn by(clocks: Clocks, max_idle: Option<Duration>, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        let (wall, monotonic) = clocks();
        Self { last: Mutex::new((make(), wall, monotonic)), make: Box::new(make), max_idle, clocks }
    }

    /// Replaces the client for its next user.
    pub(crate) fn invalidate(&self) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).0 = (self.make)();
    }

    pub(crate) fn client(&self) -> T {
        let (wall, monotonic) = (self.clocks)();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (client, last_wall, last_monotonic) = &mut *last;
        // A wall clock that was set back replaces the client.
        let by_wall = wall.duration_since(*last_wall).unwrap_or(Duration::MAX);
        let idle = by_wall.max(monotonic.saturating_duration_since(*last_monotonic));
        if self.max_idle.is_some_and(|max_idle| idle > max_idle) {
            *client = (self.make)();
        }
        (*last_wall, *last_monotonic) = (wall, monotonic);
        client.clone()
    }
}

impl<T> fmt::Debug for Reconnecting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnecting").field("max_idle", &self.max_idle).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;
    use std::sync::{
        LazyLock,
        atomic::{AtomicU32, AtomicU64, Ordering::SeqCst},
    };

    static BEGINNING: LazyLock<(SystemTime, Instant)> = LazyLock::new(clocks);
    const SECOND: Duration = Duration::from_secs(1);

    /// Uses a client at these times, in seconds of the wall clock and of the monotonic clock; which client it was.
    macro_rules! used_at {
        ($max_idle:expr, $($times:expr),*) => {{
            static WALL: AtomicU64 = AtomicU64::new(100);
            static MONOTONIC: AtomicU64 = AtomicU64::new(0);
            let clocks: Clocks = || {
                let (wall, monotonic) = *BEGINNING;
                let wall = wall + SECOND * u32::try_from(WALL.load(SeqCst)).unwrap_or(0);
                (wall, monotonic + SECOND * u32::try_from(MONOTONIC.load(SeqCst)).unwrap_or(0))
            };
            let made = AtomicU32::new(0);
            let client = Reconnecting::by(clocks, $max_idle, move || made.fetch_add(1, SeqCst));
            [$({
                let (wall, monotonic): (u64, u64) = $times;
                WALL.store(wall, SeqCst);
                MONOTONIC.store(monotonic, SeqCst);
                client.client()
            }),*]
        }};
    }

    #[test]
    fn a_client_in_use_is_kept() {
        assert_eq!(used_at!(Some(limits::MAX_IDLE), (100, 0), (102, 2), (103, 3), (105, 5)), [0; 4]);
    }

    #[test]
    fn either_clock_replaces_an_idle_client() {
        assert_eq!(
            used_at!(Some(limits::MAX_IDLE), (103, 0), (103, 3), (3_600, 3), (3_600, 3)),
            [1, 2, 3, 3]
        );
    }

    #[test]
    fn a_wall_clock_that_was_set_back_replaces_the_client() {
        assert_eq!(used_at!(Some(limits::MAX_IDLE), (99, 0), (99, 0)), [1, 1]);
    }

    #[test]
    fn an_invalidated_client_is_replaced() {
        let made = AtomicU32::new(0);
        let client = Reconnecting::new(None, move || made.fetch_add(1, SeqCst));
        assert_eq!((client.client(), client.client()), (0, 0));
        client.invalidate();
        assert_eq!((client.client(), client.client()), (1, 1));
    }

    #[test]
    fn without_a_limit_a_client_is_never_replaced() {
        assert_eq!(used_at!(None, (99, 0), (9_000, 9_000)), [0, 0]);
    }
}
