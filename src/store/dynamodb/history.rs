//! What became of the messages: delivery receipts, and the list of a session.

use super::{
    Dynamo,
    calls::{Change, Query},
    item::{Item, at, int, pair, text},
    table,
};
use crate::{
    domain::{Receipt, SessionId},
    store::{Delivery, Leased, Message, Page, Part, Receipted, Result, State, cut},
};
use chrono::{DateTime, Utc};

impl Dynamo {
    pub(super) async fn do_receipt(&self, receipt: &Receipt, now: DateTime<Utc>) -> Result<Receipted> {
        let named = match receipt.message {
            Some(id) => self.calls.get(table::message(id)).await?,
            None => None,
        };
        let named = named.filter(|item| item.0.contains_key("message_state"));
        let proves_taken = named.is_some();
        let Some(item) = (match named {
            None => self.of_provider(&receipt.provider_id).await?,
            named => named,
        }) else {
            return Ok(Receipted::NoMessage);
        };
        let outbound = item.outbound()?;
        let state = item.state()?;
        let mut level = Item::new(table::receipt(outbound.id, receipt.level));
        level.set("ttl_at", int(self.ttl(now)));
        let mut changes = vec![Change::insert(level)];
        if item.some_int("receipt_level")?.is_none_or(|known| known <= receipt.level) {
            changes.push(with_receipt(&item, receipt)?);
        }
        if !self.calls.transact(changes).await?.is_done() {
            return Ok(Receipted::Known);
        }
        let open = !item.0.contains_key("settled_at");
        if proves_taken && (open || state == State::Unknown) {
            let lease = u32::try_from(item.int("lease_number")?).unwrap_or(0);
            let provider_id = Some(receipt.provider_id.as_str()).filter(|id| !id.is_empty());
            let close = self
                .close(&Leased { outbound, lease }, State::Sent, provider_id, None, now)
                .when("attribute_not_exists(settled_at) OR message_state = :unknown")
                .with("unknown", text(State::Unknown.as_str()))
                .without("lease");
            let _ = self.calls.change(item.key()?, close).await?;
        }
        Ok(Receipted::Recorded)
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

    pub(super) async fn do_messages(&self, session: SessionId, page: Page) -> Result<Option<Part<Message>>> {
        let Some(item) = self.calls.get(table::session(session)).await? else { return Ok(None) };
        let session = item.session([None, None])?;
        let from = page.after.clone().unwrap_or_else(|| table::sortable(session.created_at));
        let mut keys = Vec::new();
        for participant in session.participants {
            let query = Query {
                index: Some(table::BY_PAIR),
                hash: ("pair_pk", pair(session.tn, participant.number)),
                range: Some(("pair_sk > :range", from.clone())),
                ..Query::default()
            };
            for entry in self.calls.query(query).await? {
                keys.push(entry.key()?);
            }
        }
        let mut messages = Vec::new();
        for item in self.calls.get_all(&keys).await?.into_iter().flatten() {
            if item.some_parsed("session_id")? == Some(session.id) {
                messages.push((item.text("pair_sk")?.to_owned(), message(&item)?));
            }
        }
        messages.sort_by(|(one, _), (other, _)| one.cmp(other));
        let Part { items, next } = cut(messages, page.limit, |(mark, _)| mark.clone());
        Ok(Some(Part { items: items.into_iter().map(|(_, message)| message).collect(), next }))
    }
}

fn with_receipt(item: &Item, receipt: &Receipt) -> Result<Change> {
    let mut set = "SET receipt_level = :level, receipt_status = :status".to_owned();
    let mut remove = Vec::new();
    for (value, name) in [(receipt.code.is_some(), "receipt_code"), (receipt.at.is_some(), "receipt_at")] {
        if value {
            set += &format!(", {name} = :{name}");
        } else {
            remove.push(name);
        }
    }
    if !remove.is_empty() {
        set += &format!(" REMOVE {}", remove.join(", "));
    }
    let mut change = Change::update(item.key()?, set)
        .with("level", int(receipt.level))
        .with("status", text(&receipt.status));
    if let Some(code) = &receipt.code {
        change = change.with("receipt_code", text(code));
    }
    if let Some(time) = receipt.at {
        change = change.with("receipt_at", at(time));
    }
    Ok(change)
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
