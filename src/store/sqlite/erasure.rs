//! The erasure of a person.

use super::{
    Sqlite,
    rows::{all, integer, millis, run},
    session_row,
};
use crate::{
    domain::{Erased, Number, Session},
    store::{Erasure, Result},
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

#[async_trait]
impl Erasure for Sqlite {
    async fn sessions_of(&self, person: Number) -> Result<Vec<Session>> {
        let of_person =
            "s.id IN (SELECT session_id FROM route WHERE sender = ?1) ORDER BY s.created_at, s.id";
        let sql = session_row::select(of_person);
        self.reading().await.read(move |db| all(db, &sql, [integer(person)], session_row::read)).await
    }

    async fn erase(&self, person: Number, now: DateTime<Utc>) -> Result<Erased> {
        let erased = self.writer.write_little(move |db| erase(db, person, now)).await?;
        self.writer.scrub().await?;
        Ok(erased)
    }
}

/// The messages to this person that are not of a session of the person that is not ended.
macro_rules! messages {
    () => {
        "FROM outbound WHERE recipient = ?1 AND (session_id IS NULL OR session_id NOT IN
             (SELECT session_id FROM route WHERE sender = ?1 AND session_id IS NOT NULL))"
    };
}

fn erase(db: &Connection, person: Number, now: DateTime<Utc>) -> Result<Erased> {
    let number = integer(person);
    let tombstones = concat!("INSERT OR IGNORE INTO inbound (id, received_at) SELECT id, ?2 ", messages!());
    run(db, tombstones, params![number, millis(now)])?;
    let messages = run(db, concat!("DELETE ", messages!()), [number])?;
    let ended = "DELETE FROM session WHERE ended_at IS NOT NULL AND ?1 IN (participant_a, participant_b)";
    let sessions = run(db, ended, [number])?;
    let own = run(db, "DELETE FROM route WHERE sender = ?1 AND session_id IS NULL", [number])?;
    let partner = "UPDATE route SET previous_partner = NULL WHERE previous_partner = ?1";
    let others = own + run(db, partner, [number])?;
    Ok(Erased { sessions_ended: 0, sessions, messages, others })
}
