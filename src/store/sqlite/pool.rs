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
        self.readers.read(move |db| one(db, tn, now)).await
    }

    async fn tns(
        &self,
        page: Page,
        sessions_per_tn: u32,
        now: DateTime<Utc>,
    ) -> Result<(Part<VirtualTn>, PoolSize)> {
        self.readers.list(move |db| list(db, &page, sessions_per_tn, now)).await
    }

    async fn drain_tn(&self, tn: Number, draining: bool, now: DateTime<Utc>) -> Result<Option<VirtualTn>> {
        let drain = move |db: &Connection| {
            free_list::drain(db, tn, draining)?;
            one(db, tn, now)
        };
        self.writer.write(drain).await
    }
}

/// Selects TNs with their live sessions; `?1` is now.
fn select(condition: &str) -> String {
    format!(
        "SELECT tn.value, tn.draining, count(s.id), min(s.id)
         FROM tn LEFT JOIN session s ON s.tn = tn.value AND {LIVE} WHERE {condition} GROUP BY tn.value"
    )
}

fn read(row: &Row<'_>) -> Result<VirtualTn> {
    let sessions: u32 = row.get(2)?;
    let session = if sessions == 1 { row.some_parsed(3)? } else { None };
    Ok(VirtualTn { number: row.number(0)?, session, sessions, draining: row.get(1)? })
}

fn one(db: &Connection, tn: Number, now: DateTime<Utc>) -> Result<Option<VirtualTn>> {
    first(db, &select("tn.value = ?2"), [millis(now), integer(tn)], read)
}

fn add(db: &Connection, tn: Number, now: DateTime<Utc>) -> Result<AddTn> {
    let is_participant =
        format!("SELECT 1 FROM route r JOIN session s ON s.id = r.session_id WHERE {LIVE} AND r.sender = ?2");
    if exists(db, &is_participant, [millis(now), integer(tn)])? {
        return Ok(AddTn::IsParticipant);
    }
    Ok(if free_list::add(db, tn, now, false)? { AddTn::Added } else { AddTn::Duplicate })
}

fn remove(db: &Connection, tn: Number, now: DateTime<Utc>) -> Result<RemoveTn> {
    if let Some(session) = sessions::expired_on(db, tn, now)? {
        return Ok(RemoveTn::HeldByExpired(session));
    }
    Ok(match one(db, tn, now)? {
        None => RemoveTn::NotInPool,
        Some(tn) if tn.sessions > 0 => RemoveTn::InUse(tn),
        Some(_) => {
            run(db, "DELETE FROM tn WHERE value = ?1", [integer(tn)])?;
            RemoveTn::Removed
        }
    })
}

fn list(
    db: &Connection,
    page: &Page,
    sessions_per_tn: u32,
    now: DateTime<Utc>,
) -> Result<(Part<VirtualTn>, PoolSize)> {
    let after: i64 = page.after.as_deref().and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
    let sql = select("tn.value > ?2") + " ORDER BY tn.value LIMIT ?3";
    let items = all(db, &sql, params![millis(now), after, one_more(page.limit)], read)?;
    let total = count(db, "SELECT count(*) FROM tn", [])?;
    let in_use = format!("SELECT count(DISTINCT tn) FROM session s WHERE {LIVE}");
    let room = format!(
        "SELECT ifnull(sum(max(0, ?2 - (SELECT count(*) FROM session s WHERE s.tn = tn.value AND {LIVE}))), 0)
         FROM tn WHERE draining = 0"
    );
    let size = PoolSize {
        total,
        in_use: count(db, &in_use, [millis(now)])?,
        sessions: count(db, &format!("SELECT count(*) FROM session s WHERE {LIVE}"), [millis(now)])?,
        room: count(db, &room, params![millis(now), sessions_per_tn])?,
    };
    Ok((Part::cut(items, page.limit, |tn| tn.number.digits()), size))
}
