//! The sharded free list of TNs that take sessions, with a sampled size estimate.

use super::{
    Dynamo,
    change::Change,
    free_slot::{FreeSlot, SAMPLE_RATE},
    item::Item,
    keys::{self, Key},
    tn_item::TnItem,
};
use crate::{
    domain::{Choice, Number, Sharing},
    store::Result,
};
use futures_util::future::join_all;
use std::sync::atomic::Ordering;

/// The number of TNs that are reopened at a time in each shard of the pool.
const REOPENED_AT_A_TIME: usize = 10;
/// The number of free TNs that are read to pick one. If none of these will do, more are read.
const PICK_FROM: i32 = 10;

/// Counts a TN that is added (`by` 1) or removed (-1), if it is in the sample.
pub(super) fn count_tn(tn: Number, by: i64) -> Option<Change> {
    let count = || Change::upsert(keys::pool()).add("counted_tns", by);
    tn.as_u64().is_multiple_of(SAMPLE_RATE).then(count)
}

/// What is stored of the pool as a whole.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PoolItem {
    /// The estimated number of TNs.
    pub(super) size: u64,
    /// Each TN with fewer sessions than this is in the free list, unless it is draining; absent: each TN is.
    listed_below: Option<u32>,
}

impl PoolItem {
    fn lists_all_below(self, limit: u32) -> bool {
        self.listed_below.is_none_or(|below| below >= limit)
    }
}

/// The outcome of picking a TN.
pub(super) enum Pick {
    /// This TN will do.
    Tn(TnItem),
    /// No TN will do.
    Nothing,
    /// The free list has changed while it was read.
    Changed,
}

impl Dynamo {
    /// Reads the item of the pool, and caches the estimated size.
    pub(super) fn pool_item(&self, pool: Option<&Item>) -> Result<PoolItem> {
        let Some(item) = pool else { return Ok(PoolItem::default()) };
        let counted: Option<i64> = item.get("counted_tns")?;
        let size = u64::try_from(counted.unwrap_or(0)).unwrap_or(0).saturating_mul(SAMPLE_RATE);
        self.pool_size.store(size, Ordering::Relaxed);
        Ok(PoolItem { size, listed_below: item.get("listed_below")? })
    }

    /// A TN of the pool, as stored.
    pub(super) async fn tn_item(&self, tn: Number) -> Result<Option<TnItem>> {
        self.calls.get(keys::tn(tn)).await?.as_ref().map(TnItem::read).transpose()
    }

    /// A slot for a TN that becomes free, by the cached size of the pool.
    pub(super) fn slot_of_freed(&self) -> FreeSlot {
        FreeSlot::random(self.pool_size.load(Ordering::Relaxed))
    }

    /// Picks a TN that will do: the one that the two prefer, or a random one; one that is cooling off only if no other
    /// will do. The cost does not grow with the pool.
    pub(super) async fn pick(&self, pool: PoolItem, choice: &Choice, sharing: &Sharing) -> Result<Pick> {
        if let Some(tn) = choice.preferred
            && let Some(tn) = self.tn_item(tn).await?
            && tn.obstacle(choice, sharing).is_none()
        {
            return Ok(Pick::Tn(tn));
        }
        let limit = sharing.sessions_per_tn;
        let mut has_all = pool.lists_all_below(limit);
        let mut searches = 0;
        loop {
            searches += 1;
            match self.pick_among(pool, limit, |tn| choice.admits(tn, false)).await? {
                Pick::Nothing if !has_all => has_all = self.reopen(pool, limit).await?,
                // The list is read in parts: a TN may have become free behind the search, and another taken before it.
                Pick::Nothing if searches == 1 => {}
                Pick::Nothing => break,
                picked => return Ok(picked),
            }
        }
        match choice.has_cooling() {
            true => self.pick_among(pool, limit, |tn| choice.admits(tn, true)).await,
            false => Ok(Pick::Nothing),
        }
    }

    /// A random TN with room that `admits` admits.
    async fn pick_among(&self, pool: PoolItem, limit: u32, admits: impl Fn(Number) -> bool) -> Result<Pick> {
        loop {
            let Some((tn, slot)) = self.random_slot(pool.size, &admits).await? else {
                return Ok(Pick::Nothing);
            };
            let tn = self.tn_item(tn).await?;
            match tn.filter(|tn| tn.slot.as_ref().is_some_and(|own| own.key() == slot)) {
                Some(tn) if tn.sessions < limit => return Ok(Pick::Tn(tn)),
                // The limit has been lowered since.
                Some(tn) => {
                    self.note_closing(pool, limit).await?;
                    let _unless_it_has_changed = self.calls.write(tn.becoming(&tn.closed())).await?;
                }
                None => return Ok(Pick::Changed),
            }
        }
    }

    /// A random entry of the free list whose TN `admits` admits.
    async fn random_slot(
        &self,
        pool_size: u64,
        admits: impl Fn(Number) -> bool,
    ) -> Result<Option<(Number, Key)>> {
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
                        Ok(admits(tn).then_some((tn, item.key()?)))
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

    /// Notes that TNs with this number of sessions leave the free list, before one does.
    pub(super) async fn note_closing(&self, pool: PoolItem, limit: u32) -> Result<()> {
        if pool.listed_below.is_none_or(|below| below > limit) {
            let note = Change::upsert(keys::pool())
                .when("attribute_not_exists(listed_below) OR listed_below > :listed_below")
                .set("listed_below", limit);
            let _unless_it_is_lower = self.calls.write(vec![note]).await?;
        }
        Ok(())
    }

    /// Puts TNs that were full with fewer sessions than this back into the free list; whether those are all. The maximum
    /// has been raised.
    async fn reopen(&self, pool: PoolItem, limit: u32) -> Result<bool> {
        let full = "attribute_not_exists(free_slot) AND attribute_not_exists(draining) AND sessions < :limit";
        let mut has_all = true;
        for shard in keys::TN_SHARDS.chars() {
            let query = self.calls.query(&keys::TABLE, format!("TN#{shard}")).filter(full);
            let full = query.with("limit", limit).limit(REOPENED_AT_A_TIME).items().await?;
            has_all &= full.len() < REOPENED_AT_A_TIME;
            let reopening = full.iter().map(|item| async move {
                let tn = TnItem::read(item)?;
                self.calls.write(tn.becoming(&tn.open(FreeSlot::random(pool.size)))).await
            });
            for reopened in join_all(reopening).await {
                has_all &= reopened?.is_ok();
            }
        }
        if has_all {
            let done = Change::update(keys::pool()).when_equal("listed_below", pool.listed_below);
            let _unless_another_is_full = self.calls.write(vec![done.set("listed_below", limit)]).await?;
        }
        Ok(has_all)
    }
}
