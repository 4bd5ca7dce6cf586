//! How full the database is.

use super::rows::{first, time};
use crate::store::{Gauges, Result, State};
use rusqlite::{Connection, params};

pub(super) fn gauges(db: &Connection, up_to: u32) -> Result<Gauges> {
    let open = |state: State| {
        let counted = first(
            db,
            "SELECT count(*), min(created_at) FROM (
                 SELECT created_at FROM outbound WHERE state = ?1 AND settled_at IS NULL
                 ORDER BY created_at LIMIT ?2)",
            params![state.as_str(), up_to],
            |row| Ok((row.get::<_, u32>(0)?, row.get::<_, Option<i64>>(1)?)),
        );
        counted.map(Option::unwrap_or_default)
    };
    let free = "SELECT count(*) FROM (SELECT 1 FROM tn WHERE draw IS NOT NULL LIMIT ?1)";
    let (waiting, oldest) = open(State::Waiting)?;
    Ok(Gauges {
        waiting,
        waiting_since: oldest.map(time).transpose()?,
        unknown: open(State::Unknown)?.0,
        free_tns: first(db, free, [up_to], |row| Ok(row.get(0)?))?.unwrap_or_default(),
    })
}
