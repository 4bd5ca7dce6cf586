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
    /// Of the shorter window.
    times: Vec<DateTime<Utc>>,
    /// The replies of the last 24 hours, for the counter of all replies.
    hours: Vec<Hour>,
    version: i64,
}

/// The replies of one hour of the clock. A list of a thousand times would make the item large.
#[derive(Debug, Clone, Copy)]
struct Hour {
    /// When the last of them was sent.
    last: DateTime<Utc>,
    replies: u32,
}

/// Reads the counters that are stored under [`keys::reply_counters`].
pub(super) fn counters(found: &[Option<Item>]) -> Result<[Counter; 2]> {
    let counter = |n: usize| -> Result<Counter> {
        let Some(item) = &found[n] else { return Ok(Counter::default()) };
        let (last, replies): (Vec<_>, Vec<_>) = (item.get("hour_last")?, item.get("hour_replies")?);
        let hours = last.into_iter().zip(replies).map(|(last, replies)| Hour { last, replies }).collect();
        Ok(Counter { times: item.get("times")?, hours, version: item.get("counter_version")? })
    };
    Ok([counter(0)?, counter(1)?])
}

/// Whether a reply at this time counts in the window until now.
fn counts(time: DateTime<Utc>, window: TimeDelta, now: DateTime<Utc>) -> bool {
    time > now - window && !was_set_back(time, now)
}

impl Counter {
    /// Counts one more reply in the shorter window. `false`: there were `limit` already.
    fn add(&mut self, window: TimeDelta, limit: u32, now: DateTime<Utc>) -> bool {
        self.times.retain(|time| counts(*time, window, now));
        let is_free = self.times.len() < limit as usize;
        self.times.push(now);
        is_free
    }

    /// Counts one more reply in the last 24 hours. `false`: there were `limit` already.
    fn add_to_day(&mut self, limit: u32, now: DateTime<Utc>) -> bool {
        self.hours.retain(|hour| counts(hour.last, TimeDelta::hours(24), now));
        let replies = self.hours.iter().map(|hour| u64::from(hour.replies)).sum::<u64>();
        let number = |time: DateTime<Utc>| time.timestamp().div_euclid(3_600);
        match self.hours.iter_mut().find(|hour| number(hour.last) == number(now)) {
            Some(hour) => *hour = Hour { last: hour.last.max(now), replies: hour.replies + 1 },
            None => self.hours.push(Hour { last: now, replies: 1 }),
        }
        replies < u64::from(limit)
    }
}

impl Dynamo {
    /// Counts one more reply to this stranger from this TN, if the counters are still these. `None`: the quota is used up.
    pub(super) fn count_reply(
        &self,
        [tn, stranger]: [Number; 2],
        [mut to_stranger, mut to_all]: [Counter; 2],
        quota: ReplyQuota,
        now: DateTime<Utc>,
    ) -> Option<Vec<Change>> {
        let is_free = to_stranger.add(TimeDelta::hours(1), quota.per_hour, now)
            && to_all.add(TimeDelta::minutes(1), quota.per_minute, now)
            && to_all.add_to_day(quota.per_day, now);
        let counters = keys::reply_counters(tn, stranger).into_iter().zip([to_stranger, to_all]);
        let count = counters.map(|(key, Counter { times, hours, version })| {
            let item = Item::new(&key)
                .with("times", times)
                .with("hour_last", hours.iter().map(|hour| hour.last).collect::<Vec<_>>())
                .with("hour_replies", hours.iter().map(|hour| hour.replies).collect::<Vec<_>>())
                .with("counter_version", version + 1)
                .with("ttl_at", self.ttl(now));
            Change::put(item).when_equal("counter_version", (version > 0).then_some(version))
        });
        is_free.then(|| count.collect())
    }
}
