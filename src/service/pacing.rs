//! Spaces the sends of one process evenly (docs/flowroute.md#limits).

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::time::Duration;
use tokio::{sync::Mutex, time::Instant};

/// The time in which as many messages are sent as Flowroute takes in a second: longer, because the latency to Flowroute
/// varies, and Flowroute counts arrivals.
const STRETCHED_SECOND: Duration = Duration::from_millis(1100);
/// If the caller uses its slot for longer than this, the next slot would be too early.
const MAX_SLOT_USE: Duration = Duration::from_millis(5);

/// A FIFO rate limiter without bursts.
pub(super) struct Pacer {
    texts: Option<Mutex<DefaultDirectRateLimiter>>,
    /// When the last message with media was sent: Flowroute takes one a second, and counts it as a text too.
    last_media: Mutex<Option<Instant>>,
}

impl Pacer {
    /// At most this many messages in any second; 0: no limit.
    pub(super) fn new(max_per_second: u32) -> Self {
        let pause = STRETCHED_SECOND.checked_div(max_per_second);
        let quota = pause.and_then(Quota::with_period);
        let texts = quota.map(|quota| Mutex::new(RateLimiter::direct(quota)));
        Self { texts, last_media: Mutex::default() }
    }

    /// Acquires a slot, then runs `may_go`, which is told whether there was a wait, and returns its result: the caller
    /// sends then. Later callers queue behind. Dropping the future releases the slot.
    pub(super) async fn in_turn<F: Future>(
        &self,
        has_media: bool,
        may_go: impl FnOnce(bool) -> F,
    ) -> F::Output {
        let Some(texts) = &self.texts else { return may_go(false).await };
        let arrived = Instant::now();
        if !has_media {
            return in_turn(texts, arrived, may_go).await;
        }
        let mut last = self.last_media.lock().await;
        if let Some(last) = *last {
            tokio::time::sleep_until(last + STRETCHED_SECOND).await;
        }
        let result = in_turn(texts, arrived, may_go).await;
        *last = Some(Instant::now());
        result
    }
}

async fn in_turn<F: Future>(
    texts: &Mutex<DefaultDirectRateLimiter>,
    arrived: Instant,
    may_go: impl FnOnce(bool) -> F,
) -> F::Output {
    // Waiting while holding the lock keeps the queue in order.
    let texts = texts.lock().await;
    texts.until_ready().await;
    let ready = Instant::now();
    let result = may_go(ready - arrived > Duration::from_millis(1)).await;
    if ready.elapsed() > MAX_SLOT_USE {
        // Starts the pause to the next slot again.
        texts.until_ready().await;
    }
    result
}
