//! The pool of virtual TNs.

use super::rows::{SESSION, all, exists, first, integer, millis, number, run, session};
use crate::{
    domain::{Number, SessionId},
    store::{AddTn, Page, Part, PoolSize, RemoveTn, Result, VirtualTn},
};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, params};

/// A random place in the draw.
pub(super) fn random_place() -> i64 {
    rand::random_range(0..i64::MAX)
}

pub(super) fn is_tn(db: &Connection, value: Number) -> Result<bool> {
    exists(db, "SELECT 1 FROM tn WHERE value = ?1", [integer(value)])
}

pub(super) fn add(db: &Connection, tn: Number, now: DateTime<Utc>) -> Result<AddTn> {
    let participant = exists(
        db,
        "SELECT 1 FROM route r JOIN session s ON s.id = r.session_id
         WHERE r.sender = ?1 AND (s.expires_at IS NULL OR s.expires_at > ?2)",
        params![integer(tn), millis(now)],
    )?;
    if participant {
        return Ok(AddTn::IsParticipant);
    }
    let added = run(
        db,
        "INSERT INTO tn (value, added_at, draw) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        params![integer(tn), millis(now), random_place()],
    )?;
    Ok(if added == 1 { AddTn::Added } else { AddTn::Duplicate })
}

pub(super) fn remove(db: &Connection, tn: Number, now: DateTime<Utc>) -> Result<RemoveTn> {
    let holder = first(
        db,
        &format!("SELECT {SESSION} FROM session s WHERE s.tn = ?1 AND s.ended_at IS NULL"),
        [integer(tn)],
        session,
    )?;
    Ok(match holder {
        Some(session) if session.is_expired(now) => RemoveTn::HeldByExpired(session),
        Some(session) => RemoveTn::InUse(session.id),
        None if run(db, "DELETE FROM tn WHERE value = ?1", [integer(tn)])? == 1 => RemoveTn::Removed,
        None => RemoveTn::NotInPool,
    })
}

/// A TN with the live session on it, if there is one; `?1` is now.
const TN: &str = "SELECT tn.value, s.id FROM tn
     LEFT JOIN session s ON s.tn = tn.value AND s.ended_at IS NULL
         AND (s.expires_at IS NULL OR s.expires_at > ?1)";

fn virtual_tn(row: &Row<'_>) -> Result<VirtualTn> {
    let session: Option<SessionId> = row.get::<_, Option<String>>(1)?.map(|id| id.parse()).transpose()?;
    Ok(VirtualTn { number: number(row.get(0)?)?, session })
}

pub(super) fn one(db: &Connection, tn: Number, now: DateTime<Utc>) -> Result<Option<VirtualTn>> {
    first(db, &format!("{TN} WHERE tn.value = ?2"), params![millis(now), integer(tn)], virtual_tn)
}

pub(super) fn list(db: &Connection, page: &Page, now: DateTime<Utc>) -> Result<(Part<VirtualTn>, PoolSize)> {
    let after: i64 = page.after.as_deref().and_then(|mark| mark.parse().ok()).unwrap_or(0);
    // One more than asked for shows whether there is a next page.
    let at_most = page.limit.map_or(-1, |limit| i64::from(limit) + 1);
    let items = all(
        db,
        &format!("{TN} WHERE tn.value > ?2 ORDER BY tn.value LIMIT ?3"),
        params![millis(now), after, at_most],
        virtual_tn,
    )?;
    let part = crate::store::cut(items, page.limit, |tn| tn.number.digits());
    let total = first(db, "SELECT count(*) FROM tn", [], |row| Ok(row.get::<_, i64>(0)?))?;
    let in_use = first(
        db,
        "SELECT count(DISTINCT tn) FROM session
         WHERE ended_at IS NULL AND (expires_at IS NULL OR expires_at > ?1)",
        [millis(now)],
        |row| Ok(row.get::<_, i64>(0)?),
    )?;
    let count = |found: Option<i64>| found.unwrap_or(0).unsigned_abs();
    Ok((part, PoolSize { total: count(total), in_use: count(in_use) }))
}
