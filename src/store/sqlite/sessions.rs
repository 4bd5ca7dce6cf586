//! Sessions: opening on a free TN, ending, listing.

use super::{
    Sqlite,
    free_list::{self, is_tn},
    messages,
    rows::{Columns, all, count, exists, first, integer, millis, one_more, run},
};
use crate::{
    domain::{
        Blocked, EndCause, Message, NewSession, Number, Outbound, Page, Part, Participant, Role, Session,
        SessionId,
    },
    store::{OpenSession, Result, Sessions, StoreError},
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, params};
use std::sync::LazyLock;

#[async_trait]
impl Sessions for Sqlite {
    async fn open_session(&self, new: NewSession, lease_until: DateTime<Utc>) -> Result<OpenSession> {
        self.writer.write(move |db| open(db, &new, lease_until)).await
    }

    async fn end_session(
        &self,
        session: SessionId,
        cause: EndCause,
        notices: Vec<Outbound>,
        now: DateTime<Utc>,
        lease_until: Option<DateTime<Utc>>,
    ) -> Result<Option<Vec<Message>>> {
        self.writer.write(move |db| end(db, session, cause, notices, now, lease_until)).await
    }

    async fn session(&self, id: SessionId, now: DateTime<Utc>) -> Result<Option<Session>> {
        self.readers.read(move |db| live(db, id, now)).await
    }

    async fn sessions(&self, page: Page, now: DateTime<Utc>) -> Result<(Part<Session>, u64)> {
        self.readers.read(move |db| list(db, &page, now)).await
    }

    async fn expired_sessions(&self, limit: u32, now: DateTime<Utc>) -> Result<Vec<Session>> {
        let expired = "s.ended_at IS NULL AND s.expires_at <= ?1 ORDER BY s.expires_at LIMIT ?2";
        self.readers.read(move |db| all(db, &select(expired), params![millis(now), limit], read)).await
    }
}

/// The condition that a session `s` is live; `?1` is now.
pub(super) const LIVE: &str = "s.ended_at IS NULL AND (s.expires_at IS NULL OR s.expires_at > ?1)";

/// The columns of a session `s` that [`read`] reads.
const COLUMNS: &str = "s.id, s.tn, s.participant_a, s.participant_b, s.created_at, s.expires_at,
     EXISTS (SELECT 1 FROM opt_out WHERE tn = s.tn AND person = s.participant_a),
     EXISTS (SELECT 1 FROM opt_out WHERE tn = s.tn AND person = s.participant_b),
     EXISTS (SELECT 1 FROM tn WHERE value = s.participant_a),
     EXISTS (SELECT 1 FROM tn WHERE value = s.participant_b)";

fn select(condition: &str) -> String {
    format!("SELECT {COLUMNS} FROM session s WHERE {condition}")
}

fn read(row: &Row<'_>) -> Result<Session> {
    let participant = |role, column: usize| -> Result<Participant> {
        let blocked = match (row.get(column + 4)?, row.get(column + 6)?) {
            (_, true) => Some(Blocked::IsTn),
            (true, false) => Some(Blocked::OptedOut),
            (false, false) => None,
        };
        Ok(Participant { role, number: row.number(column)?, blocked })
    };
    Ok(Session {
        id: row.parsed(0)?,
        tn: row.number(1)?,
        participants: [participant(Role::A, 2)?, participant(Role::B, 3)?],
        created_at: row.time(4)?,
        expires_at: row.some_time(5)?,
    })
}

pub(super) fn live(db: &Connection, id: SessionId, now: DateTime<Utc>) -> Result<Option<Session>> {
    let sql = select(&format!("{LIVE} AND s.id = ?2"));
    first(db, &sql, params![millis(now), id.to_string()], read)
}

/// The session of a TN that is not ended, whether or not it has expired.
pub(super) fn on_tn(db: &Connection, tn: Number) -> Result<Option<Session>> {
    first(db, &select("s.tn = ?1 AND s.ended_at IS NULL"), [integer(tn)], read)
}

/// The session of the route from this sender to this TN, whether or not it has expired, and when the sender's previous
/// session on the TN ended.
pub(super) fn of_sender(
    db: &Connection,
    tn: Number,
    sender: Number,
) -> Result<Option<(Session, Option<DateTime<Utc>>)>> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        format!(
            "SELECT {COLUMNS}, r.previous_end FROM route r JOIN session s ON s.id = r.session_id
             WHERE r.tn = ?1 AND r.sender = ?2"
        )
    });
    first(db, &SQL, [integer(tn), integer(sender)], |row| Ok((read(row)?, row.some_time(10)?)))
}

fn list(db: &Connection, page: &Page, now: DateTime<Utc>) -> Result<(Part<Session>, u64)> {
    let (after_time, after_id) = page.after.as_deref().and_then(read_cursor).unwrap_or((i64::MIN, ""));
    let items = all(
        db,
        &select(&format!("{LIVE} AND (s.created_at, s.id) > (?2, ?3) ORDER BY s.created_at, s.id LIMIT ?4")),
        params![millis(now), after_time, after_id, one_more(page.limit)],
        read,
    )?;
    let cursor = |session: &Session| format!("{}-{}", millis(session.created_at), session.id);
    let total = count(db, &format!("SELECT count(*) FROM session s WHERE {LIVE}"), [millis(now)])?;
    Ok((Part::cut(items, page.limit, cursor), total))
}

