//! Export and import.

use super::{
    Dynamo, LIST_FACTOR,
    calls::Calls,
    change::Change,
    item::Item,
    keys, messages, opt_out_key,
    opt_outs::{blocked_keys, fill_blocked, opted_out_tns, opting_alone},
    session_items::{self, TN_PART, ended, opening},
};
use crate::{
    domain::{Session, State},
    store::{Entry, Exported, Imported, Result, Snapshot, StoreError, snapshot::exported},
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::pin::pin;

/// The number of entries that are stored concurrently.
const CONCURRENCY: usize = 32;
/// The number of items in a page: few enough for the time limit of a call over a slow link.
const PAGE: i32 = 250;
/// The retry budget of a page, as a multiple of that of a call of the service, for which a caller waits.
const BUDGET_FACTOR: u32 = 20;

#[async_trait]
impl Snapshot for Dynamo {
    async fn export(&self, before: DateTime<Utc>) -> Result<Exported> {
        // A scan is not a consistent view: a second one shows whether records changed.
        let first = self.scan(before).await?;
        if !matches!(first, Exported::Entries(_)) {
            return Ok(first);
        }
        Ok(match self.scan(before).await? {
            Exported::Entries(second) if Exported::Entries(second.clone()) != first => Exported::Changed,
            second => second,
        })
    }

    async fn import(&self, entries: Vec<Entry>) -> Result<Imported> {
        let imported = stream::iter(entries).map(async |entry| {
            let is_done = self.import_one(&entry).await?;
            Ok::<_, StoreError>(if is_done { Imported::Done } else { Imported::Conflict(entry.key()) })
        });
        let mut imported = pin!(imported.buffer_unordered(CONCURRENCY));
        while let Some(one) = imported.try_next().await? {
            if one != Imported::Done {
                return Ok(one);
            }
        }
        Ok(Imported::Done)
    }
}

impl Dynamo {
    async fn scan(&self, before: DateTime<Utc>) -> Result<Exported> {
        let calls = Calls { retry_for: self.calls.retry_for * BUDGET_FACTOR, ..self.calls.clone() };
        let (mut entries, mut leased) = (Vec::new(), 0);
        let mut after = None;
        loop {
            let request = calls.client.scan().table_name(&calls.table).consistent_read(true).limit(PAGE);
            let request = request.set_exclusive_start_key(after);
            let response = calls.read(|| request.clone().send()).await?;
            for attributes in response.items.unwrap_or_default() {
                for entry in read(&Item::read(attributes)?)? {
                    match &entry {
                        Entry::Message(message) if message.status.state == State::Sending => leased += 1,
                        _ => entries.push(entry),
                    }
                }
            }
            after = response.last_evaluated_key;
            if after.is_none() {
                break;
            }
        }
        if leased > 0 {
            return Ok(Exported::Leased(leased));
        }
        Ok(exported(entries, before))
    }

    /// Stores an entry. `false`: it conflicts with a stored one, and nothing was written.
    async fn import_one(&self, entry: &Entry) -> Result<bool> {
        let changes = match entry {
            Entry::Tn { number, added_at, draining } => self.adding(*number, *added_at, *draining).await?,
            Entry::Session { session, ended_at: None, request } => {
                return self.import_session(session, request.clone()).await;
            }
            Entry::Session { session, ended_at: Some(ended_at), request } => {
                self.keep_end(session, *ended_at).await?;
                let item = ended(session, request.clone(), *ended_at).with("ttl_at", self.ttl(*ended_at));
                vec![Change::insert(keys::session(session.id), item)]
            }
            Entry::OptOutKey(key) => return self.replace_opt_out_key(key).await,
            Entry::OptOut { tn, person } => vec![opting_alone(*tn, *person, true)],
            Entry::Inbound { id, received_at } => vec![self.tombstone(*id, *received_at)],
            Entry::Message(message) => {
                self.keep_told(message).await?;
                vec![self.insert(message)]
            }
        };
        Ok(self.calls.write(changes).await?.is_ok())
    }
}

impl Dynamo {
    /// Stores a session that is not ended. Whether its TN has room is checked when the next session is opened.
    async fn import_session(&self, session: &Session, request: Option<String>) -> Result<bool> {
        let blocked = self.calls.get_all(&blocked_keys(session, &self.opt_out_key().await?)).await?;
        let session = &fill_blocked(session.clone(), &blocked)?;
        let patient = self.clone().with_limit(self.limit * LIST_FACTOR);
        patient
            .optimistic(|| async {
                let Some(tn) = self.tn_item(session.tn).await? else { return Ok(Some(false)) };
                let changes = opening(session, Vec::new(), request.clone(), &tn, u32::MAX);
                Ok(match self.calls.write(changes).await? {
                    Ok(()) => Some(true),
                    // Another import has changed the TN meanwhile.
                    Err(refused) if refused == [TN_PART] => None,
                    Err(_) => Some(false),
                })
            })
            .await
    }
}

/// The entries that an item holds: one, some opt-outs, or none.
fn read(item: &Item) -> Result<Vec<Entry>> {
    let key = item.key()?;
    let (kind, rest) = key.pk.split_once('#').unwrap_or((&key.pk, ""));
    let entry = match (kind, key.sk.chars().next()) {
        ("TN", _) => {
            let draining = item.get("draining")?;
            Entry::Tn { number: item.get("tn_number")?, added_at: item.get("added_at")?, draining }
        }
        ("S", _) if session_items::is_tombstone(item) => return Ok(Vec::new()),
        ("S", _) => Entry::Session {
            session: session_items::read(item)?,
            ended_at: item.get("ended_at")?,
            request: item.get("request_hash")?,
        },
        ("P", Some('O')) => {
            let person = rest.parse()?;
            let tns = opted_out_tns(Some(item))?;
            return Ok(tns.into_iter().map(|tn| Entry::OptOut { tn, person }).collect());
        }
        ("OPT_OUT_KEY", _) => Entry::OptOutKey(opt_out_key::read(item)?),
        ("M", _) if messages::is_tombstone(item) => {
            Entry::Inbound { id: rest.parse()?, received_at: item.get("received_at")? }
        }
        ("M", _) => Entry::Message(Box::new(messages::read(item)?)),
        // Items that are derived from sessions and TNs, and items that are not exported.
        ("P", Some('R' | 'A'))
        | ("LIVE" | "FREE" | "POOL" | "C" | "ANSWERS" | "DRAIN" | "SWEPT" | "TEST_WRITE", _) => {
            return Ok(Vec::new());
        }
        _ => return Err(unknown_item()),
    };
    Ok(vec![entry])
}

fn unknown_item() -> StoreError {
    StoreError::Unreadable("an item of a kind that this program does not know".into())
}
