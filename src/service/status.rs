//! What the service holds, for people and programs that watch it.

use super::{Result, Service};
use crate::{
    domain::{Census, Failed, Gauges},
    telemetry::metrics::COUNTED_UP_TO,
};
use chrono::{DateTime, Utc};
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

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

/// The failures of the last hour in this process, counted by the minute.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<VecDeque<(i64, u32)>>);

const MINUTES: i64 = 60;

impl Failures {
    pub(super) fn add(&self, now: DateTime<Utc>) {
        let mut minutes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = minute(now);
        match minutes.iter_mut().find(|(counted, _)| *counted == minute) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => minutes.push_back((minute, 1)),
        }
        minutes.retain(|(counted, _)| is_recent(*counted, minute));
    }

    fn in_last_hour(&self, now: DateTime<Utc>) -> Failed {
        let minutes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = minutes.iter().filter(|(counted, _)| is_recent(*counted, minute(now)));
        let all = recent.fold(0_u32, |sum, (_, count)| sum.saturating_add(*count));
        Failed { count: all.min(COUNTED_UP_TO), at_least: all >= COUNTED_UP_TO }
    }
}

fn minute(time: DateTime<Utc>) -> i64 {
    time.timestamp().div_euclid(60)
}

/// Whether a minute is in the hour that ends with another. A later one is not: the clock was set back.
fn is_recent(minute: i64, now: i64) -> bool {
    (now - MINUTES..=now).contains(&minute)
}
