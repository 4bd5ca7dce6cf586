//! Reading the index of what is open: its parts side by side, no further than needed, and past what cannot be read.

use super::{Dynamo, item::Item, query::Query, table};
use crate::{
    domain::SessionId,
    store::{Result, readable},
};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use futures_util::stream::{self, StreamExt, TryStreamExt};

/// How many parts are read side by side.
const SIDE_BY_SIDE: usize = 8;
/// How many entries of each part are read at least, if there are so many: the index may still show some that have been
/// settled.
const AT_LEAST: u32 = 25;
/// How many entries of its part are looked at for those of one session.
const OF_SESSION: i32 = 500;

impl Dynamo {
    /// The entries of this kind that need attention until then, and stand after this place if it is set: the first of
    /// each part, so that the first `limit` of all are among them. They come in the order of their places.
    pub(super) async fn open(
        &self,
        kind: &str,
        after: Option<&str>,
        until: Option<DateTime<Utc>>,
        limit: u32,
    ) -> Result<Vec<Item>> {
        // Below and above everything that a place goes on with.
        let from = after.map_or_else(|| format!("{kind}#"), |after| format!("{after}!"));
        let until =
            until.map_or_else(|| format!("{kind}#~"), |until| format!("{kind}#{}~", table::sortable(until)));
        let part = |shard| {
            let query = Query {
                index: Some(table::BY_OPEN),
                hash: ("open_pk", table::open(shard)),
                range: Some(("open_sk BETWEEN :range AND :until", from.clone())),
                until: Some(until.clone()),
                ..Query::default()
            };
            self.open_part(query, limit.max(AT_LEAST) as usize)
        };
        let parts: Vec<_> = (0..table::OPEN_SHARDS).map(part).collect();
        let parts: Vec<Vec<Item>> = stream::iter(parts).buffered(SIDE_BY_SIDE).try_collect().await?;
        let mut entries = Vec::new();
        for entry in parts.into_iter().flatten() {
            entries.push((entry.text("open_sk")?.to_owned(), entry));
        }
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }

    async fn open_part(&self, query: Query, limit: usize) -> Result<Vec<Item>> {
        let mut entries = Vec::new();
        let mut after = None;
        loop {
            let left = i32::try_from(limit - entries.len()).ok();
            let request = self.calls.request(&query).set_limit(left).set_exclusive_start_key(after);
            let answer = self.calls.read(|| request.clone().send()).await?;
            for attributes in answer.items.unwrap_or_default() {
                entries.extend(readable(Item::read(attributes))?);
            }
            after = answer.last_evaluated_key;
            if after.is_none() || entries.len() >= limit {
                return Ok(entries);
            }
        }
    }

    /// The entries of a session's messages, as far as one reading of their part goes.
    pub(super) async fn open_in(&self, session: SessionId) -> Result<Vec<Item>> {
        let query = Query {
            index: Some(table::BY_OPEN),
            hash: ("open_pk", table::open_of(session)),
            range: Some(("open_sk > :range", format!("{}~", table::EXPIRY))),
            ..Query::default()
        };
        let request = self
            .calls
            .request(&query)
            .limit(OF_SESSION)
            .filter_expression("session_id = :session")
            .expression_attribute_values(":session", AttributeValue::S(session.to_string()));
        let answer = self.calls.read(|| request.clone().send()).await?;
        answer.items.unwrap_or_default().into_iter().map(Item::read).collect()
    }
}
