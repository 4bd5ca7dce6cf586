//! The pool of virtual TNs.

use super::{
    Dynamo,
    calls::Patience,
    change::Change,
    item::{Item, at, phone, text},
    place::{Place, counting},
    query::Query,
    table,
};
use crate::{
    domain::Number,
    store::{AddTn, Page, Part, PoolSize, RemoveTn, Result, VirtualTn, cut},
};
use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;

impl Dynamo {
    pub(super) async fn do_add_tn(&self, tn: Number, now: DateTime<Utc>) -> Result<AddTn> {
        let routes = Query {
            hash: ("pk", format!("P#{}", tn.digits())),
            range: Some(("begins_with(sk, :range)", "R#".into())),
            ..Query::default()
        };
        for route in self.calls.query(routes).await? {
            if route.some_time("expires_at")?.is_none_or(|expiry| expiry > now) {
                return Ok(AddTn::IsParticipant);
            }
        }
        Ok(if self.calls.transact(self.adding(tn, now).await?).await?.is_done() {
            AddTn::Added
        } else {
            AddTn::Duplicate
        })
    }

    /// What puts a number into the pool, as a free one.
    pub(super) async fn adding(&self, tn: Number, now: DateTime<Utc>) -> Result<Vec<Change>> {
        let counted = self.calls.get(table::pool()).await?;
        let place = Place::next(self.learn_pool_size(counted.as_ref())?);
        let mut item = Item::new(table::tn(tn));
        item.set("tn_number", phone(tn));
        item.set("added_at", at(now));
        item.set("free_place", text(place.to_string()));
        let mut changes = vec![Change::insert(item), Change::insert(place.item(tn))];
        changes.extend(counting(tn, 1));
        Ok(changes)
    }

    pub(super) async fn do_remove_tn(&self, tn: Number, now: DateTime<Utc>) -> Result<RemoveTn> {
        let mut patience = Patience::new(self.calls.patience);
        loop {
            let Some(item) = self.calls.get(table::tn(tn)).await? else { return Ok(RemoveTn::NotInPool) };
            if let Some(id) = item.some_parsed("session_id")? {
                if item.some_time("expires_at")?.is_none_or(|expiry| expiry > now) {
                    return Ok(RemoveTn::InUse(id));
                }
                let session = self.calls.get(table::session(id)).await?;
                if let Some(session) = session.filter(|session| !session.0.contains_key("ended_at")) {
                    return Ok(RemoveTn::HeldByExpired(self.with_barred(&session).await?));
                }
                patience.wait("contention").await?;
                continue;
            }
            let place: Place = item.parsed("free_place")?;
            let mut changes = vec![
                Change::delete(table::tn(tn))
                    .when("free_place = :place")
                    .with("place", text(place.to_string())),
                Change::delete(place.key()).when("attribute_exists(pk)"),
            ];
            changes.extend(counting(tn, -1));
            if self.calls.transact(changes).await?.is_done() {
                return Ok(RemoveTn::Removed);
            }
            patience.wait("contention").await?;
        }
    }

    pub(super) async fn do_tn(&self, tn: Number, now: DateTime<Utc>) -> Result<Option<VirtualTn>> {
        self.calls.get(table::tn(tn)).await?.map(|item| virtual_tn(&item, now)).transpose()
    }

    pub(super) async fn do_tns(&self, page: Page, now: DateTime<Utc>) -> Result<(Part<VirtualTn>, PoolSize)> {
        let parts = table::TN_SHARDS.chars().map(|shard| self.tns_of(shard, now));
        let mut tns = try_join_all(parts).await?.concat();
        let in_use = tns.iter().filter(|tn| tn.session.is_some()).count() as u64;
        let size = PoolSize { total: tns.len() as u64, in_use };
        if let Some(after) = &page.after {
            let after = after.parse().map_or_else(|_| after.clone(), Number::digits);
            tns.retain(|tn| tn.number.digits() > after);
        }
        tns.sort_by_key(|tn| tn.number);
        Ok((cut(tns, page.limit, |tn| tn.number.digits()), size))
    }

    /// The numbers of a part of the pool. No more of them is read than a list shows.
    async fn tns_of(&self, shard: char, now: DateTime<Utc>) -> Result<Vec<VirtualTn>> {
        let query = Query {
            hash: ("pk", format!("TN#{shard}")),
            only: Some("item_version, tn_number, session_id, expires_at"),
            ..Query::default()
        };
        let mut tns = Vec::new();
        self.calls
            .each(query, |item| {
                tns.push(virtual_tn(&item, now)?);
                Ok(())
            })
            .await?;
        Ok(tns)
    }
}

fn virtual_tn(item: &Item, now: DateTime<Utc>) -> Result<VirtualTn> {
    let live = item.some_time("expires_at")?.is_none_or(|expiry| expiry > now);
    let session = item.some_parsed("session_id")?.filter(|_| live);
    Ok(VirtualTn { number: item.parsed("tn_number")?, session })
}
