//! Opt-outs, and who must not be texted from which TN.

use super::{
    Sqlite,
    free_list::is_tn,
    rows::{Columns, all, exists, integer, run},
};
use crate::{
    domain::{Blocked, Number, OptChange},
    store::{OptOuts, Result},
};
use async_trait::async_trait;
use rusqlite::Connection;

#[async_trait]
impl OptOuts for Sqlite {
    async fn opt_outs(&self, person: Number) -> Result<Vec<Number>> {
        let tns = move |db: &Connection| {
            let sql = "SELECT tn FROM opt_out WHERE person = ?1 ORDER BY tn";
            all(db, sql, [integer(person)], |row| row.number(0))
        };
        self.readers.read(tns).await
    }

    async fn set_opt_out(&self, change: OptChange) -> Result<bool> {
        self.writer.write(move |db| set(db, change)).await
    }
}

/// Stores an opt-out or opt-in; whether it changed anything.
pub(super) fn set(db: &Connection, change: OptChange) -> Result<bool> {
    let sql = match change.out {
        true => "INSERT INTO opt_out (tn, person) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        false => "DELETE FROM opt_out WHERE tn = ?1 AND person = ?2",
    };
    Ok(run(db, sql, [integer(change.tn), integer(change.person)])? > 0)
}

/// Why no text from this TN may go to this number, if so.
pub(super) fn blocked(db: &Connection, tn: Number, to: Number) -> Result<Option<Blocked>> {
    if is_tn(db, to)? {
        return Ok(Some(Blocked::IsTn));
    }
    let opted_out = "SELECT 1 FROM opt_out WHERE tn = ?1 AND person = ?2";
    Ok(exists(db, opted_out, [integer(tn), integer(to)])?.then_some(Blocked::OptedOut))
}
