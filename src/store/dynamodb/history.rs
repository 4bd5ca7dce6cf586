//! What became of the messages: delivery receipts, and the list of a session.

use super::{
    Dynamo,
    calls::{Committed, Patience},
    change::Change,
    item::{Item, at, int, pair, text},
    query::Query,
    sessions::is_mark,
    table,
};
use crate::{
    domain::{Receipt, SessionId},
    store::{Delivery, Message, Page, Part, Receipted, Result, State, cut},
};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::try_join_all;

/// How long after its end a session's last messages can have been put on record.
const STRAGGLERS: TimeDelta = TimeDelta::days(1);
/// How far the clock of who puts a message on record may be behind the clock of who opened its session.
const CLOCKS_APART: TimeDelta = TimeDelta::minutes(1);

impl Dynamo {
    pub(super) async fn do_receipt(&self, receipt: &Receipt, now: DateTime<Utc>) -> Result<Receipted> {
        let mut patience = Patience::new(self.calls.patience);
        loop {
            let named = match receipt.message {
                Some(id) => self.calls.get(table::message(id)).await?,
                None => None,
            };
            let named = named.filter(|item| item.0.contains_key("message_state"));
            let proves_taken = named.is_some();
            let found = match named {
                None => self.of_provider(&receipt.provider_id).await?,
                named => named,
            };
            let Some(item) = found else { return Ok(Receipted::NoMessage) };
            let mut level = Item::new(table::receipt(item.parsed("message_id")?, receipt.level));
            level.set("ttl_at", int(self.ttl(now)));
            let mut changes = vec![Change::insert(level)];
            changes.extend(self.receipted(&item, receipt, proves_taken, now)?);
            match self.calls.transact(changes).await? {
                Committed::Done => return Ok(Receipted::Recorded),
                refused if refused.failed_at(0) => return Ok(Receipted::Known),
                // The message changed meanwhile.
                Committed::Refused(_) => patience.wait("contention").await?,
            }
        }
    }

    /// What a receipt changes in its message, if anything: its last state, and, if it proves that the provider took the
    /// message, that it is sent.
    fn receipted(
        &self,
        item: &Item,
        receipt: &Receipt,
        proves_taken: bool,
        now: DateTime<Utc>,
    ) -> Result<Option<Change>> {
        let state = item.state()?;
        let settles = proves_taken && (!item.0.contains_key("settled_at") || state == State::Unknown);
        let newest = item.some_int("receipt_level")?.is_none_or(|known| known <= receipt.level);
        let mut set: Vec<(&str, AttributeValue)> = Vec::new();
        let mut remove: Vec<&str> = Vec::new();
        if newest {
            set.push(("receipt_level", int(receipt.level)));
            set.push(("receipt_status", text(&receipt.status)));
            match &receipt.code {
                Some(code) => set.push(("receipt_code", text(code))),
                None => remove.push("receipt_code"),
            }
            match receipt.at {
                Some(time) => set.push(("receipt_at", at(time))),
                None => remove.push("receipt_at"),
            }
        }
        if settles {
            set.push(("message_state", text(State::Sent.as_str())));
            set.push(("settled_at", at(now)));
            set.push(("ttl_at", int(self.ttl(now))));
            if !receipt.provider_id.is_empty() {
                set.push(("provider_id", text(&receipt.provider_id)));
            }
            remove.extend(["body_text", "media_urls", "open_pk", "open_sk", "lease_until", "reason_text"]);
        }
        if set.is_empty() {
            return Ok(None);
        }
        let assignments: Vec<String> = set.iter().map(|(name, _)| format!("{name} = :{name}")).collect();
        let mut expression = format!("SET {}", assignments.join(", "));
        if !remove.is_empty() {
            expression += &format!(" REMOVE {}", remove.join(", "));
        }
        let mut change = Change::update(item.key()?, expression)
            .when(
                "message_state = :was AND lease_number = :lease AND \
                 (attribute_not_exists(receipt_level) OR receipt_level = :known)",
            )
            .with("was", text(state.as_str()))
            .with("lease", int(item.int("lease_number")?))
            .with("known", int(item.some_int("receipt_level")?.unwrap_or(0)));
        for (name, value) in set {
            change = change.with(name, value);
        }
        Ok(Some(change))
    }

    async fn of_provider(&self, provider_id: &str) -> Result<Option<Item>> {
        if provider_id.is_empty() {
            return Ok(None);
        }
        let query = Query {
            index: Some(table::BY_PROVIDER),
            hash: ("provider_id", provider_id.to_owned()),
            limit: Some(1),
            ..Query::default()
        };
        match self.calls.query(query).await?.first() {
            Some(entry) => self.calls.get(entry.key()?).await,
            None => Ok(None),
        }
    }

