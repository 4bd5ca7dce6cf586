//! How full the table is. What this version cannot read is left out: the rest is still worth knowing.

use super::{
    Dynamo,
    item::{Item, open_kind},
    query::Query,
    table,
};
use crate::store::{Gauges, Result, State, readable};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// What was counted so far in one state.
#[derive(Default)]
struct Count {
    messages: u32,
    oldest: Option<DateTime<Utc>>,
    /// How much of it is in each part of the index, and where the last of these stands.
    parts: BTreeMap<String, (u32, String)>,
}

impl Count {
    fn add(&mut self, entry: &Item) -> Result<()> {
        let (part, place) = (entry.text("open_pk")?, entry.text("open_sk")?);
        let created_at = entry.time("created_at")?;
        let (in_part, last) = self.parts.entry(part.to_owned()).or_default();
        *in_part += 1;
        place.clone_into(last);
        self.messages += 1;
        self.oldest = Some(self.oldest.map_or(created_at, |oldest| oldest.min(created_at)));
        Ok(())
    }
}

impl Dynamo {
    /// A query for each part where little is open. Where much is, about `up_to` entries are read in all.
    pub(super) async fn do_gauges(&self, up_to: u32) -> Result<Gauges> {
        let (waiting, unknown, free_tns) = tokio::join!(
            self.count_open(State::Waiting, up_to),
            self.count_open(State::Unknown, up_to),
            self.free_tns(up_to)
        );
        let (waiting, waiting_since) = waiting?;
        Ok(Gauges { waiting, waiting_since, unknown: unknown?.0, free_tns: free_tns? })
    }

    /// How many messages are open in this state, and when the oldest of those was decided on: first a few of each part,
    /// then part after part until enough is counted.
    async fn count_open(&self, state: State, up_to: u32) -> Result<(u32, Option<DateTime<Utc>>)> {
        if up_to == 0 {
            return Ok((0, None));
        }
        let kind = open_kind(state);
        let share = up_to.div_ceil(table::OPEN_SHARDS);
        let mut count = Count::default();
        for entry in self.open(&kind, None, None, share).await? {
            readable(count.add(&entry))?;
        }
        for (part, (in_part, last)) in count.parts.clone() {
            let left = up_to.saturating_sub(count.messages);
            if left == 0 {
                break;
            }
            if in_part < share {
                continue;
            }
            let rest = Query {
                index: Some(table::BY_OPEN),
                hash: ("open_pk", part),
                range: Some(("open_sk BETWEEN :range AND :until", format!("{last}!"))),
                until: Some(format!("{kind}#~")),
                limit: i32::try_from(left).ok(),
                ..Query::default()
            };
            for entry in self.readable_of(rest).await? {
                readable(count.add(&entry))?;
            }
        }
        Ok((count.messages.min(up_to), count.oldest))
    }

    async fn free_tns(&self, up_to: u32) -> Result<u32> {
        let mut count = 0;
        for shard in 0..table::SHARDS {
            let limit = i32::try_from(up_to.saturating_sub(count)).unwrap_or(i32::MAX);
            if limit == 0 {
                break;
            }
            let part = Query {
                hash: ("pk", table::free_shard(shard)),
                only: Some("item_version"),
                limit: Some(limit),
                ..Query::default()
            };
            count += u32::try_from(self.readable_of(part).await?.len()).unwrap_or(u32::MAX);
        }
        Ok(count)
    }

    async fn readable_of(&self, query: Query) -> Result<Vec<Item>> {
        let (items, unreadable) = self.calls.query_readable(query).await?;
        if let Some(error) = unreadable {
            readable::<()>(Err(error))?;
        }
        Ok(items)
    }
}
