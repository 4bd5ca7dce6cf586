//! Messages that failed for good in this process, for stores that cannot count them.

use crate::{domain::Failed, telemetry::metrics::COUNTED_UP_TO};
use chrono::{DateTime, Utc};
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

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

    pub(super) fn in_last_hour(&self, now: DateTime<Utc>) -> Failed {
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
