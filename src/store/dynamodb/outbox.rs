//! Inbound texts, and the messages that are sent.

use super::{
    Dynamo,
    change::Change,
    item::Item,
    keys::{self, BY_PAIR, Key},
    messages::{self, unknown_sk},
    opt_outs::blocked,
    session_items::{is_live, not_ended},
};
use crate::{
    domain::{
        CLOCK_TOLERANCE, Message, MessageEvent, MessageId, OptChange, Outbound, Settlement, State,
        Surroundings, Transition, is_due,
    },
    store::{Arrival, Decide, Due, Others, Outbox, Received, Result, skip_unreadable},
};
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

/// The greatest age of a message that is not settled.
const MAX_PENDING: TimeDelta = TimeDelta::hours(25);

#[async_trait]
impl Outbox for Dynamo {
    async fn receive(&self, arrival: Arrival, decide: Decide) -> Result<Received> {
        self.optimistic(|| self.try_receive(&arrival, &decide)).await
    }

    async fn settle(
        &self,
        leased: &Message,
        settlement: Settlement,
        now: DateTime<Utc>,
    ) -> Result<Option<MessageEvent>> {
        self.timed(async {
            if let Settlement::Found { provider_id } = &settlement
                && self.is_credited(provider_id, &leased.outbound).await?
            {
                return Ok(None);
            }
            let mut budget = self.calls.retry_budget();
            // The message is usually unchanged since it was leased: then one write is enough.
            let (mut from, mut is_stored) = (leased.clone(), false);
            loop {
                let settled = from.settle(leased.status.lease, &settlement, now);
                let Some(Transition { to, event }) = settled else { return Ok(None) };
                match self.transition(&from, &to) {
                    Some(change) => {
                        let mut changes = vec![change];
                        changes.extend(self.settling(leased, &settlement, now).await?);
                        changes.extend(self.telling(to.undelivered(Some(&from)), now).await?);
                        let Err(refused) = self.calls.write(changes).await? else { return Ok(Some(event)) };
                        // Part 1 is the credit: the id is credited to another message.
                        if matches!(settlement, Settlement::Found { .. }) && refused.contains(&1) {
                            return Ok(None);
                        }
                        budget.wait("contention").await?;
                    }
                    None if is_stored => return Ok(Some(event)),
                    None => {}
                }
                let Some(stored) = self.message(leased.outbound.id).await? else { return Ok(None) };
                (from, is_stored) = (stored, true);
            }
        })
        .await
    }

    async fn has_work(&self, now: DateTime<Utc>) -> Result<bool> {
        self.timed_list(self.is_any_pending(now)).await
    }

    /// Ends early after half of its time limit, or when the store fails after some were reclaimed.
    async fn reclaim(&self, limit: u32, now: DateTime<Utc>) -> Result<usize> {
        self.timed_list(self.sweep(limit as usize, now, self.list_deadline())).await
    }

    async fn due(&self, limit: u32, now: DateTime<Utc>) -> Result<Vec<Due>> {
        self.timed_list(async {
            let mut due = Vec::new();
            for entry in self.waiting_or_ahead(limit as usize, now).await? {
                due.extend(skip_unreadable(due_message(&entry, now))?.flatten());
            }
            due.sort_by_key(|(order, due)| (*order, due.id));
            Ok(due.into_iter().take(limit as usize).map(|(_, due)| due).collect())
        })
        .await
    }

