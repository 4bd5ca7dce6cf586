//! Removes what was deleted from the files.

use crate::{
    limits,
    store::{Result, StoreError},
};
use rusqlite::Connection;
use std::time::Instant;

/// Rewrites the file, and empties the write-ahead log: unused parts of its pages hold copies of rows that were moved to
/// other pages, which `secure_delete` leaves.
pub(super) fn scrub(db: &Connection) -> Result<()> {
    db.execute_batch("VACUUM")?;
    let give_up = Instant::now() + limits::SCRUB_RETRY;
    loop {
        let is_busy: bool = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if !is_busy {
            return Ok(());
        }
        if Instant::now() >= give_up {
            let why = "the write-ahead log is being read and still has what was erased";
            return Err(StoreError::Unavailable(why.into()));
        }
    }
}
