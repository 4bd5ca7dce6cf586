//! Spaces the sends of one process evenly (FLOWROUTE.md 1.5).

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::time::Duration;
use tokio::{sync::Mutex, time::Instant};

/// How long the pauses of one second are together: a tenth more than a second, since the way to Flowroute takes
/// now longer, now shorter, and what counts is when a text arrives there.
const STRETCHED_SECOND: Duration = Duration::from_millis(1100);
/// What takes longer than this between a place and its send makes the next place too early.
const AT_ONCE: Duration = Duration::from_millis(5);

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

    /// Waits for the next place, then asks `may_go`, telling it whether there was a wait, and returns its answer: now is
    /// the time to send. Whoever comes later waits behind. Dropping the future gives the place up.
    pub(super) async fn in_turn<F: Future>(
        &self,
        has_media: bool,
        may_go: impl FnOnce(bool) -> F,
    ) -> F::Output {
        let Some(texts) = &self.texts else { return may_go(false).await };
        let asked = Instant::now();
        if !has_media {
            return in_turn(texts, asked, may_go).await;
        }
        let mut last = self.last_media.lock().await;
        if let Some(last) = *last {
            tokio::time::sleep_until(last + STRETCHED_SECOND).await;
        }
        let answer = in_turn(texts, asked, may_go).await;
        *last = Some(Instant::now());
        answer
    }
}

async fn in_turn<F: Future>(
    texts: &Mutex<DefaultDirectRateLimiter>,
    asked: Instant,
    may_go: impl FnOnce(bool) -> F,
) -> F::Output {
    // Waiting while holding the lock keeps the others in line behind.
    let texts = texts.lock().await;
    texts.until_ready().await;
    let ready = Instant::now();
    let answer = may_go(ready - asked > Duration::from_millis(1)).await;
    if ready.elapsed() > AT_ONCE {
        // The answer took its time: the pause to the next one counts from now.
        texts.until_ready().await;
    }
    answer
}
