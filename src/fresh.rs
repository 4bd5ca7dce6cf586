//! Clients whose kept connections may be dead are made anew.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

/// How long after its last use a client is still used in Lambda.
///
/// Between two events Lambda freezes the process for as long as it likes. The other side closes the connections
/// meanwhile, or a router on the way forgets them, and nobody is awake to notice. A text that is written into such a
/// connection is *unknown*, and a call to the store spends most of its time limit on it. A new connection costs some
/// tenths of a second at most.
///
/// The pools of HTTP clients have idle time-outs of their own, but they go by the monotonic clock, and AWS does not
/// say whether that runs on in a frozen process. The wall clock must be right after a freeze, since the signatures of
/// requests to AWS are refused otherwise. So both are asked, and either is enough.
///
/// Two seconds: servers keep idle connections for 5 s or more as a rule, and a busy function gets its next event much
/// earlier.
pub(crate) const LIMIT: Duration = Duration::from_secs(2);

/// The clocks that are asked, as a function, so that tests can set them.
pub(crate) type Clocks = fn() -> (SystemTime, Instant);

fn clocks() -> (SystemTime, Instant) {
    (SystemTime::now(), Instant::now())
}

/// A client, which shares its connections with its clones, and how to make another.
pub(crate) struct Fresh<T> {
    make: Box<dyn Fn() -> T + Send + Sync>,
    limit: Option<Duration>,
    clocks: Clocks,
    last: Mutex<(T, SystemTime, Instant)>,
}

impl<T: Clone> Fresh<T> {
    /// A client that is made anew when it was not used for so long; `None`: never.
    pub(crate) fn new(limit: Option<Duration>, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self::by(clocks, limit, make)
    }

    fn by(clocks: Clocks, limit: Option<Duration>, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        let (wall, monotonic) = clocks();
        Self { last: Mutex::new((make(), wall, monotonic)), make: Box::new(make), limit, clocks }
    }

    /// Makes the client anew for whoever asks next.
    pub(crate) fn renew(&self) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).0 = (self.make)();
    }

    /// The client to be used now.
    pub(crate) fn client(&self) -> T {
        let (wall, monotonic) = (self.clocks)();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (client, last_wall, last_monotonic) = &mut *last;
        // A wall clock that was put back tells nothing.
        let by_wall = wall.duration_since(*last_wall).unwrap_or(Duration::MAX);
        let unused = by_wall.max(monotonic.saturating_duration_since(*last_monotonic));
        if self.limit.is_some_and(|limit| unused > limit) {
            *client = (self.make)();
        }
        (*last_wall, *last_monotonic) = (wall, monotonic);
        client.clone()
    }
}

impl<T> fmt::Debug for Fresh<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fresh").field("limit", &self.limit).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        LazyLock,
        atomic::{AtomicU32, AtomicU64, Ordering::SeqCst},
    };

    static BEGINNING: LazyLock<(SystemTime, Instant)> = LazyLock::new(clocks);
    const SECOND: Duration = Duration::from_secs(1);

    /// Uses a client at these times, in seconds of the wall clock and of the monotonic one; which client it was.
    macro_rules! used_at {
        ($limit:expr, $($times:expr),*) => {{
            static WALL: AtomicU64 = AtomicU64::new(100);
            static MONOTONIC: AtomicU64 = AtomicU64::new(0);
            let clocks: Clocks = || {
                let (wall, monotonic) = *BEGINNING;
                let wall = wall + SECOND * u32::try_from(WALL.load(SeqCst)).unwrap_or(0);
                (wall, monotonic + SECOND * u32::try_from(MONOTONIC.load(SeqCst)).unwrap_or(0))
            };
            let made = AtomicU32::new(0);
            let fresh = Fresh::by(clocks, $limit, move || made.fetch_add(1, SeqCst));
            [$({
                let (wall, monotonic): (u64, u64) = $times;
                WALL.store(wall, SeqCst);
                MONOTONIC.store(monotonic, SeqCst);
                fresh.client()
            }),*]
        }};
    }

    #[test]
    fn a_client_in_use_is_kept() {
        assert_eq!(used_at!(Some(LIMIT), (100, 0), (102, 2), (103, 3), (105, 5)), [0; 4]);
    }

    #[test]
    fn either_clock_makes_a_client_anew() {
        assert_eq!(used_at!(Some(LIMIT), (103, 0), (103, 3), (3_600, 3), (3_600, 3)), [1, 2, 3, 3]);
    }

    #[test]
    fn a_wall_clock_that_is_put_back_makes_a_client_anew() {
        assert_eq!(used_at!(Some(LIMIT), (99, 0), (99, 0)), [1, 1]);
    }

    #[test]
    fn a_client_is_made_anew_on_demand() {
        let made = AtomicU32::new(0);
        let fresh = Fresh::new(None, move || made.fetch_add(1, SeqCst));
        assert_eq!((fresh.client(), fresh.client()), (0, 0));
        fresh.renew();
        assert_eq!((fresh.client(), fresh.client()), (1, 1));
    }

    #[test]
    fn without_a_limit_a_client_is_kept_for_good() {
        assert_eq!(used_at!(None, (99, 0), (9_000, 9_000)), [0, 0]);
    }
}
