//! The service, without HTTP, SQL or AWS.
//!
//! [`relay`] receives texts; [`outbox`] sends stored messages; the rest manages the pool and sessions.

mod detached;
mod erasure;
mod error;
mod failures;
mod maintenance;
mod opt_outs;
mod opt_words;
pub mod outbox;
mod pacing;
mod pool;
mod readings;
mod reconcile;
pub mod relay;
mod response;
mod sessions;
mod status;
mod wording;

pub use error::{Error, Result};
pub use maintenance::Round;
pub use opt_words::{InvalidWords, OptOutWords};
pub use reconcile::{ListVerdict, judge};
pub use status::Status;
pub use wording::Wording;

use crate::{
    domain::{AllowedCountries, SenderLimit, SessionId, Sharing},
    provider::Provider,
    store::{ReplyQuota, Store},
};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use detached::Detached;
use failures::Failures;
use futures_util::FutureExt;
use pacing::Pacer;
use readings::Readings;
use std::{
    future::Future,
    ops::Deref,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

/// The clock: a function, so that tests can set it.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// How the service behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The words of its own messages.
    pub wording: Wording,
    /// From the start of a request to the end of its last send.
    pub send_budget: Duration,
    /// How long a request may take as a whole. Longer than the budget.
    pub request_limit: Duration,
    /// How long a message is leased to a sender. Longer than the budget and the settling together.
    pub lease: Duration,
    /// How long after an attempt the provider's list is complete. Longer than the lease.
    pub lookup_settle: Duration,
    /// How sessions share TNs.
    pub sharing: Sharing,
    /// Whose numbers may be TNs and participants, and are answered as strangers.
    pub allowed_countries: AllowedCountries,
    /// The maximum number of replies to strangers.
    pub reply_quota: ReplyQuota,
    /// The maximum number of texts of one participant that are relayed.
    pub sender_limit: SenderLimit,
    /// The maximum number of messages that this process sends in any second; 0: no maximum.
    pub max_per_second: u32,
    /// How long records of messages, texts and ended sessions are kept.
    pub retention: TimeDelta,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            wording: Wording::default(),
            send_budget: Duration::from_secs(8),
            request_limit: Duration::from_secs(12),
            lease: Duration::from_secs(30),
            lookup_settle: Duration::from_secs(300),
            sharing: Sharing::default(),
            allowed_countries: AllowedCountries::default(),
            reply_quota: ReplyQuota { per_hour: 3, per_minute: 30, per_day: 1_000 },
            sender_limit: SenderLimit { per_minute: 30, per_day: 1_000 },
            max_per_second: 5,
            retention: TimeDelta::days(30),
        }
    }
}

/// The service: a store, a provider, and the rules between them. Clones are the same service.
#[derive(Clone)]
pub struct Service(Arc<Shared>);

/// What the clones of a service share: behind one pointer, since every request clones the service several times.
#[derive(Clone)]
pub struct Shared {
    store: Arc<dyn Store>,
    provider: Arc<dyn Provider>,
    options: Arc<Options>,
    clock: Clock,
    tasks: TaskTracker,
    stopping: CancellationToken,
    pacer: Arc<Pacer>,
    readings: Arc<Mutex<Readings>>,
    pending_rollbacks: Arc<Mutex<Vec<SessionId>>>,
    failures: Arc<Failures>,
}

impl Deref for Service {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Service {
    /// A service on this store and this provider, by the system's clock.
    pub fn new(store: Arc<dyn Store>, provider: Arc<dyn Provider>, options: Options) -> Self {
        Self(Arc::new(Shared {
            store: store.telling_senders(&options.wording.not_delivered_notice()),
            provider,
            pacer: Arc::new(Pacer::new(options.max_per_second)),
            options: Arc::new(options),
            clock: Arc::new(Utc::now),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            readings: Arc::default(),
            pending_rollbacks: Arc::default(),
            failures: Arc::default(),
        }))
    }

    /// The same service by another clock.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self(Arc::new(Shared { clock, ..Shared::clone(&self) }))
    }

    /// How long a request may take as a whole.
    #[must_use]
    pub fn request_limit(&self) -> Duration {
        self.options.request_limit
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<()> {
        Ok(self.store.ping().await?)
    }

    /// Whether the store answers and can be written.
    ///
    /// # Errors
    /// When it does not answer, or the last write failed.
    pub async fn check_health(&self) -> Result<()> {
        self.store.ping().await?;
        Ok(self.store.check_writes().await?)
    }

    /// Opens connections to the store and the provider ahead of the first request, concurrently, for at most `limit`.
    /// Best effort.
    pub async fn connect(&self, limit: Duration) {
        let store = async {
            if let Err(error) = self.store.connect().await {
                tracing::debug!(%error, "no connection to the store yet");
            }
        };
        let both = async { tokio::join!(store, self.provider.connect()) };
        if tokio::time::timeout(limit, both).await.is_err() {
            tracing::debug!("not all connections could be opened ahead of the first request");
        }
    }

    /// Waits until the running requests have sent and settled their messages. To be called when no more requests come.
    pub async fn finish(&self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The time now, with the precision that stores keep.
    fn now(&self) -> DateTime<Utc> {
        (self.clock)().trunc_subsecs(3)
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.options.send_budget
    }

    fn lease_until(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + self.options.lease
    }

    /// Runs `work`, which a client that disconnects does not cancel.
    async fn run_detached<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let work = AssertUnwindSafe(work.in_current_span()).catch_unwind();
        Detached::new(self.tasks.track_future(work)).await.unwrap_or_else(|_| {
            tracing::error!("a task panicked");
            Err(Error::Crashed)
        })
    }
}
