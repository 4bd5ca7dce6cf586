//! The erasure of a person: the person's own partition, and a scan of the table for the number in other items.
//!
//! A scan, because no index has the people of ended sessions: the call is rare.

use super::{
    Dynamo,
    calls::Calls,
    change::Change,
    item::Item,
    keys::{self, TABLE},
    session_items::{has_session, is_ended},
};
use crate::{
    domain::{Erased, Number, Session, SessionId},
    store::{Erasure, Result},
};
use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use futures_util::{
    future::try_join_all,
    stream::{self, StreamExt, TryStreamExt},
};
use std::collections::HashSet;

/// The number of segments of the table that are scanned concurrently.
const SEGMENTS: i32 = 8;
/// The number of items of a segment that are changed concurrently.
const CONCURRENCY: usize = 4;
/// The retry budget of a call, as a multiple of that of a call for which a participant waits.
const BUDGET_FACTOR: u32 = 4;

/// The items that hold a person's number besides those in the person's partition.
const FILTER: &str =
    "recipient = :person OR person_a = :person OR person_b = :person OR previous_partner = :person";

#[async_trait]
impl Erasure for Dynamo {
    async fn sessions_of(&self, person: Number) -> Result<Vec<Session>> {
        self.timed(async {
            let mut sessions = Vec::new();
            for id in self.session_ids_of(person).await? {
                let item = self.calls.get(keys::session(id)).await?;
                if let Some(item) = item.filter(|item| !is_ended(item)) {
                    sessions.push(self.with_blocked(&item).await?);
                }
            }
            Ok(sessions)
        })
        .await
    }

    /// Without a time limit: the caller has one, and what was erased by then stays so.
    async fn erase(&self, person: Number, now: DateTime<Utc>) -> Result<Erased> {
        let calls = Calls { retry_for: self.calls.retry_for * BUDGET_FACTOR, ..self.calls.clone() };
        let patient = Self { calls, ..self.clone() };
        let live: HashSet<SessionId> = patient.session_ids_of(person).await?.into_iter().collect();
        let mut erased = patient.erase_partition(person).await?;
        let segments = (0..SEGMENTS).map(|segment| patient.erase_segment(segment, person, &live, now));
        for of_segment in try_join_all(segments).await? {
            erased += of_segment;
        }
        Ok(erased)
    }
}

impl Dynamo {
    /// The sessions of this person that are not ended, by the person's routes.
    async fn session_ids_of(&self, person: Number) -> Result<Vec<SessionId>> {
        let routes = self.calls.query(&TABLE, keys::person(person)).between("R#", "R#~").items().await?;
        routes.iter().filter(|route| has_session(route)).map(|route| route.get("session_id")).collect()
    }

    /// Deletes the person's routes and counters, but not the routes of sessions that are not ended.
    async fn erase_partition(&self, person: Number) -> Result<Erased> {
        let items = self.calls.query(&TABLE, keys::person(person)).items().await?;
        let changes = items.iter().filter(|item| !has_session(item)).map(|item| {
            Ok(Change::delete(item.key()?).when("attribute_exists(pk)").when_absent("session_id"))
        });
        let others = self.write_each(changes.collect::<Result<_>>()?).await?;
        Ok(Erased { others, ..Erased::default() })
    }

    /// Erases the person from the items of this segment of the table, page by page.
    async fn erase_segment(
        &self,
        segment: i32,
        person: Number,
        live: &HashSet<SessionId>,
        now: DateTime<Utc>,
    ) -> Result<Erased> {
        let scan = self.calls.client.scan().table_name(&self.calls.table).consistent_read(true);
        let scan = scan.segment(segment).total_segments(SEGMENTS).filter_expression(FILTER);
        let scan = scan.expression_attribute_values(":person", AttributeValue::S(person.digits()));
        let mut erased = Erased::default();
        let mut after = None;
        loop {
            let request = scan.clone().set_exclusive_start_key(after);
            let response = self.calls.read(|| request.clone().send()).await?;
            let items = response.items.unwrap_or_default().into_iter().map(Item::read);
            erased += self.erase_from(&items.collect::<Result<Vec<_>>>()?, person, live, now).await?;
            after = response.last_evaluated_key;
            if after.is_none() {
                return Ok(erased);
            }
        }
    }

    /// Erases the person from these items, each on the condition that it still is what it was.
    async fn erase_from(
        &self,
        items: &[Item],
        person: Number,
        live: &HashSet<SessionId>,
        now: DateTime<Utc>,
    ) -> Result<Erased> {
        let (mut sessions, mut messages, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for item in items {
            let key = item.key()?;
            let session: Option<SessionId> = item.get("session_id")?;
            match key.pk.split_once('#').unwrap_or_default().0 {
                "S" if is_ended(item) => {
                    sessions.push(Change::delete(key).when("attribute_exists(ended_at)"));
                }
                "M" if !session.is_some_and(|id| live.contains(&id)) => {
                    messages.push(self.erasing(item.get("message_id")?, person, now));
                }
                "P" if item.get::<Option<Number>>("previous_partner")? == Some(person) => {
                    let route = Change::update(key).when_equal("previous_partner", Some(person));
                    others.push(route.remove("previous_partner"));
                }
                // Items of sessions that are not ended.
                _ => {}
            }
        }
        Ok(Erased {
            sessions_ended: 0,
            sessions: self.write_each(sessions).await?,
            messages: self.write_each(messages).await?,
            others: self.write_each(others).await?,
        })
    }

    /// Makes each of these changes; the number of those whose condition held.
    async fn write_each(&self, changes: Vec<Change>) -> Result<usize> {
        let writes = changes.into_iter().map(|change| self.calls.write(vec![change]));
        let written = stream::iter(writes).buffer_unordered(CONCURRENCY).try_collect::<Vec<_>>().await?;
        Ok(written.iter().filter(|written| written.is_ok()).count())
    }
}
