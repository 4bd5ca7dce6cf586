//! Gauges and census. Items that this version cannot read are not counted.

use super::{
    Dynamo,
    item::Item,
    keys::{self, BY_PENDING, TABLE},
    pool::TN_ATTRIBUTES,
    sessions::LIVE,
    tn_item::TnItem,
};
use crate::{
    domain::{Census, Gauges, State},
    store::{Result, skip_unreadable},
};
use chrono::{DateTime, Utc};

impl Dynamo {
    /// Takes one query per shard that has few entries. Of full shards, about `up_to` entries are read in all.
    pub(super) async fn count(&self, up_to: u32) -> Result<Gauges> {
        if up_to == 0 {
            return Ok(Gauges::default());
        }
        let limit = up_to as usize;
        let (waiting, unknown, free_tns) = tokio::try_join!(
            self.pending_up_to(State::Waiting, limit),
            self.pending_up_to(State::Unknown, limit),
            self.count_free(limit)
        )?;
        let count = |counted: usize| u32::try_from(counted).map_or(up_to, |counted| counted.min(up_to));
        Ok(Gauges {
            waiting: count(waiting.len()),
            waiting_since: waiting.into_iter().min(),
            unknown: count(unknown.len()),
            free_tns: count(free_tns),
        })
    }

    /// When the pending messages of this state were created: first a few of each shard, then shard after shard until there
    /// are enough.
    async fn pending_up_to(&self, state: State, up_to: usize) -> Result<Vec<DateTime<Utc>>> {
        let kind = state.as_str();
        let share = up_to.div_ceil(keys::PENDING_SHARDS as usize);
        let mut entries = self.pending(kind, None, None, share).await?;
        for shard in (0..keys::PENDING_SHARDS).map(keys::pending_shard) {
            let left = up_to.saturating_sub(entries.len());
            let is_of_shard = |entry: &&Item| entry.get("pending_pk").is_ok_and(|pk: String| pk == shard);
            let of_shard: Vec<&Item> = entries.iter().filter(is_of_shard).collect();
            if left > 0
                && of_shard.len() >= share
                && let Some(last) = of_shard.last()
            {
                let from = format!("{}!", last.get::<String>("pending_sk")?);
                let query = self.calls.query(&BY_PENDING, &shard).between(from, format!("{kind}#~"));
                entries.extend(query.limit(left).readable().await?);
            }
        }
        Ok(entries.iter().filter_map(|entry| entry.get("created_at").ok()).collect())
    }

    async fn count_free(&self, up_to: usize) -> Result<usize> {
        let mut count = 0;
        for shard in (0..keys::FREE_SHARDS).map(keys::free_shard) {
            if count >= up_to {
                break;
            }
            let query = self.calls.query(&TABLE, shard).only("item_version").limit(up_to - count);
            count += query.readable().await?.len();
        }
        Ok(count)
    }

    /// Takes one query per shard of the pool and of the list of live sessions, until there are enough of each. Which
    /// messages have failed is in no index.
    pub(super) async fn take_census(&self, up_to: usize, now: DateTime<Utc>) -> Result<Census> {
        let (tns, sessions) = tokio::try_join!(self.some_tns(up_to), self.count_live(up_to, now))?;
        let count = |counted: usize| u32::try_from(counted.min(up_to)).unwrap_or(u32::MAX);
        Ok(Census {
            tns: count(tns.len()),
            in_use: count(tns.iter().filter(|tn| tn.sessions > 0).count()),
            draining: count(tns.iter().filter(|tn| tn.draining).count()),
            sessions: count(sessions),
            failed: None,
        })
    }

    async fn some_tns(&self, up_to: usize) -> Result<Vec<TnItem>> {
        let mut tns = Vec::new();
        for shard in keys::TN_SHARDS.chars() {
            let left = up_to - tns.len();
            if left == 0 {
                break;
            }
            let query = self.calls.query(&TABLE, format!("TN#{shard}"));
            let query = query.only(TN_ATTRIBUTES).limit(left);
            let of_shard =
                query.keep(|item| skip_unreadable(Item::read(item).and_then(|item| TnItem::read(&item))));
            tns.extend(of_shard.await?.into_iter().take(left));
        }
        Ok(tns)
    }

    async fn count_live(&self, up_to: usize, now: DateTime<Utc>) -> Result<usize> {
        let mut count = 0;
        for shard in keys::LIVE_SHARDS.chars() {
            if count >= up_to {
                break;
            }
            let query = self.calls.query(&TABLE, format!("LIVE#{shard}")).only("item_version");
            let query = query.filter(LIVE).with("now", now).limit(up_to - count);
            count += query.readable().await?.len();
        }
        Ok(count)
    }
}
