//! Delivery receipts, and the messages of a session.

use super::{
    Dynamo,
    change::Change,
    item::Item,
    keys::{self, BY_PAIR, BY_PROVIDER},
    messages,
    session_items::{self, is_tombstone},
};
use crate::{
    domain::{CLOCK_TOLERANCE, Census, Content, Gauges, Message, Page, Part, Receipt, SessionId, Transition},
    store::{History, Receipted, Result, StoreError},
};
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::try_join_all;

/// The time after the end of a session in which its last messages may have been stored.
const LATE_MESSAGES: TimeDelta = TimeDelta::days(1);

#[async_trait]
impl History for Dynamo {
    async fn receipt(&self, receipt: &Receipt, now: DateTime<Utc>) -> Result<Receipted> {
        self.optimistic(|| async {
            let by_our_id = self.some_message(receipt.message).await?;
            let is_ours = by_our_id.is_some();
            let found = match by_our_id {
                None => self.message_of_provider(&receipt.provider_id).await?,
                found => found,
            };
            let Some(message) = found else { return Ok(Some(Receipted::NoMessage)) };
            let transition = message.apply_receipt(receipt, is_ours, now);
            let receipted = if transition.is_some() { Receipted::Recorded } else { Receipted::Known };
            let mut changes = Vec::new();
            if let Some(Transition { to, .. }) = transition {
                changes.extend(self.transition(&message, &to));
                changes.extend(self.telling(to.undelivered(Some(&message)), now).await?);
            }
            if let Some(change) = message.opt_out(receipt) {
                changes.extend(self.opting(change).await?);
            }
            Ok(self.calls.write(changes).await?.is_ok().then_some(receipted))
        })
        .await
    }

    async fn messages(
        &self,
        session: SessionId,
        page: Page,
        now: DateTime<Utc>,
    ) -> Result<Option<Part<Message>>> {
        match page.limit {
            Some(_) => self.timed(self.messages_of_session(session, page, now)).await,
            None => self.timed_list(self.messages_of_session(session, page, now)).await,
        }
    }

    /// The table's time to live deletes.
    async fn forget(&self, _before: DateTime<Utc>, _limit: u32) -> Result<usize> {
        Ok(0)
    }

    async fn gauges(&self, up_to: u32) -> Result<Gauges> {
        self.timed_list(self.count(up_to)).await
    }

    async fn census(&self, up_to: u32, now: DateTime<Utc>) -> Result<Census> {
        self.timed_list(self.take_census(up_to as usize, now)).await
    }

    async fn connect(&self) -> Result<()> {
        let mut once = self.clone();
        once.calls.try_once();
        once.ping().await
    }

    async fn ping(&self) -> Result<()> {
        match self.timed(self.calls.get(keys::drain_lease())).await {
            // The table answered, with an item of a newer release.
            Ok(_) | Err(StoreError::Unreadable(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn check_writes(&self) -> Result<()> {
        if let Some(outcome) = self.calls.last_write.recent() {
            return outcome;
        }
        match self.timed(self.calls.write(vec![Change::upsert(keys::test_write())])).await {
            // As for `ping`.
            Ok(_) | Err(StoreError::Unreadable(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Dynamo {
    /// The index entries of messages with this id of the provider's.
    async fn entries_of_provider(&self, provider_id: &str) -> Result<Vec<Item>> {
        self.calls.query(&BY_PROVIDER, provider_id).limit(1).items().await
    }

    async fn message_of_provider(&self, provider_id: &str) -> Result<Option<Message>> {
        if provider_id.is_empty() || !self.receipts_by_provider_id {
            return Ok(None);
        }
        match self.entries_of_provider(provider_id).await?.first() {
            Some(entry) => messages::read_stored(self.calls.get(entry.key()?).await?.as_ref()),
            None => Ok(None),
        }
    }

    async fn messages_of_session(
        &self,
        session: SessionId,
        page: Page,
        now: DateTime<Utc>,
    ) -> Result<Option<Part<Message>>> {
        let item = self.calls.get(keys::session(session)).await?;
        let item = not_expired(item, now)?.filter(|item| !is_tombstone(item));
        let Some(item) = item else { return Ok(None) };
        let session = session_items::read(&item)?;
        let start = || keys::sortable(session.created_at - CLOCK_TOLERANCE);
        // Sorts directly after the cursor, since all cursors have the same length.
        let from = page.after.map_or_else(start, |cursor| cursor + " ");
        // Text that is not a cursor is taken for the end.
        if !from.is_ascii() || !(15..=100).contains(&from.len()) {
            return Ok(Some(Part { items: Vec::new(), next: None }));
        }
        let end =
            item.get::<Option<DateTime<Utc>>>("ended_at")?.map(|end| keys::sortable(end + LATE_MESSAGES));
        let until = format!("{}~", end.unwrap_or_default());
        let of_pair = session.participants.map(|participant| {
            let pair = keys::pair(session.tn, participant.number);
            self.messages_of_pair(session.id, pair, [from.clone(), until.clone()], page.limit, now)
        });
        let mut messages = try_join_all(of_pair).await?.concat();
        messages.sort_by_cached_key(messages::pair_sk);
        Ok(Some(Part::cut(messages, page.limit, messages::pair_sk)))
    }

    /// The messages of a session between two numbers, within these bounds, without content; of a page no more than it
    /// needs.
    async fn messages_of_pair(
        &self,
        session: SessionId,
        pair: String,
        [mut from, until]: [String; 2],
        limit: Option<u32>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Message>> {
        let limit = limit.map(|limit| limit as usize + 1);
        let mut messages: Vec<Message> = Vec::new();
        // Repeated when messages of other sessions are among them.
        while from <= until && limit.is_none_or(|limit| messages.len() < limit) {
            let left = limit.map(|limit| limit - messages.len());
            let query = self.calls.query(&BY_PAIR, &pair).between(&from, &until);
            let entries = query.limit(left).items().await?;
            let keys = entries.iter().map(Item::key).collect::<Result<Vec<_>>>()?;
            for item in self.calls.get_all(&keys).await? {
                let message = messages::read_stored(not_expired(item, now)?.as_ref())?;
                let of_session = message.filter(|message| message.outbound.text.session == Some(session));
                messages.extend(of_session.map(|mut message| {
                    message.outbound.text.content = Content::default();
                    message
                }));
            }
            match entries.last() {
                Some(last) if left.is_some_and(|left| entries.len() >= left) => {
                    from = format!("{} ", last.get::<String>("pair_sk")?);
                }
                _ => break,
            }
        }
        Ok(messages)
    }
}

/// An item past its time to live counts as deleted, though the table may keep it for two more days.
fn not_expired(item: Option<Item>, now: DateTime<Utc>) -> Result<Option<Item>> {
    let Some(item) = item else { return Ok(None) };
    let is_over = item.get::<Option<i64>>("ttl_at")?.is_some_and(|ttl| ttl <= now.timestamp());
    Ok((!is_over).then_some(item))
}
