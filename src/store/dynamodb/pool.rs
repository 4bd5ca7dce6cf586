//! The pool of virtual TNs.

use super::{
    Dynamo,
    change::Change,
    free_list::count_tn,
    free_slot::FreeSlot,
    keys::{self, TABLE},
    session_items,
    tn_item::TnItem,
};
use crate::{
    domain::{Number, Page, Part, PoolSize, Session, VirtualTn},
    store::{AddTn, Pool, RemoveTn, Result},
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;

/// More sessions than expire between two rounds of maintenance.
const ALL_EXPIRED: usize = 10_000;

/// The attributes of a TN that lists and counts need.
pub(super) const TN_ATTRIBUTES: &str =
    "item_version, tn_number, sessions, session_ids, next_expiry, draining";

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
            let added = self.calls.write(self.adding(tn, now, false).await?).await?.is_ok();
            Ok(if added { AddTn::Added } else { AddTn::Duplicate })
        })
        .await
    }

    async fn remove_tn(&self, tn: Number, now: DateTime<Utc>) -> Result<RemoveTn> {
        self.optimistic(|| async {
            let Some(item) = self.tn_item(tn).await? else { return Ok(Some(RemoveTn::NotInPool)) };
            if item.sessions == 0 {
                let changes = item.removing().into_iter().chain(count_tn(tn, -1)).collect();
                return Ok(self.calls.write(changes).await?.is_ok().then_some(RemoveTn::Removed));
            }
            let mut expired = self.expired_on(std::slice::from_ref(&item), now).await?;
            let live = item.live(&expired);
            expired.retain(|session| session.tn == tn);
            Ok(Some(match expired.pop() {
                Some(session) => RemoveTn::HeldByExpired(session),
                None => RemoveTn::InUse(live),
            }))
        })
        .await
    }

    async fn tn(&self, tn: Number, now: DateTime<Utc>) -> Result<Option<VirtualTn>> {
        self.timed(async {
            let Some(item) = self.tn_item(tn).await? else { return Ok(None) };
            let expired = self.expired_on(std::slice::from_ref(&item), now).await?;
            Ok(Some(item.live(&expired)))
        })
        .await
    }

    async fn tns(
        &self,
        page: Page,
        sessions_per_tn: u32,
        now: DateTime<Utc>,
    ) -> Result<(Part<VirtualTn>, PoolSize)> {
        self.timed_list(async {
            let shards = keys::TN_SHARDS.chars().map(|shard| self.tns_of(shard));
            let items = try_join_all(shards).await?.concat();
            let expired = self.expired_on(&items, now).await?;
            let mut tns: Vec<VirtualTn> = items.iter().map(|item| item.live(&expired)).collect();
            let room = |tn: &VirtualTn| sessions_per_tn.saturating_sub(tn.sessions);
            let size = PoolSize {
                total: tns.len() as u64,
                in_use: tns.iter().filter(|tn| tn.sessions > 0).count() as u64,
                sessions: tns.iter().map(|tn| u64::from(tn.sessions)).sum(),
                room: tns.iter().filter(|tn| !tn.draining).map(|tn| u64::from(room(tn))).sum(),
            };
            if let Some(after) = &page.after {
                let after = after.parse().map_or_else(|_| after.clone(), Number::digits);
                tns.retain(|tn| tn.number.digits() > after);
            }
            tns.sort_by_key(|tn| tn.number);
            Ok((Part::cut(tns, page.limit, |tn| tn.number.digits()), size))
        })
        .await
    }

    async fn drain_tn(&self, tn: Number, draining: bool, now: DateTime<Utc>) -> Result<Option<VirtualTn>> {
        self.optimistic(|| async {
            let found = self.calls.get_all(&[keys::tn(tn), keys::pool()]).await?;
            let Some(item) = found[0].as_ref().map(TnItem::read).transpose()? else {
                return Ok(Some(None));
            };
            self.pool_item(found[1].as_ref())?;
            let to = item.drained(draining, self.slot_of_freed());
            if to != item && self.calls.write(item.becoming(&to)).await?.is_err() {
                return Ok(None);
            }
            let expired = self.expired_on(std::slice::from_ref(&to), now).await?;
            Ok(Some(Some(to.live(&expired))))
        })
        .await
    }
}

impl Dynamo {
    /// Adds a number to the pool.
    pub(super) async fn adding(&self, tn: Number, now: DateTime<Utc>, draining: bool) -> Result<Vec<Change>> {
        let pool = self.calls.get(keys::pool()).await?;
        let item = TnItem::new(tn, draining, FreeSlot::next(self.pool_item(pool.as_ref())?.size));
        let slot = item.slot.as_ref().map(|slot| Change::insert(slot.key(), slot.item(tn)));
        let changes = [Change::insert(keys::tn(tn), item.write(now))].into_iter().chain(slot);
        Ok(changes.chain(count_tn(tn, 1)).collect())
    }

    /// The numbers of a shard of the pool. Only the attributes that are needed are transferred.
    async fn tns_of(&self, shard: char) -> Result<Vec<TnItem>> {
        let query = self.calls.query(&TABLE, format!("TN#{shard}"));
        let query = query.only(TN_ATTRIBUTES);
        query.map(|item| TnItem::read(&item)).await
    }

    /// The sessions that have expired and are not ended, if one may be on these TNs.
    async fn expired_on(&self, tns: &[TnItem], now: DateTime<Utc>) -> Result<Vec<Session>> {
        match tns.iter().any(|tn| tn.may_have_expired(now)) {
            true => self.expired_until(self.list_deadline(), ALL_EXPIRED, now).await,
            false => Ok(Vec::new()),
        }
    }
}
