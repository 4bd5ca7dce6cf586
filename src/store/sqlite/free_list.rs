//! The TNs of the pool, and the random pick of a free one.

use super::rows::{Columns, exists, first, integer, millis, run};
use crate::{domain::Number, store::Result};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

pub(super) fn is_tn(db: &Connection, value: Number) -> Result<bool> {
    exists(db, "SELECT 1 FROM tn WHERE value = ?1", [integer(value)])
}

pub(super) fn is_free(db: &Connection, tn: Number) -> Result<bool> {
    exists(db, "SELECT 1 FROM tn WHERE value = ?1 AND pick_key IS NOT NULL", [integer(tn)])
}

/// Adds a TN as a free one. `false`: it is in the pool already.
pub(super) fn add(db: &Connection, tn: Number, added_at: DateTime<Utc>) -> Result<bool> {
    let sql = "INSERT INTO tn (value, added_at, pick_key) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    Ok(run(db, sql, params![integer(tn), millis(added_at), random_key()])? == 1)
}

pub(super) fn take(db: &Connection, tn: Number) -> Result<()> {
    run(db, "UPDATE tn SET pick_key = NULL WHERE value = ?1", [integer(tn)]).map(drop)
}

pub(super) fn release(db: &Connection, tn: Number) -> Result<()> {
    run(db, "UPDATE tn SET pick_key = ?2 WHERE value = ?1", [integer(tn), random_key()]).map(drop)
}

/// A random free TN that neither of the two has opted out of.
pub(super) fn pick(db: &Connection, people: [Number; 2]) -> Result<Option<Number>> {
    let [a, b] = people.map(integer);
    let from = |key: i64| {
        first(
            db,
            "SELECT value FROM tn WHERE pick_key >= ?1
                 AND NOT EXISTS (SELECT 1 FROM opt_out WHERE opt_out.tn = tn.value AND person IN (?2, ?3))
             ORDER BY pick_key LIMIT 1",
            [key, a, b],
            |row| row.number(0),
        )
    };
    match from(random_key())? {
        Some(tn) => Ok(Some(tn)),
        // After the last key the first one follows.
        None => from(0),
    }
}

fn random_key() -> i64 {
    rand::random_range(0..i64::MAX)
}
