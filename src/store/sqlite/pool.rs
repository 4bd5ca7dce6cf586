//! The pool of virtual TNs.

use super::{
    Sqlite, free_list,
    rows::{Columns, all, count, exists, first, integer, millis, one_more, run},
    sessions::{self, LIVE},
};
use crate::{
    domain::{Number, Page, Part, PoolSize, VirtualTn},
    store::{AddTn, Pool, RemoveTn, Result},
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, params};

#[async_trait]
impl Pool for Sqlite {
    async fn add_tn(&self, tn: Number, now: DateTime<Utc>) -> Result<AddTn> {
        self.writer.write(move |db| add(db, tn, now)).await
    }

    async fn remove_tn(&self, tn: Number, now: DateTime<Utc>) -> Result<RemoveTn> {
        self.writer.write(move |db| remove(db, tn, now)).await
    }

    async fn tn(&self, tn: Number, now: DateTime<Utc>) -> Result<Option<VirtualTn>> {
        let one = select("WHERE tn.value = ?2");
        self.readers.read(move |db| first(db, &one, [millis(now), integer(tn)], read)).await
    }

    async fn tns(&self, page: Page, now: DateTime<Utc>) -> Result<(Part<VirtualTn>, PoolSize)> {
        self.readers.read(move |db| list(db, &page, now)).await
    }
}

/// Selects TNs, each with its live session; `?1` is now.
fn select(condition: &str) -> String {
    format!("SELECT tn.value, s.id FROM tn LEFT JOIN session s ON s.tn = tn.value AND {LIVE} {condition}")
}

fn read(row: &Row<'_>) -> Result<VirtualTn> {
    Ok(VirtualTn { number: row.number(0)?, session: row.some_parsed(1)? })
}

fn add(db: &Connection, tn: Number, now: DateTime<Utc>) -> Result<AddTn> {
    let is_participant =
        format!("SELECT 1 FROM route r JOIN session s ON s.id = r.session_id WHERE {LIVE} AND r.sender = ?2");
    if exists(db, &is_participant, [millis(now), integer(tn)])? {
        return Ok(AddTn::IsParticipant);
    }
    Ok(if free_list::add(db, tn, now)? { AddTn::Added } else { AddTn::Duplicate })
}

fn remove(db: &Connection, tn: Number, now: DateTime<Utc>) -> Result<RemoveTn> {
    Ok(match sessions::on_tn(db, tn)? {
        Some(session) if session.is_expired(now) => RemoveTn::HeldByExpired(session),
        Some(session) => RemoveTn::InUse(session.id),
        None if run(db, "DELETE FROM tn WHERE value = ?1", [integer(tn)])? == 1 => RemoveTn::Removed,
        None => RemoveTn::NotInPool,
    })
}

fn list(db: &Connection, page: &Page, now: DateTime<Utc>) -> Result<(Part<VirtualTn>, PoolSize)> {
    let after: i64 = page.after.as_deref().and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
    let sql = select("WHERE tn.value > ?2 ORDER BY tn.value LIMIT ?3");
    let items = all(db, &sql, params![millis(now), after, one_more(page.limit)], read)?;
    let total = count(db, "SELECT count(*) FROM tn", [])?;
    let in_use = format!("SELECT count(DISTINCT tn) FROM session s WHERE {LIVE}");
    let in_use = count(db, &in_use, [millis(now)])?;
    Ok((Part::cut(items, page.limit, |tn| tn.number.digits()), PoolSize { total, in_use }))
}