fn read_cursor(cursor: &str) -> Option<(i64, &str)> {
    let (time, id) = cursor.split_once('-')?;
    Some((time.parse().ok()?, id))
}

fn open(db: &Connection, new: &NewSession, lease_until: DateTime<Utc>) -> Result<OpenSession> {
    for (role, number) in [Role::A, Role::B].into_iter().zip(new.participants) {
        if is_tn(db, number)? {
            return Ok(OpenSession::ParticipantIsTn(role));
        }
    }
    let Some(tn) = free_list::pick(db, new.participants)? else {
        return Ok(OpenSession::NoFreeTn { opted_out: opted_out_of_free(db, new)? });
    };
    let (session, notices) = new.on(tn);
    insert(db, &session, None)?;
    let notices = messages::insert_new(db, notices.into(), Some(lease_until))?;
    Ok(OpenSession::Opened { session, notices })
}

/// The participants who have opted out of a free TN, given that each free TN has one of the two opted out.
fn opted_out_of_free(db: &Connection, new: &NewSession) -> Result<Vec<Role>> {
    let mut opted_out = Vec::new();
    for (role, person) in [Role::A, Role::B].into_iter().zip(new.participants) {
        let sql = "SELECT 1 FROM tn JOIN opt_out ON opt_out.tn = tn.value AND person = ?1 WHERE pick_key IS NOT NULL";
        opted_out.extend(exists(db, sql, [integer(person)])?.then_some(role));
    }
    Ok(opted_out)
}

/// Stores a session. One that is not ended takes its TN, and its participants get their routes; one that is ended leaves
/// its end in them.
pub(super) fn insert(db: &Connection, session: &Session, ended_at: Option<DateTime<Utc>>) -> Result<()> {
    let (id, tn) = (session.id.to_string(), integer(session.tn));
    let [a, b] = session.participants.map(|participant| integer(participant.number));
    run(
        db,
        "INSERT INTO session (id, tn, participant_a, participant_b, created_at, expires_at, ended_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            id,
            tn,
            a,
            b,
            millis(session.created_at),
            session.expires_at.map(millis),
            ended_at.map(millis)
        ],
    )?;
    if let Some(ended_at) = ended_at {
        let ends = "INSERT INTO route (tn, sender, previous_end) VALUES (?1, ?2, ?4), (?1, ?3, ?4)
             ON CONFLICT DO UPDATE SET previous_end = max(ifnull(previous_end, 0), excluded.previous_end)";
        return run(db, ends, params![tn, a, b, millis(ended_at)]).map(drop);
    }
    let routes = "INSERT INTO route (tn, sender, session_id) VALUES (?1, ?2, ?4), (?1, ?3, ?4)
         ON CONFLICT DO UPDATE SET session_id = excluded.session_id WHERE session_id IS NULL";
    if run(db, routes, params![tn, a, b, id])? != 2 {
        return Err(StoreError::Unreadable("a participant already has a session on this TN".into()));
    }
    free_list::take(db, session.tn)
}

pub(super) fn end(
    db: &Connection,
    id: SessionId,
    cause: EndCause,
    notices: Vec<Outbound>,
    now: DateTime<Utc>,
    lease_until: Option<DateTime<Utc>>,
) -> Result<Option<Vec<Message>>> {
    let not_ended = first(db, &select("s.id = ?1 AND s.ended_at IS NULL"), [id.to_string()], read)?;
    let Some(session) = not_ended.filter(|session| cause.allows(session, now)) else { return Ok(None) };
    run(db, "UPDATE session SET ended_at = ?2 WHERE id = ?1", params![id.to_string(), millis(now)])?;
    let [a, b] = session.participants.map(|participant| integer(participant.number));
    let routes = "UPDATE route SET session_id = NULL, previous_end = ?4 WHERE tn = ?1 AND sender IN (?2, ?3)";
    run(db, routes, params![integer(session.tn), a, b, millis(now)])?;
    free_list::release(db, session.tn)?;
    for message in messages::unsettled(db, id)? {
        if let Some(transition) = message.withdraw(cause, now) {
            messages::apply(db, &transition)?;
        }
    }
    messages::insert_new(db, notices, lease_until).map(Some)
}

/// All sessions, each with its end.
pub(super) fn every(db: &Connection) -> Result<Vec<(Session, Option<DateTime<Utc>>)>> {
    let sql = format!("SELECT {COLUMNS}, s.ended_at FROM session s");
    all(db, &sql, [], |row| Ok((read(row)?, row.some_time(10)?)))
}

/// Whether a session with this id is stored, live or ended.
pub(super) fn is_stored(db: &Connection, id: SessionId) -> Result<bool> {
    exists(db, "SELECT 1 FROM session WHERE id = ?1", [id.to_string()])
}

/// Deletes sessions that were ended before then, and what routes hold of such; returns the number of sessions.
pub(super) fn forget(db: &Connection, before: DateTime<Utc>, limit: u32) -> Result<usize> {
    let routes = "DELETE FROM route WHERE (tn, sender) IN
         (SELECT tn, sender FROM route WHERE session_id IS NULL AND previous_end < ?1
          ORDER BY previous_end LIMIT ?2 * 2)";
    run(db, routes, params![millis(before), limit])?;
    let sql = "DELETE FROM session WHERE id IN
         (SELECT id FROM session WHERE ended_at < ?1 ORDER BY ended_at LIMIT ?2)";
    run(db, sql, params![millis(before), limit])
}
