//! All items as plain values, and back.

use super::{
    Dynamo,
    calls::Calls,
    change::Change,
    item::{Item, at, int, text},
    place::Place,
    sessions::{is_mark, opening, session_item},
    table,
};
use crate::{
    domain::{Barred, MessageId, Number, Session},
    store::{Delivery, Entry, Exported, Imported, MessageEntry, Opt, Result, Stage, State, StoreError},
};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use std::collections::{BTreeSet, HashMap};
use tokio::task::JoinSet;

/// How many entries are put on record at the same time.
const AT_ONCE: usize = 32;
/// How many items are read at a time: few enough for one try of a call, also over a slow link.
const PAGE: i32 = 250;
/// How many times as long as one of the service's calls a page is asked for: nobody waits for an answer here.
const MORE_PATIENCE: u32 = 20;

/// What has been read of the table so far.
#[derive(Default)]
struct Reading {
    entries: Vec<Entry>,
    levels: HashMap<MessageId, BTreeSet<i64>>,
    leased: usize,
}

impl Dynamo {
    pub(super) async fn do_export(&self, before: DateTime<Utc>) -> Result<Exported> {
        // A scan is no picture of one moment: what is written behind its back shows in the next one.
        let first = self.read_all(before).await?;
        if !matches!(first, Exported::Entries(_)) {
            return Ok(first);
        }
        let second = self.read_all(before).await?;
        Ok(match second {
            Exported::Entries(_) if second != first => Exported::Changed,
            second => second,
        })
    }

    async fn read_all(&self, before: DateTime<Utc>) -> Result<Exported> {
        let calls = Calls { patience: self.calls.patience * MORE_PATIENCE, ..self.calls.clone() };
        let mut reading = Reading::default();
        let mut after = None;
        loop {
            let request = calls.client.scan().table_name(&calls.table).consistent_read(true).limit(PAGE);
            let request = request.set_exclusive_start_key(after);
            let answer = calls.read(|| request.clone().send()).await?;
            for attributes in answer.items.unwrap_or_default() {
                reading.take(&Item::read(attributes)?)?;
            }
            after = answer.last_evaluated_key;
            if after.is_none() {
                return Ok(reading.whole(before));
            }
        }
    }

    pub(super) async fn do_import(&self, entries: Vec<Entry>) -> Result<Imported> {
        let mut tasks = JoinSet::new();
        let mut entries = entries.into_iter();
        loop {
            while tasks.len() < AT_ONCE
                && let Some(entry) = entries.next()
            {
                let store = self.clone();
                tasks.spawn(async move {
                    let done = store.put_entry(&entry).await?;
                    Ok(if done { Imported::Done } else { Imported::InTheWay(entry.place()) })
                });
            }
            match tasks.join_next().await {
                None => return Ok(Imported::Done),
                Some(Ok(Ok(Imported::Done))) => {}
                Some(Ok(other)) => return other,
                Some(Err(error)) => return Err(StoreError::Unavailable(error.to_string())),
            }
        }
    }

    /// `false`, with nothing written, when something is in the way.
    async fn put_entry(&self, entry: &Entry) -> Result<bool> {
        let changes = match entry {
            Entry::Tn { number, added_at } => self.adding(*number, *added_at).await?,
            Entry::Session { session, ended_at: None } => {
                let Some(place) = self.free_place(session.tn).await? else { return Ok(false) };
                opening(session, &[], place)
            }
            Entry::Session { session, ended_at: Some(ended_at) } => {
                vec![Change::insert(self.ended(session, *ended_at))]
            }
            Entry::OptOut { tn, person } => self.opting(Opt { tn: *tn, person: *person, out: true }).await?,
            Entry::Inbound { id, received_at } => vec![self.marking(*id, *received_at)],
            Entry::Message(message) => self.putting(message),
        };
        Ok(self.calls.transact(changes).await?.is_done())
    }

    async fn free_place(&self, tn: Number) -> Result<Option<table::Key>> {
        let Some(item) = self.calls.get(table::tn(tn)).await? else { return Ok(None) };
        Ok(item.some_parsed::<Place>("free_place")?.map(|place| place.key()))
    }

    fn ended(&self, session: &Session, ended_at: DateTime<Utc>) -> Item {
        let mut item = session_item(session, &[]);
        item.set("ended_at", at(ended_at));
        item.set("ttl_at", int(self.ttl(ended_at)));
        item
    }

    fn putting(&self, message: &MessageEntry) -> Vec<Change> {
        let id = message.outbound.id;
        let over_since = match message.stage {
            Stage::Settled(_, settled_at) => settled_at,
            Stage::Waiting(_) | Stage::Unknown => message.outbound.created_at,
        };
        let mut changes = vec![Change::insert(self.message_item(message))];
        for level in &message.levels {
            let mut item = Item::new(table::receipt(id, *level));
            item.set("ttl_at", int(self.ttl(over_since)));
            changes.push(Change::put(item));
        }
        changes
    }

