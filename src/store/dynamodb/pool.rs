//! The pool of virtual TNs.

use super::{
    Dynamo,
    change::Change,
    free_list::{FreeSlot, count_tn},
    item::Item,
    keys::{self, TABLE},
    session_items,
};
use crate::{
    domain::{Number, Page, Part, PoolSize, VirtualTn},
    store::{AddTn, Pool, RemoveTn, Result},
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;

#[async_trait]
impl Pool for Dynamo {
    async fn add_tn(&self, tn: Number, now: DateTime<Utc>) -> Result<AddTn> {
        self.timed(async {
            let routes = self.calls.query(&TABLE, keys::person(tn)).between("R#", "R#~");
            for route in routes.items().await? {
                if session_items::has_session(&route) && route.is_unexpired(now)? {
                    return Ok(AddTn::IsParticipant);
                }
            }
            let added = self.calls.write(self.adding(tn, now).await?).await?.is_ok();
            Ok(if added { AddTn::Added } else { AddTn::Duplicate })
        })
        .await
    }

    async fn remove_tn(&self, tn: Number, now: DateTime<Utc>) -> Result<RemoveTn> {
        self.optimistic(|| async {
            let Some(item) = self.calls.get(keys::tn(tn)).await? else {
                return Ok(Some(RemoveTn::NotInPool));
            };
            let Some(id) = item.get("session_id")? else {
                let removed = self.calls.write(removing(tn, &item.get("free_slot")?)).await?;
                return Ok(removed.is_ok().then_some(RemoveTn::Removed));
            };
            if item.is_unexpired(now)? {
                return Ok(Some(RemoveTn::InUse(id)));
            }
            let session = self.calls.get(keys::session(id)).await?;
            Ok(match session.filter(|session| !session_items::is_ended(session)) {
                Some(session) => Some(RemoveTn::HeldByExpired(self.with_blocked(&session).await?)),
                None => None,
            })
        })
        .await
    }

    async fn tn(&self, tn: Number, now: DateTime<Utc>) -> Result<Option<VirtualTn>> {
        let read =
            async { self.calls.get(keys::tn(tn)).await?.map(|item| virtual_tn(&item, now)).transpose() };
        self.timed(read).await
    }

    async fn tns(&self, page: Page, now: DateTime<Utc>) -> Result<(Part<VirtualTn>, PoolSize)> {
        self.timed_list(async {
            let shards = keys::TN_SHARDS.chars().map(|shard| self.tns_of(shard, now));
            let mut tns = try_join_all(shards).await?.concat();
            let in_use = tns.iter().filter(|tn| tn.session.is_some()).count() as u64;
            let size = PoolSize { total: tns.len() as u64, in_use };
            if let Some(after) = &page.after {
                let after = after.parse().map_or_else(|_| after.clone(), Number::digits);
                tns.retain(|tn| tn.number.digits() > after);
            }
            tns.sort_by_key(|tn| tn.number);
            Ok((Part::cut(tns, page.limit, |tn| tn.number.digits()), size))
        })
        .await
    }
}

impl Dynamo {
    /// Adds a number to the pool, as a free one.
    pub(super) async fn adding(&self, tn: Number, now: DateTime<Utc>) -> Result<Vec<Change>> {
        let counted = self.calls.get(keys::pool()).await?;
        let slot = FreeSlot::next(self.cache_pool_size(counted.as_ref())?);
        let item = Item::new(&keys::tn(tn))
            .with("tn_number", tn)
            .with("added_at", now)
            .with("free_slot", slot.clone());
        let changes = [Change::insert(item), Change::insert(slot.item(tn))];
        Ok(changes.into_iter().chain(count_tn(tn, 1)).collect())
    }

    /// The numbers of a shard of the pool. Only the attributes that a list shows are read.
    async fn tns_of(&self, shard: char, now: DateTime<Utc>) -> Result<Vec<VirtualTn>> {
        let query = self.calls.query(&TABLE, format!("TN#{shard}"));
        let query = query.only("item_version, tn_number, session_id, expires_at");
        query.map(|item| virtual_tn(&item, now)).await
    }
}

fn removing(tn: Number, slot: &FreeSlot) -> Vec<Change> {
    let changes = [
        Change::delete(keys::tn(tn)).when_equal("free_slot", Some(slot.clone())),
        Change::delete(slot.key()).when("attribute_exists(pk)"),
    ];
    changes.into_iter().chain(count_tn(tn, -1)).collect()
}

fn virtual_tn(item: &Item, now: DateTime<Utc>) -> Result<VirtualTn> {
    let live = item.is_unexpired(now)?;
    let session = item.get::<Option<_>>("session_id")?.filter(|_| live);
    Ok(VirtualTn { number: item.get("tn_number")?, session })
}
