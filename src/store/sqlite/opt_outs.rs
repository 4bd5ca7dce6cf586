//! Opt-outs, and who must not be texted from which TN.

use super::{
    free_list::is_tn,
    rows::{exists, integer, run},
};
use crate::{
    domain::{Blocked, Number, OptChange},
    store::Result,
};
use rusqlite::Connection;

pub(super) fn set(db: &Connection, change: OptChange) -> Result<()> {
    let sql = match change.out {
        true => "INSERT INTO opt_out (tn, person) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        false => "DELETE FROM opt_out WHERE tn = ?1 AND person = ?2",
    };
    run(db, sql, [integer(change.tn), integer(change.person)]).map(drop)
}

/// Why no text from this TN may go to this number, if so.
pub(super) fn blocked(db: &Connection, tn: Number, to: Number) -> Result<Option<Blocked>> {
    if is_tn(db, to)? {
        return Ok(Some(Blocked::IsTn));
    }
    let opted_out = "SELECT 1 FROM opt_out WHERE tn = ?1 AND person = ?2";
    Ok(exists(db, opted_out, [integer(tn), integer(to)])?.then_some(Blocked::OptedOut))
}
