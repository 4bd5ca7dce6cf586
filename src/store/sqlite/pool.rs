//! The pool of virtual TNs.

use super::{
    Sqlite, free_list,
    readers::List,
    rows::{Columns, all, exists, first, integer, millis, one_more, run},
    session_row::LIVE,
    sessions,
};
use crate::{
    domain::{Number, Page, Part, PoolSize, SessionId, VirtualTn},
    store::{AddTn, Pool, RemoveTn, Result},
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

#[async_trait]
impl Pool for Sqlite {
    async fn add_tn(&self, tn: Number, now: DateTime<Utc>) -> Result<AddTn> {
        self.writer.write(move |db| add(db, tn, now)).await
    }

    async fn remove_tn(&self, tn: Number, now: DateTime<Utc>) -> Result<RemoveTn> {
        self.writer.write(move |db| remove(db, tn, now)).await
    }

    async fn tn(&self, tn: Number, now: DateTime<Utc>) -> Result<Option<VirtualTn>> {
        self.reading().await.read(move |db| one(db, tn, now)).await
    }

    async fn tns(
        &self,
        page: Page,
        sessions_per_tn: u32,
        now: DateTime<Utc>,
    ) -> Result<(Part<VirtualTn>, PoolSize)> {
        let size = self
            .reading()
            .await
            .list(List::Pool, move |db| free_list::size(db, sessions_per_tn, now))
            .await?;
        Ok((self.reading().await.page(List::Pool, page, move |db, page| list(db, page, now)).await?, size))
    }

    async fn drain_tn(&self, tn: Number, draining: bool, now: DateTime<Utc>) -> Result<Option<VirtualTn>> {
        let drain = move |db: &Connection| {
            free_list::drain(db, tn, draining)?;
            one(db, tn, now)
        };
        self.writer.write(drain).await
    }
}

fn one(db: &Connection, tn: Number, now: DateTime<Utc>) -> Result<Option<VirtualTn>> {
    let sql = format!(
        "SELECT tn.draining, count(s.id), min(s.id)
         FROM tn LEFT JOIN session s ON s.tn = tn.value AND {LIVE} WHERE tn.value = ?2 GROUP BY tn.value"
    );
    first(db, &sql, [millis(now), integer(tn)], |row| {
        let sessions: u32 = row.get(1)?;
        let session = if sessions == 1 { row.some_id(2)? } else { None };
        Ok(VirtualTn { number: tn, session, sessions, draining: row.get(0)? })
    })
}

fn add(db: &Connection, tn: Number, now: DateTime<Utc>) -> Result<AddTn> {
    let is_participant =
        format!("SELECT 1 FROM route r JOIN session s ON s.id = r.session_id WHERE {LIVE} AND r.sender = ?2");
    if exists(db, &is_participant, [millis(now), integer(tn)])? {
        return Ok(AddTn::IsParticipant);
    }
    Ok(if free_list::add(db, tn, now, false)? { AddTn::Added } else { AddTn::Duplicate })
}

fn remove(db: &Connection, tn: Number, now: DateTime<Utc>) -> Result<RemoveTn> {
    if let Some(session) = sessions::expired_on(db, tn, now)? {
        return Ok(RemoveTn::HeldByExpired(session));
    }
    Ok(match one(db, tn, now)? {
        None => RemoveTn::NotInPool,
        Some(tn) if tn.sessions > 0 => RemoveTn::InUse(tn),
        Some(_) => {
            run(db, "DELETE FROM tn WHERE value = ?1", [integer(tn)])?;
            RemoveTn::Removed
        }
    })
}

/// Reads TNs and live sessions side by side, both in the order of the TNs: looking up the sessions of each TN takes several
/// times as long.
fn list(db: &Connection, page: &Page, now: DateTime<Utc>) -> Result<Part<VirtualTn>> {
    let after: i64 = page.after.as_deref().and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
    let live = format!("SELECT s.tn, s.id FROM session s WHERE {LIVE} AND s.tn > ?2 ORDER BY s.tn");
    let mut live = db.prepare_cached(&live)?;
    let mut live = live.query([millis(now), after])?;
    let mut next = || -> Result<Option<(Number, SessionId)>> {
        live.next()?.map(|row| Ok((row.number(0)?, row.id(1)?))).transpose()
    };
    let mut ahead = next()?;
    let tns = "SELECT value, draining FROM tn WHERE value > ?1 ORDER BY value LIMIT ?2";
    let items = all(db, tns, params![after, one_more(page.limit)], |row| {
        let (number, mut sessions, mut session) = (row.number(0)?, 0, None);
        while let Some((tn, id)) = ahead.filter(|(tn, _)| *tn <= number) {
            if tn == number {
                sessions += 1;
                session = Some(id);
            }
            ahead = next()?;
        }
        Ok(VirtualTn { number, session: session.filter(|_| sessions == 1), sessions, draining: row.get(1)? })
    })?;
    Ok(Part::cut(items, page.limit, |tn| tn.number.digits()))
}
