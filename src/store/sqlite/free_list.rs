//! The TNs of the pool, how many sessions each has, and the random pick of one that has room.

use super::rows::{Columns, exists, first, first_that, integer, millis, run};
use crate::{
    domain::{Choice, Number, PoolSize, Sharing, Unavailable},
    store::{Result, StoreError},
};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, params};

pub(super) fn is_tn(db: &Connection, value: Number) -> Result<bool> {
    exists(db, "SELECT 1 FROM tn WHERE value = ?1", [integer(value)])
}

/// Adds a TN without sessions. `false`: it is in the pool already.
pub(super) fn add(db: &Connection, tn: Number, added_at: DateTime<Utc>, draining: bool) -> Result<bool> {
    let sql = "INSERT INTO tn (value, added_at, pick_key, sessions, draining) VALUES (?1, ?2, ?3, 0, ?4)
         ON CONFLICT DO NOTHING";
    let key = (!draining).then(random_key);
    Ok(run(db, sql, params![integer(tn), millis(added_at), key, draining])? == 1)
}

/// Adds a session to a TN, which is full with this number of them.
pub(super) fn take(db: &Connection, tn: Number, limit: u32) -> Result<()> {
    let sql = "UPDATE tn SET sessions = sessions + 1, pick_key = iif(sessions + 1 < ?2, pick_key, NULL)
         WHERE value = ?1";
    run(db, sql, params![integer(tn), limit]).map(drop)
}

/// Takes a session off a TN.
pub(super) fn release(db: &Connection, tn: Number) -> Result<()> {
    let sql = "UPDATE tn SET sessions = sessions - 1, pick_key = iif(draining, NULL, ifnull(pick_key, ?2))
         WHERE value = ?1";
    run(db, sql, params![integer(tn), random_key()]).map(drop)
}

/// Lets a TN take no new sessions, or take them again. `false`: it is not in the pool.
pub(super) fn drain(db: &Connection, tn: Number, draining: bool) -> Result<bool> {
    let sql = "UPDATE tn SET draining = ?2, pick_key = iif(?2, NULL, ifnull(pick_key, ?3)) WHERE value = ?1";
    Ok(run(db, sql, params![integer(tn), draining, random_key()])? == 1)
}

/// Why this TN will not do for a session, if so.
pub(super) fn obstacle(
    db: &Connection,
    tn: Number,
    choice: &Choice,
    sharing: &Sharing,
) -> Result<Option<Unavailable>> {
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let stored = first(db, "SELECT sessions, draining FROM tn WHERE value = ?1", [integer(tn)], read)?;
    Ok(choice.obstacle(tn, stored, sharing))
}

/// A TN that will do: the one that the two prefer, or a random one; one that is cooling off only if no other will do.
pub(super) fn pick(db: &Connection, choice: &Choice, sharing: &Sharing) -> Result<Option<Number>> {
    let limit = sharing.sessions_per_tn;
    if let Some(tn) = choice.preferred
        && obstacle(db, tn, choice, sharing)?.is_none()
    {
        return Ok(Some(tn));
    }
    let without_cooling = |tn| choice.admits(tn, false);
    if let Some(tn) = pick_among(db, limit, without_cooling)? {
        return Ok(Some(tn));
    }
    // The limit may have been raised since these were full.
    let reopen =
        "UPDATE tn SET pick_key = random() & ?2 WHERE pick_key IS NULL AND draining = 0 AND sessions < ?1";
    if run(db, reopen, params![limit, i64::MAX])? > 0
        && let Some(tn) = pick_among(db, limit, without_cooling)?
    {
        return Ok(Some(tn));
    }
    match choice.has_cooling() {
        true => pick_among(db, limit, |tn| choice.admits(tn, true)),
        false => Ok(None),
    }
}

/// A random TN with room that `admits` admits.
fn pick_among(db: &Connection, limit: u32, admits: impl Fn(Number) -> bool) -> Result<Option<Number>> {
    let key = random_key();
    let mut has_full = false;
    // After the last key the first one follows.
    for after in [
        "SELECT value, sessions FROM tn WHERE pick_key >= ?1 ORDER BY pick_key",
        "SELECT value, sessions FROM tn WHERE pick_key < ?1 ORDER BY pick_key",
    ] {
        let picked = first_that(db, after, [key], |row| {
            let is_full = row.get::<_, u32>(1)? >= limit;
            has_full |= is_full;
            let tn = row.number(0)?;
            Ok((!is_full && admits(tn)).then_some(tn))
        })?;
        if picked.is_some() {
            return Ok(picked);
        }
    }
    if has_full {
        // The limit has been lowered since: they are not read again.
        run(db, "UPDATE tn SET pick_key = NULL WHERE pick_key IS NOT NULL AND sessions >= ?1", [limit])?;
    }
    Ok(None)
}

/// The size of the pool, from the counts of the numbers that have so many sessions, corrected for each number with
/// sessions that have expired and are not ended. The time grows with those only.
pub(super) fn size(db: &Connection, sessions_per_tn: u32, now: DateTime<Utc>) -> Result<PoolSize> {
    let sql = "WITH expired AS (
             SELECT t.draining, t.sessions, count(*) AS ended
             FROM session s INDEXED BY session_expiry JOIN tn t ON t.value = s.tn
             WHERE s.ended_at IS NULL AND s.expires_at <= ?1 GROUP BY t.value
         ), counted AS (
             SELECT draining, sessions AS live, tns FROM pool
             UNION ALL SELECT draining, sessions, -1 FROM expired
             UNION ALL SELECT draining, sessions - ended, 1 FROM expired
         )
         SELECT ifnull(sum(tns), 0), ifnull(sum(tns) FILTER (WHERE live > 0), 0), ifnull(sum(tns * live), 0),
             ifnull(sum(tns * max(?2 - live, 0)) FILTER (WHERE draining = 0), 0) FROM counted";
    let count = |row: &Row<'_>, column| -> Result<u64> { Ok(row.get::<_, i64>(column)?.unsigned_abs()) };
    let size = first(db, sql, params![millis(now), sessions_per_tn], |row| {
        let (total, in_use) = (count(row, 0)?, count(row, 1)?);
        Ok(PoolSize { total, in_use, sessions: count(row, 2)?, room: count(row, 3)? })
    })?;
    size.ok_or_else(|| StoreError::Unreadable("the pool has no size".into()))
}

/// The number of live sessions.
pub(super) fn live_sessions(db: &Connection, now: DateTime<Utc>) -> Result<u64> {
    Ok(size(db, 1, now)?.sessions)
}

fn random_key() -> i64 {
    rand::random_range(0..i64::MAX)
}