    async fn lease(
        &self,
        id: MessageId,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Option<Message>> {
        self.hold(id, now, |message, around| message.lease(around, now, until)).await
    }

    async fn renew(
        &self,
        leased: &Message,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Option<Message>> {
        let lease = leased.status.lease;
        let renew = |message: &Message, around| message.renew(lease, around, now, until);
        self.hold(leased.outbound.id, now, renew).await
    }

    async fn confirm(
        &self,
        leased: &Message,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Option<Message>> {
        let Some(session) = leased.needs_live() else { return Ok(Some(leased.clone())) };
        let session = self.timed(self.calls.get(keys::session(session))).await?;
        match is_live(session.as_ref(), now)? {
            true => Ok(Some(leased.clone())),
            false => self.renew(leased, now, until).await,
        }
    }

    async fn unknown(&self, limit: u32, after: Option<MessageId>) -> Result<Vec<Message>> {
        self.timed_list(async {
            let cursor = self.some_message(after).await?.map(|message| unknown_sk(&message));
            let limit = limit as usize;
            // The index lags, and may still have an earlier attempt.
            let is_after = |message: &Message| cursor.as_ref().is_none_or(|sk| unknown_sk(message) > *sk);
            let is_unknown = |message: &Message| {
                message.status.state == State::Unknown && !message.is_settled() && is_after(message)
            };
            let keep = |message| Some(message).filter(is_unknown);
            let entries = self.pending(State::Unknown.as_str(), cursor.as_deref(), None, limit).await?;
            let mut unknown = self.keep_pending(&entries, limit, keep).await?;
            unknown.sort_by_cached_key(unknown_sk);
            unknown.truncate(limit);
            Ok(unknown)
        })
        .await
    }

    async fn others(&self, message: &Outbound) -> Result<Others> {
        self.timed_list(self.others_of(message)).await
    }

    async fn acquire_drain_lease(
        &self,
        holder: &str,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<bool> {
        let acquire = Change::upsert(keys::drain_lease())
            .when(
                "attribute_not_exists(pk) OR drain_holder = :drain_holder OR drain_until < :now \
                 OR drain_until > :ahead",
            )
            .with("now", now)
            .with("ahead", until + CLOCK_TOLERANCE)
            .set("drain_holder", holder.to_owned())
            .set("drain_until", until);
        Ok(self.timed(self.calls.write(vec![acquire])).await?.is_ok())
    }

    async fn release_drain_lease(&self, holder: &str) -> Result<()> {
        let release = Change::delete(keys::drain_lease()).when_equal("drain_holder", Some(holder.to_owned()));
        self.timed(self.calls.write(vec![release])).await.map(drop)
    }
}

impl Dynamo {
    async fn others_of(&self, message: &Outbound) -> Result<Others> {
        let pair = self.calls.query(&BY_PAIR, keys::pair(message.text.from, message.text.to));
        let pair = pair.sk(">=", keys::sortable(message.created_at - MAX_PENDING)).items().await?;
        let mut others = Others::default();
        for item in self.calls.get_all(&keys_of(&pair)?).await? {
            match messages::read_stored(item.as_ref())? {
                Some(other) if other.outbound.id != message.id => {
                    others.sending |= other.status.state == State::Sending;
                    others.provider_ids.extend(other.status.provider_id);
                }
                _ => {}
            }
        }
        Ok(others)
    }

    /// Whether this id of the provider's is that of another message, which must be one between the same two numbers. Of two
    /// messages that are found at once, [`settling`](Self::settling) stops one.
    async fn is_credited(&self, provider_id: &str, found: &Outbound) -> Result<bool> {
        Ok(self.others_of(found).await?.provider_ids.contains(provider_id))
    }

    /// What a settlement changes besides the message.
    async fn settling(
        &self,
        leased: &Message,
        settlement: &Settlement,
        now: DateTime<Utc>,
    ) -> Result<Vec<Change>> {
        let text = &leased.outbound.text;
        match settlement {
            Settlement::Failed { opted_out: true, .. } => {
                self.opting(OptChange { tn: text.from, person: text.to, out: true }).await
            }
            Settlement::Found { provider_id } => {
                let key = keys::credit(provider_id);
                let credit = Item::new(&key).with("ttl_at", self.ttl(now));
                Ok(vec![Change::insert(key, credit)])
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Leases a message, or renews its lease, by this rule. One that needs a live session is leased on the precondition that
    /// the session has not ended.
    async fn hold(
        &self,
        id: MessageId,
        now: DateTime<Utc>,
        rule: impl Fn(&Message, Surroundings) -> Option<Transition>,
    ) -> Result<Option<Message>> {
        self.optimistic(|| async {
            let Some(message) = self.message(id).await? else { return Ok(Some(None)) };
            // If the rule refuses it in any case, nothing else is read.
            if rule(&message, Surroundings { session_is_live: true, blocked: None }).is_none() {
                return Ok(Some(None));
            }
            let around = self.surroundings(&message, now).await?;
            let Some(Transition { to, event }) = rule(&message, around) else { return Ok(Some(None)) };
            let is_leased = event == MessageEvent::Leased;
            let mut changes = Vec::from_iter(self.transition(&message, &to));
            changes.extend(to.needs_live().filter(|_| is_leased).map(not_ended));
            changes.extend(self.telling(to.undelivered(Some(&message)), now).await?);
            let written = self.calls.write(changes).await?;
            Ok(written.is_ok().then(|| is_leased.then_some(to)))
        })
        .await
    }

    async fn surroundings(&self, message: &Message, now: DateTime<Utc>) -> Result<Surroundings> {
        let text = &message.outbound.text;
        let mut keys = vec![keys::tn(text.to), self.opt_outs_of(text.to).await?];
        keys.extend(message.needs_live().map(keys::session));
        let found = self.calls.get_all(&keys).await?;
        Ok(Surroundings {
            session_is_live: is_live(found.get(2).and_then(Option::as_ref), now)?,
            blocked: blocked(text.from, found[0].as_ref(), found[1].as_ref())?,
        })
    }

    /// The messages of these entries as they are now, each converted or dropped; the first `limit` are among them.
    async fn keep_pending<T>(
        &self,
        entries: &[Item],
        limit: usize,
        convert: impl Fn(Message) -> Option<T>,
    ) -> Result<Vec<T>> {
        let mut kept = Vec::new();
        for entries in entries.chunks(limit.max(1)) {
            for item in self.calls.get_readable(&keys_of(entries)?).await? {
                if messages::is_tombstone(&item) {
                    // The index lags, and still has a message to a person who was erased.
                    continue;
                }
                kept.extend(skip_unreadable(messages::read(&item))?.and_then(&convert));
            }
            if kept.len() >= limit {
                break;
            }
        }
        Ok(kept)
    }
}

fn keys_of(entries: &[Item]) -> Result<Vec<Key>> {
    entries.iter().map(Item::key).collect()
}

/// A waiting message, and when it was created and is due; `None`: it is not due.
fn due_message(entry: &Item, now: DateTime<Utc>) -> Result<Option<([DateTime<Utc>; 2], Due)>> {
    let created_at = entry.get("created_at")?;
    let due_at = keys::pending_due(&entry.get::<String>("pending_sk")?);
    let Some(due_at) = due_at.filter(|due_at| is_due(*due_at, created_at, now)) else { return Ok(None) };
    let id = entry.get::<String>("pk")?.trim_start_matches("M#").parse()?;
    Ok(Some(([created_at, due_at], Due { id, has_media: entry.get("has_media")? })))
}
