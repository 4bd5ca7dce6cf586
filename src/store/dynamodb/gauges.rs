//! Gauges. Items that this version cannot read are not counted.

use super::{
    Dynamo,
    item::Item,
    keys::{self, BY_PENDING, TABLE},
};
use crate::{
    domain::{Gauges, State},
    store::Result,
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
}
