//! Export and import.

use super::{
    Sqlite, free_list, messages, opt_outs,
    rows::{Columns, all},
    sessions,
};
use crate::{
    domain::InvalidOptOutKey,
    store::{Entry, Exported, Imported, Result, Snapshot, StoreError, snapshot::exported},
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rusqlite::Connection;

#[async_trait]
impl Snapshot for Sqlite {
    async fn export(&self, before: DateTime<Utc>) -> Result<Exported> {
        self.reading().await.read(move |db| export(db, before)).await
    }

    async fn import(&self, entries: Vec<Entry>) -> Result<Imported> {
        let import = move |db: &Connection| {
            for entry in &entries {
                if !insert(db, entry)? {
                    return Ok(Imported::Conflict(entry.key()));
                }
            }
            Ok(Imported::Done)
        };
        self.writer.write(import).await
    }
}

fn export(db: &Connection, before: DateTime<Utc>) -> Result<Exported> {
    let leased = messages::leased(db)?;
    if leased > 0 {
        return Ok(Exported::Leased(usize::try_from(leased).unwrap_or(usize::MAX)));
    }
    let mut entries = all(db, "SELECT value, added_at, draining FROM tn", [], |row| {
        Ok(Entry::Tn { number: row.number(0)?, added_at: row.time(1)?, draining: row.get(2)? })
    })?;
    let session = |(session, ended_at, request)| Entry::Session { session, ended_at, request };
    entries.extend(sessions::every(db)?.into_iter().map(session));
    entries.extend(all(db, "SELECT key FROM opt_out_key", [], |row| {
        let key: String = row.get(0)?;
        let unreadable = |e: InvalidOptOutKey| StoreError::Unreadable(e.to_string());
        Ok(Entry::OptOutKey(key.parse().map_err(unreadable)?))
    })?);
    entries.extend(all(db, "SELECT tn, person FROM opt_out", [], |row| {
        Ok(Entry::OptOut { tn: row.number(0)?, person: row.id(1)? })
    })?);
    entries.extend(all(db, "SELECT id, received_at FROM inbound", [], |row| {
        Ok(Entry::Inbound { id: row.id(0)?, received_at: row.time(1)? })
    })?);
    entries.extend(messages::every(db)?.into_iter().map(|message| Entry::Message(Box::new(message))));
    Ok(exported(entries, before))
}

/// Stores an entry. `false`: it conflicts with a stored one, and nothing was written.
fn insert(db: &Connection, entry: &Entry) -> Result<bool> {
    match entry {
        Entry::Tn { number, added_at, draining } => return free_list::add(db, *number, *added_at, *draining),
        Entry::Session { session, .. } if sessions::is_stored(db, session.id)? => return Ok(false),
        Entry::Session { session, ended_at: Some(ended_at), request } => {
            sessions::insert_ended(db, session, request.as_deref(), *ended_at)?;
        }
        Entry::Session { session, .. } if !free_list::is_tn(db, session.tn)? => return Ok(false),
        // Whether it has room is checked when the next session is opened.
        Entry::Session { session, request, .. } => {
            sessions::insert(db, session, request.as_deref(), u32::MAX)?;
        }
        Entry::OptOutKey(key) => return opt_outs::set_key(db, key),
        Entry::OptOut { tn, person } => opt_outs::set_hashed(db, *tn, *person)?,
        Entry::Inbound { id, .. } if messages::is_known(db, *id)? => return Ok(false),
        Entry::Inbound { id, received_at } => messages::insert_tombstone(db, *id, *received_at)?,
        Entry::Message(message) if messages::is_known(db, message.outbound.id)? => return Ok(false),
        Entry::Message(message) => messages::insert(db, message)?,
    }
    Ok(true)
}
