//! The pool of virtual TNs.

use super::{
    Dynamo,
    calls::Patience,
    change::Change,
    item::{Item, at, phone, text},
    query::Query,
    table,
};
use crate::{
    domain::Number,
    store::{AddTn, Page, Part, PoolSize, RemoveTn, Result, StoreError, VirtualTn, cut},
};
use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;

/// A random place in the draw.
pub(super) fn random_place() -> (u32, String) {
    (rand::random_range(0..table::SHARDS), format!("{:016x}", rand::random::<u64>()))
}

/// The entry of a free TN.
pub(super) fn free_item(tn: Number, place: &(u32, String)) -> Item {
    let mut item = Item::new(table::free(place.0, &place.1));
    item.set("tn_number", phone(tn));
    item
}

/// A free TN's place, as its item keeps it.
pub(super) fn place_text(place: &(u32, String)) -> String {
    format!("{}#{}", place.0, place.1)
}

pub(super) fn place_of(text: &str) -> Result<(u32, String)> {
    let parsed =
        text.split_once('#').and_then(|(shard, place)| Some((shard.parse().ok()?, place.to_owned())));
    parsed.ok_or_else(|| StoreError::Unreadable("a TN's place in the draw".into()))
}

/// What puts a number into the pool, as a free one.
pub(super) fn adding(tn: Number, now: DateTime<Utc>) -> Vec<Change> {
    let place = random_place();
    let mut item = Item::new(table::tn(tn));
    item.set("tn_number", phone(tn));
    item.set("added_at", at(now));
    item.set("free_place", text(place_text(&place)));
    vec![Change::insert(item), Change::insert(free_item(tn, &place))]
}

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
        Ok(if self.calls.transact(adding(tn, now)).await?.is_done() {
            AddTn::Added
        } else {
            AddTn::Duplicate
        })
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
            let place = item.text("free_place")?.to_owned();
            let (shard, sk) = place_of(&place)?;
            let changes = vec![
                Change::delete(table::tn(tn)).when("free_place = :place").with("place", text(place)),
                Change::delete(table::free(shard, &sk)).when("attribute_exists(pk)"),
            ];
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
