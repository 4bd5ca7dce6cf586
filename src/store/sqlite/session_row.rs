//! A session as a row: its columns, read.

use super::{person_hash::person, rows::Columns};
use crate::{
    domain::{Blocked, Participant, Role, Session},
    store::Result,
};
use rusqlite::Row;

/// The condition that a session `s` is live; `?1` is now.
pub(super) const LIVE: &str = "s.ended_at IS NULL AND (s.expires_at IS NULL OR s.expires_at > ?1)";

/// The columns of a session `s` that [`read_unblocked`] reads.
macro_rules! unblocked {
    () => {
        "s.id, s.tn, s.participant_a, s.participant_b, s.created_at, s.expires_at"
    };
}
pub(super) const UNBLOCKED: &str = unblocked!();

/// Whether this participant of a session `s` has opted out. Nobody has from most TNs, which saves the hash.
macro_rules! opted_out {
    ($number:literal) => {
        concat!(
            "iif(EXISTS (SELECT 1 FROM opt_out WHERE tn = s.tn),
                EXISTS (SELECT 1 FROM opt_out WHERE tn = s.tn AND person = ",
            person!($number),
            "), 0)"
        )
    };
}

/// The columns of a session `s` that [`read`] reads.
pub(super) const COLUMNS: &str = concat!(
    unblocked!(),
    ",
     ",
    opted_out!("s.participant_a"),
    ",
     ",
    opted_out!("s.participant_b"),
    ",
     EXISTS (SELECT 1 FROM tn WHERE value = s.participant_a),
     EXISTS (SELECT 1 FROM tn WHERE value = s.participant_b)"
);

/// Selects the sessions `s` of a condition.
pub(super) fn select(condition: &str) -> String {
    format!("SELECT {COLUMNS} FROM session s WHERE {condition}")
}

/// Reads a session from these columns.
pub(super) fn read(row: &Row<'_>) -> Result<Session> {
    let mut session = read_unblocked(row)?;
    for (participant, column) in session.participants.iter_mut().zip(6..) {
        participant.blocked = match (row.get(column)?, row.get(column + 2)?) {
            (_, true) => Some(Blocked::IsTn),
            (true, false) => Some(Blocked::OptedOut),
            (false, false) => None,
        };
    }
    Ok(session)
}

/// Reads a session from [`UNBLOCKED`]: who is blocked takes two hashes and four look-ups, which a list does without.
pub(super) fn read_unblocked(row: &Row<'_>) -> Result<Session> {
    let participant = |role, column| -> Result<Participant> {
        Ok(Participant { role, number: row.number(column)?, blocked: None })
    };
    Ok(Session {
        id: row.id(0)?,
        tn: row.number(1)?,
        participants: [participant(Role::A, 2)?, participant(Role::B, 3)?],
        created_at: row.time(4)?,
        expires_at: row.some_time(5)?,
    })
}
