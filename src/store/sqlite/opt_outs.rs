//! Opt-outs, and who must not be texted from which TN.

use super::{
    Sqlite,
    free_list::is_tn,
    person_hash::person,
    rows::{Columns, all, exists, integer, run},
};
use crate::{
    domain::{Blocked, Number, OptChange, OptOutKey, PersonHash},
    store::{OptOuts, Result},
};
use async_trait::async_trait;
use rusqlite::{Connection, params};

/// Replaces the key. `false`: opt-outs are stored under another one.
pub(super) fn set_key(db: &Connection, key: &OptOutKey) -> Result<bool> {
    let sql = "UPDATE opt_out_key SET key = ?1 WHERE key = ?1 OR NOT EXISTS (SELECT 1 FROM opt_out)";
    Ok(run(db, sql, [key.digits()])? == 1)
}

/// Stores an opt-out of a person who is known by the hash only.
pub(super) fn set_hashed(db: &Connection, tn: Number, person: PersonHash) -> Result<()> {
    let sql = "INSERT INTO opt_out (tn, person) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    run(db, sql, params![integer(tn), person.bytes()]).map(drop)
}

#[async_trait]
impl OptOuts for Sqlite {
    async fn opt_outs(&self, person: Number) -> Result<Vec<Number>> {
        let tns = move |db: &Connection| {
            let sql = concat!("SELECT tn FROM opt_out WHERE person = ", person!("?1"), " ORDER BY tn");
            all(db, sql, [integer(person)], |row| row.number(0))
        };
        self.reading().await.read(tns).await
    }

    async fn set_opt_out(&self, change: OptChange) -> Result<bool> {
        self.writer.write(move |db| set(db, change)).await
    }
}

/// Stores an opt-out or opt-in; whether it changed anything.
pub(super) fn set(db: &Connection, change: OptChange) -> Result<bool> {
    let sql = match change.out {
        true => concat!(
            "INSERT INTO opt_out (tn, person) VALUES (?1, ",
            person!("?2"),
            ") ON CONFLICT DO NOTHING"
        ),
        false => concat!("DELETE FROM opt_out WHERE tn = ?1 AND person = ", person!("?2")),
    };
    Ok(run(db, sql, [integer(change.tn), integer(change.person)])? > 0)
}

/// Why no text from this TN may go to this number, if so.
pub(super) fn blocked(db: &Connection, tn: Number, to: Number) -> Result<Option<Blocked>> {
    if is_tn(db, to)? {
        return Ok(Some(Blocked::IsTn));
    }
    let opted_out = concat!("SELECT 1 FROM opt_out WHERE tn = ?1 AND person = ", person!("?2"));
    Ok(exists(db, opted_out, [integer(tn), integer(to)])?.then_some(Blocked::OptedOut))
}