    pub(super) async fn do_messages(
        &self,
        session: SessionId,
        page: Page,
        now: DateTime<Utc>,
    ) -> Result<Option<Part<Message>>> {
        let item = self.calls.get(table::session(session)).await?;
        let item = still_there(item, now)?.filter(|item| !is_mark(item));
        let Some(item) = item else { return Ok(None) };
        let session = item.session([None, None])?;
        // The smallest text after a mark: marks have all the same length.
        let from =
            page.after.map_or_else(|| table::sortable(session.created_at - CLOCKS_APART), |mark| mark + " ");
        // What no page ended with is taken for the end.
        if !from.is_ascii() || !(15..=100).contains(&from.len()) {
            return Ok(Some(Part { items: Vec::new(), next: None }));
        }
        let end = item.some_time("ended_at")?.map(|end| table::sortable(end + STRAGGLERS));
        let until = format!("{}~", end.unwrap_or_default());
        let of_pair = session.participants.map(|participant| {
            let pair = pair(session.tn, participant.number);
            self.messages_of_pair(session.id, pair, [from.clone(), until.clone()], page.limit, now)
        });
        let mut messages = try_join_all(of_pair).await?.concat();
        messages.sort_by(|(one, _), (other, _)| one.cmp(other));
        let Part { items, next } = cut(messages, page.limit, |(mark, _)| mark.clone());
        Ok(Some(Part { items: items.into_iter().map(|(_, message)| message).collect(), next }))
    }

    /// The messages of a session between two numbers, within these bounds; of a page no more than it needs.
    async fn messages_of_pair(
        &self,
        session: SessionId,
        pair: String,
        [mut from, until]: [String; 2],
        limit: Option<u32>,
        now: DateTime<Utc>,
    ) -> Result<Vec<(String, Message)>> {
        let limit = limit.map(|limit| limit as usize + 1);
        let mut messages: Vec<(String, Message)> = Vec::new();
        // Other sessions on the same number may have messages between: then there is another turn.
        while from <= until && limit.is_none_or(|limit| messages.len() < limit) {
            let left = limit.map(|limit| limit - messages.len());
            let query = Query {
                index: Some(table::BY_PAIR),
                hash: ("pair_pk", pair.clone()),
                range: Some(("pair_sk BETWEEN :range AND :until", from)),
                until: Some(until.clone()),
                limit: left.and_then(|left| i32::try_from(left).ok()),
                ..Query::default()
            };
            let entries = self.calls.query(query).await?;
            let keys = entries.iter().map(Item::key).collect::<Result<Vec<_>>>()?;
            for item in self.calls.get_all(&keys).await? {
                let Some(item) = still_there(item, now)? else { continue };
                if item.some_parsed("session_id")? == Some(session) {
                    messages.push((item.text("pair_sk")?.to_owned(), message(&item)?));
                }
            }
            match entries.last() {
                Some(last) if left == Some(entries.len()) => from = format!("{} ", last.text("pair_sk")?),
                _ => break,
            }
        }
        Ok(messages)
    }
}

/// An item whose time to live is over counts as gone, though the table may keep it for two days more.
fn still_there(item: Option<Item>, now: DateTime<Utc>) -> Result<Option<Item>> {
    let Some(item) = item else { return Ok(None) };
    let gone = item.some_int("ttl_at")?.is_some_and(|ttl| ttl <= now.timestamp());
    Ok((!gone).then_some(item))
}

fn message(item: &Item) -> Result<Message> {
    let delivery = match item.some_text("receipt_status")? {
        None => None,
        Some(status) => Some(Delivery {
            status: status.to_owned(),
            code: item.some_text("receipt_code")?.map(str::to_owned),
            at: item.some_time("receipt_at")?,
        }),
    };
    Ok(Message {
        id: item.parsed("message_id")?,
        kind: item.kind()?,
        to: item.role()?,
        state: item.state()?,
        attempts: u32::try_from(item.int("attempts")?).unwrap_or(0),
        created_at: item.time("created_at")?,
        attempted_at: item.some_time("attempted_at")?,
        settled_at: item.some_time("settled_at")?,
        provider_id: item.some_text("provider_id")?.map(str::to_owned),
        reason: item.some_text("reason_text")?.map(str::to_owned),
        delivery,
    })
}
