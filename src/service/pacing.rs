//! Spaces the sends of one process evenly (FLOWROUTE.md 1.5).

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::time::Duration;
use tokio::{sync::Mutex, time::Instant};

/// How long the pauses of one second are together: a tenth more than a second, since the way to Flowroute takes
/// now longer, now shorter, and what counts is when a text arrives there.
const STRETCHED_SECOND: Duration = Duration::from_millis(1100);

/// Gives out places in time, first come, first served. There is no burst.
pub(super) struct Pacer {
    texts: Option<Mutex<DefaultDirectRateLimiter>>,
    /// When the last message with media left: Flowroute takes one a second, besides counting it as a text.
    last_media: Mutex<Option<Instant>>,
}

impl Pacer {
    /// At most so many texts in any second; 0: no limit at all.
    pub(super) fn new(max_per_second: u32) -> Self {
        let pause = STRETCHED_SECOND.checked_div(max_per_second);
        let quota = pause.and_then(Quota::with_period);
        let texts = quota.map(|quota| Mutex::new(RateLimiter::direct(quota)));
        Self { texts, last_media: Mutex::default() }
    }

    /// Waits for the next place; whether it had to wait. Dropping the future gives the place back.
    pub(super) async fn place(&self, has_media: bool) -> bool {
        let Some(texts) = &self.texts else { return false };
        let asked = Instant::now();
        if has_media {
            let mut last = self.last_media.lock().await;
            if let Some(last) = *last {
                tokio::time::sleep_until(last + STRETCHED_SECOND).await;
            }
            texts.lock().await.until_ready().await;
            *last = Some(Instant::now());
        } else {
            // Waiting while holding the lock keeps the others in line behind.
            texts.lock().await.until_ready().await;
        }
        asked.elapsed() > Duration::from_millis(1)
    }
}
