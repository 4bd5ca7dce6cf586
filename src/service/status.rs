//! What the service holds, for people and programs that watch it.

use super::{Result, Service};
use crate::{
    domain::{Census, Failed, Gauges},
    telemetry::metrics::COUNTED_UP_TO,
};
use chrono::{DateTime, Utc};

/// What the service holds. Each number is counted up to a maximum: there it means at least as many.
#[derive(Debug, Clone)]
pub struct Status {
    /// The maximum.
    pub counted_up_to: u32,
    /// The store, as `STORAGE` names it.
    pub storage: &'static str,
    /// The provider, as `SMS_PROVIDER` names it.
    pub provider: &'static str,
    /// The outbox and the free TNs.
    pub gauges: Gauges,
    /// The age of the oldest message that waits, in seconds.
    pub oldest_seconds: Option<i64>,
    /// The pool and the sessions.
    pub census: Census,
    /// Messages that failed for good in the last hour.
    pub failed: Failed,
    /// Whether the store has counted those. If not, only those that failed in this process are counted.
    pub failed_in_store: bool,
}

impl Service {
    /// What the service holds, at a cost that does not grow with it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn status(&self) -> Result<Status> {
        let now = self.now();
        let (gauges, census) =
            tokio::try_join!(self.store.gauges(COUNTED_UP_TO), self.store.census(COUNTED_UP_TO, now))?;
        let age = |since: DateTime<Utc>| (now - since).num_seconds().max(0);
        Ok(Status {
            counted_up_to: COUNTED_UP_TO,
            storage: self.store.name(),
            provider: self.provider.setting(),
            oldest_seconds: gauges.waiting_since.map(age),
            gauges,
            failed: census.failed.unwrap_or_else(|| self.failures.in_last_hour(now)),
            failed_in_store: census.failed.is_some(),
            census,
        })
    }
}
