//! The TNs of the pool, how many sessions each has, and the random pick of one that has room.

use super::rows::{Columns, exists, first, first_that, integer, millis, run};
use crate::{
    domain::{Choice, Number, Sharing, Unavailable},
    store::Result,
};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

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
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
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

fn random_key() -> i64 {
    rand::random_range(0..i64::MAX)
}
