//! How full the table is.

use super::{Dynamo, calls::Query, item::open_kind, table};
use crate::store::{Gauges, Result, State};
use chrono::{DateTime, Utc};

impl Dynamo {
    /// Part after part until enough is counted: a query each where little is open.
    pub(super) async fn do_gauges(&self, up_to: u32) -> Result<Gauges> {
        let (waiting, unknown, free_tns) = tokio::join!(
            self.count_open(State::Waiting, up_to),
            self.count_open(State::Unknown, up_to),
            self.free_tns(up_to)
        );
        let (waiting, waiting_since) = waiting?;
        Ok(Gauges { waiting, waiting_since, unknown: unknown?.0, free_tns: free_tns? })
    }

    /// How many messages are open in this state, and when the oldest of those was decided on.
    async fn count_open(&self, state: State, up_to: u32) -> Result<(u32, Option<DateTime<Utc>>)> {
        let mut entries = self.open(&open_kind(state), None, None, up_to).await?;
        entries.truncate(up_to as usize);
        let mut oldest: Option<DateTime<Utc>> = None;
        for entry in &entries {
            let created_at = entry.time("created_at")?;
            oldest = Some(oldest.map_or(created_at, |oldest| oldest.min(created_at)));
        }
        Ok((u32::try_from(entries.len()).unwrap_or(u32::MAX), oldest))
    }

    async fn free_tns(&self, up_to: u32) -> Result<u32> {
        let mut count = 0;
        for shard in 0..table::SHARDS {
            let limit = i32::try_from(up_to.saturating_sub(count)).unwrap_or(i32::MAX);
            if limit == 0 {
                break;
            }
            let part =
                Query { hash: ("pk", format!("FREE#{shard}")), limit: Some(limit), ..Query::default() };
            let counted = self.calls.count(part).await?;
            count += u32::try_from(counted).unwrap_or(u32::MAX);
        }
        Ok(count)
    }
}
