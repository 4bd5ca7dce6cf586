//! Drawing a free TN at random: at the same cost among ten and among a million.

use super::{
    Dynamo,
    place::Place,
    query::Query,
    table::{self, Key},
};
use crate::{
    domain::Number,
    store::{Result, StoreError},
};
use std::collections::HashSet;

/// How many free TNs are looked at together; and how many after that, if somebody has opted out of all of these.
const DRAWN: i32 = 10;
const DRAWN_ON: i32 = 500;

impl Dynamo {
    /// A free TN, near a random place of a pool of this size, that none of these have opted out of.
    pub(super) async fn draw(
        &self,
        pool_size: u64,
        opted_out: &HashSet<String>,
    ) -> Result<Option<(Number, Key)>> {
        let Place { part: first, within: place } = Place::random(pool_size);
        // The side on which there is more comes first: it has something even in a small pool.
        let backwards = place.as_str() >= "8";
        let mut newer = None;
        for n in 0..table::SHARDS {
            let shard = table::free_shard((first + n) % table::SHARDS);
            for backwards in [backwards, !backwards] {
                if let Some(drawn) =
                    self.draw_beside(&shard, &place, backwards, opted_out, &mut newer).await?
                {
                    return Ok(Some(drawn));
                }
            }
        }
        // Free, but for a newer release only.
        newer.map_or(Ok(None), Err)
    }

    /// A free TN on one side of a place: at random among the nearest, or the next that nobody has opted out of.
    async fn draw_beside(
        &self,
        shard: &str,
        place: &str,
        backwards: bool,
        opted_out: &HashSet<String>,
        newer: &mut Option<StoreError>,
    ) -> Result<Option<(Number, Key)>> {
        let mut place = place.to_owned();
        let mut limit = DRAWN;
        loop {
            let range = if backwards { "sk < :range" } else { "sk > :range" };
            let query = Query {
                hash: ("pk", shard.to_owned()),
                range: Some((range, place)),
                backwards,
                limit: Some(limit),
                ..Query::default()
            };
            let mut fit = Vec::new();
            let (found, unreadable) = self.calls.query_readable(query).await?;
            let more = found.len() == limit as usize || unreadable.is_some();
            *newer = newer.take().or(unreadable);
            for item in &found {
                let tn: Number = item.parsed("tn_number")?;
                if !opted_out.contains(&tn.digits()) {
                    fit.push((tn, item.key()?));
                }
            }
            if !fit.is_empty() {
                return Ok(Some(fit.swap_remove(rand::random_range(0..fit.len()))));
            }
            match found.last() {
                Some(last) if more => place = last.key()?.sk,
                _ => return Ok(None),
            }
            limit = DRAWN_ON;
        }
    }
}
