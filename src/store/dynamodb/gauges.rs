//! How full the table is.

use super::{Dynamo, calls::Query, table};
use crate::store::{Gauges, Result, State};
use chrono::{DateTime, Utc};
use std::collections::HashMap;

impl Dynamo {
    /// Part after part until enough is counted: a query each where little is open.
    pub(super) async fn do_gauges(&self, up_to: u32) -> Result<Gauges> {
        let (waiting, unknown, free) = tokio::join!(
            self.waiting(up_to),
            self.count_up_to(up_to, (0..table::SHARDS).map(|shard| open(State::Unknown, shard))),
            self.count_up_to(up_to, (0..table::SHARDS).map(free)),
        );
        let (waiting, waiting_since) = waiting?;
        Ok(Gauges { waiting, waiting_since, unknown: unknown?, free_tns: free? })
    }

    /// How many messages wait, and when the oldest of them was decided on.
    async fn waiting(&self, up_to: u32) -> Result<(u32, Option<DateTime<Utc>>)> {
        let (mut count, mut oldest) = (0, None);
        for shard in 0..table::SHARDS {
            let part = Query { limit: Some(left(up_to, count)), ..open(State::Waiting, shard) };
            for entry in self.calls.query(part).await? {
                let created_at = entry.time("created_at")?;
                oldest = Some(oldest.map_or(created_at, |oldest: DateTime<Utc>| oldest.min(created_at)));
                count += 1;
            }
        }
        Ok((count, oldest))
    }

    async fn count_up_to(&self, up_to: u32, parts: impl Iterator<Item = Query>) -> Result<u32> {
        let mut count = 0;
        for part in parts {
            let limit = left(up_to, count);
            if limit == 0 {
                break;
            }
            let counted = self.calls.count(Query { limit: Some(limit), ..part }, "", &HashMap::new()).await?;
            count += u32::try_from(counted).unwrap_or(u32::MAX);
        }
        Ok(count)
    }
}

/// What is open in this state, in one part of the index.
fn open(state: State, shard: u32) -> Query {
    Query {
        index: Some(table::BY_OPEN),
        hash: ("open_pk", format!("{}#{shard}", state.as_str().to_uppercase())),
        ..Query::default()
    }
}

/// The free TNs of one part of the pool.
fn free(shard: u32) -> Query {
    Query { hash: ("pk", format!("FREE#{shard}")), ..Query::default() }
}

fn left(up_to: u32, count: u32) -> i32 {
    i32::try_from(up_to.saturating_sub(count)).unwrap_or(i32::MAX)
}