    fn message_item(&self, message: &MessageEntry) -> Item {
        let mut outbound = message.outbound.clone();
        let (state, attention) = match message.stage {
            Stage::Waiting(due) => (State::Waiting, due),
            Stage::Unknown => (State::Unknown, message.attempted_at.unwrap_or(outbound.created_at)),
            Stage::Settled(state, settled_at) => {
                // Like a message to somebody who is barred it has no content, and is in no list of what is open.
                outbound.text.barred = Some(Barred::OptedOut);
                (state, settled_at)
            }
        };
        let mut item = Item::message(&outbound, state, attention);
        item.0.remove("reason_text");
        if let Stage::Settled(_, settled_at) = message.stage {
            item.set("settled_at", at(settled_at));
            item.set("ttl_at", int(self.ttl(settled_at)));
        }
        item.set("lease_number", int(message.lease.into()));
        item.set("attempts", int(message.attempts.into()));
        item.set_some("attempted_at", message.attempted_at.map(at));
        item.set_some("absent_at", message.absent_at.map(at));
        item.set_some("revoked", message.revoked.then_some(AttributeValue::Bool(true)));
        item.set_some("provider_id", message.provider_id.as_ref().map(text));
        item.set_some("reason_text", message.reason.as_ref().map(text));
        if let Some((level, delivery)) = &message.delivery {
            item.set("receipt_level", int(*level));
            item.set("receipt_status", text(&delivery.status));
            item.set_some("receipt_code", delivery.code.as_ref().map(text));
            item.set_some("receipt_at", delivery.at.map(at));
        }
        item
    }
}

impl Reading {
    fn take(&mut self, item: &Item) -> Result<()> {
        let key = item.key()?;
        let (kind, rest) = key.pk.split_once('#').unwrap_or((&key.pk, ""));
        match (kind, key.sk.chars().next()) {
            ("TN", _) => {
                let (number, added_at) = (item.parsed("tn_number")?, item.time("added_at")?);
                self.entries.push(Entry::Tn { number, added_at });
            }
            ("S", _) if is_mark(item) => {}
            ("S", _) => {
                let session = item.session([None, None])?;
                self.entries.push(Entry::Session { session, ended_at: item.some_time("ended_at")? });
            }
            ("P", Some('O')) => {
                let person = rest.parse().map_err(|_| unknown_item())?;
                for tn in item.texts("opted_out") {
                    let tn = tn.parse().map_err(|_| unknown_item())?;
                    self.entries.push(Entry::OptOut { tn, person });
                }
            }
            ("M", Some('L')) => {
                let level = key.sk.trim_start_matches("L#").parse().map_err(|_| unknown_item())?;
                self.levels.entry(rest.parse()?).or_default().insert(level);
            }
            ("M", _) if !item.0.contains_key("message_state") => {
                let received_at = item.time("received_at")?;
                self.entries.push(Entry::Inbound { id: rest.parse()?, received_at });
            }
            ("M", _) if item.state()? == State::Sending => self.leased += 1,
            ("M", _) => self.entries.push(Entry::Message(Box::new(message(item)?))),
            // What a session and a free TN consist of besides, and what is not taken along.
            ("P", Some('R' | 'A')) | ("LIVE" | "FREE" | "POOL" | "C" | "ANSWERS" | "DRAIN", _) => {}
            _ => return Err(unknown_item()),
        }
        Ok(())
    }

    fn whole(self, before: DateTime<Utc>) -> Exported {
        let Self { mut entries, mut levels, leased } = self;
        if leased > 0 {
            return Exported::Leased(leased);
        }
        for entry in &mut entries {
            if let Entry::Message(message) = entry {
                let levels = levels.remove(&message.outbound.id).unwrap_or_default();
                message.levels = levels.into_iter().collect();
            }
        }
        entries.retain(|entry| !entry.is_past(before));
        entries.sort_by_key(Entry::place);
        Exported::Entries(entries)
    }
}

fn unknown_item() -> StoreError {
    StoreError::Unreadable("an item of a kind that this program does not know".into())
}

fn message(item: &Item) -> Result<MessageEntry> {
    let stage = match (item.state()?, item.some_time("settled_at")?) {
        (State::Waiting, _) => Stage::Waiting(item.time("due_at")?),
        (State::Unknown, None) => Stage::Unknown,
        (state, Some(settled_at)) => Stage::Settled(state, settled_at),
        (_, None) => return Err(StoreError::Unreadable("a message is settled at no time".into())),
    };
    let count = |name| -> Result<u32> {
        u32::try_from(item.int(name)?).map_err(|_| StoreError::Unreadable(format!("an item's {name}")))
    };
    let delivery = match item.some_int("receipt_level")? {
        None => None,
        Some(level) => {
            let delivery = Delivery {
                status: item.text("receipt_status")?.to_owned(),
                code: item.some_text("receipt_code")?.map(str::to_owned),
                at: item.some_time("receipt_at")?,
            };
            Some((level, delivery))
        }
    };
    Ok(MessageEntry {
        outbound: item.outbound()?,
        stage,
        lease: count("lease_number")?,
        attempts: count("attempts")?,
        attempted_at: item.some_time("attempted_at")?,
        absent_at: item.some_time("absent_at")?,
        revoked: item.flag("revoked"),
        provider_id: item.some_text("provider_id")?.map(str::to_owned),
        reason: item.some_text("reason_text")?.map(str::to_owned),
        delivery,
        levels: Vec::new(),
    })
}
