//! The quota of replies to strangers.

use super::{Dynamo, change::Change, item::Item, keys};
use crate::{
    domain::{Number, was_set_back},
    store::{ReplyQuota, Result},
};
use chrono::{DateTime, TimeDelta, Utc};

/// When replies were sent, and the number of writes of the counter.
#[derive(Debug, Default)]
pub(super) struct Counter {
    times: Vec<DateTime<Utc>>,
    version: i64,
}

/// Reads the counters that are stored under [`keys::reply_counters`].
pub(super) fn counters(found: &[Option<Item>]) -> Result<[Counter; 2]> {
    let counter = |n: usize| -> Result<Counter> {
        let Some(item) = &found[n] else { return Ok(Counter::default()) };
        Ok(Counter { times: item.get("times")?, version: item.get("counter_version")? })
    };
    Ok([counter(0)?, counter(1)?])
}

impl Dynamo {
    /// Counts one more reply to this stranger from this TN, if the counters are still these. `None`: the quota is used up.
    pub(super) fn count_reply(
        &self,
        [tn, stranger]: [Number; 2],
        counters: [Counter; 2],
        quota: ReplyQuota,
        now: DateTime<Utc>,
    ) -> Option<Vec<Change>> {
        let windows = [(TimeDelta::hours(1), quota.per_hour), (TimeDelta::minutes(1), quota.per_minute)];
        let counted = keys::reply_counters(tn, stranger).into_iter().zip(counters).zip(windows);
        let count = counted.map(|((key, Counter { mut times, version }), (window, limit))| {
            times.retain(|time| *time > now - window && !was_set_back(*time, now));
            let is_free = times.len() < limit as usize;
            times.push(now);
            let item = Item::new(&key)
                .with("times", times)
                .with("counter_version", version + 1)
                .with("ttl_at", self.ttl(now));
            let known = (version > 0).then_some(version);
            is_free.then(|| Change::put(item).when_equal("counter_version", known))
        });
        count.collect()
    }
}
