//! The sharded free list of TNs, with a sampled size estimate.
//!
//! The first [`SINGLE_SHARD_LIMIT`] TNs of the pool are in one shard, so that in a small pool one query finds a free one.
//! The others are in any of [`keys::FREE_SHARDS`], because a shard takes 250 sessions a second, at four transactional
//! write units each.
//!
//! The size estimate decides only in which shard a TN is put and in which shard a search begins. Every search covers all
//! shards before it finds that no TN is free.

use super::{
    Dynamo,
    change::Change,
    item::{Attribute, Item},
    keys::{self, Key},
};
use crate::{domain::Number, store::Result};
use aws_sdk_dynamodb::types::AttributeValue;
use std::sync::atomic::Ordering;

/// The size of the pool from which on TNs are put in all shards.
const SINGLE_SHARD_LIMIT: u64 = 1_000;
/// One number in 97 is counted, so that thousands that are added together do not contend. It is chosen by the remainder and
/// not by the last digits, because round numbers are sold separately.
const SAMPLE_RATE: u64 = 97;
/// The number of free TNs that are read to pick one. If a participant has opted out of all of these, more are read.
const PICK_FROM: i32 = 10;

/// An entry of the free list: its shard, and its random sort key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FreeSlot {
    shard: u32,
    sort_key: String,
}

impl FreeSlot {
    /// A slot for one more TN of a pool of this size.
    pub(super) fn next(pool_size: u64) -> Self {
        let shard = if pool_size < SINGLE_SHARD_LIMIT { 0 } else { rand::random_range(0..keys::FREE_SHARDS) };
        Self { shard, sort_key: format!("{:016x}", rand::random::<u64>()) }
    }

    /// A random slot in a pool of this size: each shard is as likely as its share of the TNs.
    pub(super) fn random(pool_size: u64) -> Self {
        // Up to this many were added since the last counted one.
        Self::next(rand::random_range(0..pool_size.saturating_add(SAMPLE_RATE)))
    }

    pub(super) fn key(&self) -> Key {
        keys::free(self.shard, &self.sort_key)
    }

    /// The entry of a free TN.
    pub(super) fn item(&self, tn: Number) -> Item {
        Item::new(&self.key()).with("tn_number", tn)
    }
}

impl Attribute for FreeSlot {
    fn write(&self) -> Option<AttributeValue> {
        format!("{}#{}", self.shard, self.sort_key).write()
    }

    fn read(value: Option<&AttributeValue>) -> Option<Self> {
        let (shard, sort_key) = value?.as_s().ok()?.split_once('#')?;
        Some(Self { shard: shard.parse().ok()?, sort_key: sort_key.to_owned() })
    }
}

/// Counts a TN that is added (`by` 1) or removed (-1), if it is in the sample.
pub(super) fn count_tn(tn: Number, by: i64) -> Option<Change> {
    let count = || Change::upsert(keys::pool()).add("counted_tns", by);
    tn.as_u64().is_multiple_of(SAMPLE_RATE).then(count)
}

impl Dynamo {
    /// Estimates the size of the pool from its counter, and caches the estimate.
    pub(super) fn cache_pool_size(&self, pool: Option<&Item>) -> Result<u64> {
        let counted: Option<i64> = pool.map_or(Ok(None), |item| item.get("counted_tns"))?;
        let size = u64::try_from(counted.unwrap_or(0)).unwrap_or(0).saturating_mul(SAMPLE_RATE);
        self.pool_size.store(size, Ordering::Relaxed);
        Ok(size)
    }

    /// A slot for a TN that becomes free, by the cached size of the pool.
    pub(super) fn slot_of_freed(&self) -> FreeSlot {
        FreeSlot::random(self.pool_size.load(Ordering::Relaxed))
    }

    /// Picks a random free TN that is not in `opted_out`. The cost does not grow with the pool.
    pub(super) async fn pick(&self, pool_size: u64, opted_out: &[Number]) -> Result<Option<(Number, Key)>> {
        let FreeSlot { shard: first, sort_key } = FreeSlot::random(pool_size);
        // The larger side first: even in a small pool it is rarely empty.
        let backwards = sort_key.as_str() >= "8";
        let mut unreadable = None;
        for n in 0..keys::FREE_SHARDS {
            let shard = keys::free_shard((first + n) % keys::FREE_SHARDS);
            for backwards in [backwards, !backwards] {
                let query = self.calls.query(&keys::TABLE, &shard).backwards(backwards);
                let query =
                    query.sk(if backwards { "<" } else { ">" }, &sort_key).limit(1).min_page(PICK_FROM);
                let free = |item| match Item::read(item) {
                    Ok(item) => {
                        let tn: Number = item.get("tn_number")?;
                        Ok((!opted_out.contains(&tn)).then_some((tn, item.key()?)))
                    }
                    Err(error) => {
                        unreadable = Some(error);
                        Ok(None)
                    }
                };
                let mut free = query.keep(free).await?;
                if !free.is_empty() {
                    return Ok(Some(free.swap_remove(rand::random_range(0..free.len()))));
                }
            }
        }
        // Free TNs that only a newer release can read are an error.
        unreadable.map_or(Ok(None), Err)
    }
}
