//! Sessions: opening on a free TN, ending, listing.

use super::{
    Sqlite,
    free_list::{self, is_tn},
    messages,
    person_hash::person,
    readers::List,
    rows::{Columns, all, count, exists, first, integer, millis, one_more, run},
    session_row::{COLUMNS, LIVE, UNBLOCKED, read, read_unblocked, select},
};
use crate::{
    domain::{
        Choice, EndCause, History, Message, NewSession, Number, OnTn, Outbound, Page, Part, Role, Session,
        SessionFilter, SessionId, Sharing, Unavailable,
    },
    store::{OpenSession, Result, Sessions, StoreError},
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};
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
        self.writer.write(move |db| end(db, session, cause, notices.clone(), now, lease_until)).await
    }

    async fn set_expiry(
        &self,
        id: SessionId,
        expires_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Option<Session>> {
        let set = move |db: &Connection| {
            let Some(session) = live(db, id, now)? else { return Ok(None) };
            let sql = "UPDATE session SET expires_at = ?2 WHERE id = ?1";
            run(db, sql, params![id.bytes(), expires_at.map(millis)])?;
            Ok(Some(Session { expires_at, ..session }))
        };
        self.writer.write(set).await
    }

    async fn session(&self, id: SessionId, now: DateTime<Utc>) -> Result<Option<Session>> {
        self.reading().await.read(move |db| live(db, id, now)).await
    }

    async fn sessions(
        &self,
        filter: SessionFilter,
        page: Page,
        now: DateTime<Utc>,
    ) -> Result<(Part<Session>, u64)> {
        let total = self.reading().await.list(List::Sessions, move |db| total(db, filter, now)).await?;
        Ok((
            self.reading()
                .await
                .page(List::Sessions, page, move |db, page| list(db, filter, page, now))
                .await?,
            total,
        ))
    }

    async fn expired_sessions(&self, limit: u32, now: DateTime<Utc>) -> Result<Vec<Session>> {
        let expired = "s.ended_at IS NULL AND s.expires_at <= ?1 ORDER BY s.expires_at LIMIT ?2";
        self.reading()
            .await
            .read(move |db| all(db, &select(expired), params![millis(now), limit], read))
            .await
    }
}

pub(super) fn live(db: &Connection, id: SessionId, now: DateTime<Utc>) -> Result<Option<Session>> {
    let sql = select(&format!("{LIVE} AND s.id = ?2"));
    first(db, &sql, params![millis(now), id.bytes()], read)
}

/// A session of a TN that has expired and is not ended.
pub(super) fn expired_on(db: &Connection, tn: Number, now: DateTime<Utc>) -> Result<Option<Session>> {
    let expired = select("s.tn = ?1 AND s.ended_at IS NULL AND s.expires_at <= ?2 LIMIT 1");
    first(db, &expired, [integer(tn), millis(now)], read)
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

/// Which sessions a list shows; `?1` is now, `?2` the participant, `?3` the TN.
fn shown() -> String {
    format!(
        "{LIVE} AND (?2 IS NULL OR ?2 IN (s.participant_a, s.participant_b)) AND (?3 IS NULL OR s.tn = ?3)"
    )
}

fn total(db: &Connection, filter: SessionFilter, now: DateTime<Utc>) -> Result<u64> {
    let (participant, tn) = (filter.participant.map(integer), filter.virtual_tn.map(integer));
    if participant.is_none() && tn.is_none() {
        return free_list::live_sessions(db, now);
    }
    let total = format!("SELECT count(*) FROM session s WHERE {}", shown());
    count(db, &total, params![millis(now), participant, tn])
}

fn list(db: &Connection, filter: SessionFilter, page: &Page, now: DateTime<Utc>) -> Result<Part<Session>> {
    let shown = shown();
    let (participant, tn) = (filter.participant.map(integer), filter.virtual_tn.map(integer));
    let (after_time, after_id) = page.after.as_deref().and_then(read_cursor).unwrap_or((i64::MIN, [0; 16]));
    let items = all(
        db,
        &format!(
            "SELECT {UNBLOCKED} FROM session s WHERE {shown} AND (s.created_at, s.id) > (?4, ?5)
             ORDER BY s.created_at, s.id LIMIT ?6"
        ),
        params![millis(now), participant, tn, after_time, after_id, one_more(page.limit)],
        read_unblocked,
    )?;
    let cursor = |session: &Session| format!("{}-{}", millis(session.created_at), session.id);
    Ok(Part::cut(items, page.limit, cursor))
}

fn read_cursor(cursor: &str) -> Option<(i64, [u8; 16])> {
    let (time, id) = cursor.split_once('-')?;
    Some((time.parse().ok()?, id.parse::<SessionId>().ok()?.bytes()))
}

fn open(db: &Connection, new: &NewSession, lease_until: DateTime<Utc>) -> Result<OpenSession> {
    if new.request.is_some()
        && let Some((session, request)) = with_request(db, new.id)?
    {
        let is_same = request == new.request;
        return Ok(if is_same { OpenSession::Repeated(session) } else { OpenSession::KeyReused });
    }
    for (role, number) in [Role::A, Role::B].into_iter().zip(new.participants) {
        if is_tn(db, number)? {
            return Ok(OpenSession::ParticipantIsTn(role));
        }
    }
    let [a, b] = new.participants;
    let histories = [history(db, a)?, history(db, b)?];
    let choice = Choice::new(new.participants, &histories, &new.sharing, new.created_at);
    let tn = match new.virtual_tn {
        Some(tn) => match free_list::obstacle(db, tn, &choice, &new.sharing)? {
            Some(why) => return Ok(OpenSession::Unavailable(why)),
            None => tn,
        },
        None => match free_list::pick(db, &choice, &new.sharing)? {
            Some(tn) => tn,
            None => return Ok(OpenSession::NoFreeTn { opted_out: opted_out(db, &choice, &new.sharing)? }),
        },
    };
    let (session, notices) = new.on(tn);
    insert(db, &session, new.request.as_deref(), new.sharing.sessions_per_tn)?;
    let notices = messages::insert_new(db, notices.into(), Some(lease_until))?;
    Ok(OpenSession::Opened { session, notices })
}

/// What decides which TNs will do for this person.
fn history(db: &Connection, person: Number) -> Result<History> {
    let on_tns =
        "SELECT tn, session_id IS NOT NULL, previous_end, previous_partner FROM route WHERE sender = ?1";
    let opted_out = concat!("SELECT tn FROM opt_out WHERE person = ", person!("?1"));
    Ok(History {
        on_tns: all(db, on_tns, [integer(person)], |row| {
            let previous = match row.some_time(2)? {
                Some(end) => Some((end, row.some_number(3)?)),
                None => None,
            };
            Ok(OnTn { tn: row.number(0)?, is_busy: row.get(1)?, previous })
        })?,
        opted_out: all(db, opted_out, [integer(person)], |row| row.number(0))?,
    })
}

/// The participants who have opted out of a TN that would do.
fn opted_out(db: &Connection, choice: &Choice, sharing: &Sharing) -> Result<Vec<Role>> {
    let mut roles = Vec::new();
    for (tn, role) in choice.opted_out() {
        let obstacle = free_list::obstacle(db, tn, choice, sharing)?;
        if matches!(obstacle, Some(Unavailable::OptedOut(_))) && !roles.contains(&role) {
            roles.push(role);
        }
    }
    Ok(roles)
}

/// Stores a session that is not ended. Its TN has one more, and is full with `limit` of them.
pub(super) fn insert(db: &Connection, session: &Session, request: Option<&str>, limit: u32) -> Result<()> {
    insert_record(db, session, request, None)?;
    let routes = "INSERT INTO route (tn, sender, session_id) VALUES (?1, ?2, ?4), (?1, ?3, ?4)
         ON CONFLICT DO UPDATE SET session_id = excluded.session_id WHERE session_id IS NULL";
    let [a, b] = session.participants.map(|participant| integer(participant.number));
    if run(db, routes, params![integer(session.tn), a, b, session.id.bytes()])? != 2 {
        return Err(StoreError::Unreadable("a participant already has a session on this TN".into()));
    }
    free_list::take(db, session.tn, limit)
}

/// Stores a session that is ended, and its end in the routes of its participants.
pub(super) fn insert_ended(
    db: &Connection,
    session: &Session,
    request: Option<&str>,
    ended_at: DateTime<Utc>,
) -> Result<()> {
    insert_record(db, session, request, Some(ended_at))?;
    let ends = "INSERT INTO route (tn, sender, previous_end, previous_partner) VALUES (?1, ?2, ?4, ?3), (?1, ?3, ?4, ?2)
         ON CONFLICT DO UPDATE SET previous_end = excluded.previous_end, previous_partner = excluded.previous_partner
         WHERE previous_end IS NULL OR previous_end < excluded.previous_end";
    let [a, b] = session.participants.map(|participant| integer(participant.number));
    run(db, ends, params![integer(session.tn), a, b, millis(ended_at)]).map(drop)
}

fn insert_record(
    db: &Connection,
    session: &Session,
    request: Option<&str>,
    ended_at: Option<DateTime<Utc>>,
) -> Result<()> {
    let (id, tn) = (session.id.bytes(), integer(session.tn));
    let [a, b] = session.participants.map(|participant| integer(participant.number));
    run(
        db,
        "INSERT INTO session (id, tn, participant_a, participant_b, created_at, expires_at, ended_at, request)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            id,
            tn,
            a,
            b,
            millis(session.created_at),
            session.expires_at.map(millis),
            ended_at.map(millis),
            request
        ],
    )
    .map(drop)
}

pub(super) fn end(
    db: &Connection,
    id: SessionId,
    cause: EndCause,
    notices: Vec<Outbound>,
    now: DateTime<Utc>,
    lease_until: Option<DateTime<Utc>>,
) -> Result<Option<Vec<Message>>> {
    let not_ended = first(db, &select("s.id = ?1 AND s.ended_at IS NULL"), [id.bytes()], read)?;
    let Some(session) = not_ended.filter(|session| cause.allows(session, now)) else { return Ok(None) };
    run(db, "UPDATE session SET ended_at = ?2 WHERE id = ?1", params![id.bytes(), millis(now)])?;
    let [a, b] = session.participants.map(|participant| integer(participant.number));
    let route = [integer(session.tn), a, b];
    if cause.is_past() {
        let ends = "UPDATE route SET previous_end = ?4, previous_partner = iif(sender = ?2, ?3, ?2)
             WHERE tn = ?1 AND sender IN (?2, ?3)";
        run(db, ends, params![route[0], a, b, millis(now)])?;
    }
    run(db, "DELETE FROM route WHERE tn = ?1 AND sender IN (?2, ?3) AND previous_end IS NULL", route)?;
    run(db, "UPDATE route SET session_id = NULL WHERE tn = ?1 AND sender IN (?2, ?3)", route)?;
    free_list::release(db, session.tn)?;
    for message in messages::unsettled(db, &session)? {
        if let Some(transition) = message.withdraw(cause, now) {
            messages::apply(db, &transition)?;
        }
    }
    if cause == EndCause::RolledBack {
        // The key that it was opened with, if there was one, can be used again.
        run(db, "DELETE FROM session WHERE id = ?1 AND request IS NOT NULL", [id.bytes()])?;
    }
    messages::insert_new(db, notices, lease_until).map(Some)
}

/// A session, live or ended.
pub(super) fn stored(db: &Connection, id: SessionId) -> Result<Option<Session>> {
    first(db, &select("s.id = ?1"), [id.bytes()], read)
}

/// A session, live or ended, and what was requested with its idempotency key.
fn with_request(db: &Connection, id: SessionId) -> Result<Option<(Session, Option<String>)>> {
    let sql = format!("SELECT {COLUMNS}, s.request FROM session s WHERE s.id = ?1");
    first(db, &sql, [id.bytes()], |row| Ok((read(row)?, row.get(10)?)))
}

/// A session without who is blocked, its end, and what was requested with its idempotency key.
type Stored = (Session, Option<DateTime<Utc>>, Option<String>);

pub(super) fn every(db: &Connection) -> Result<Vec<Stored>> {
    let sql = format!("SELECT {UNBLOCKED}, s.ended_at, s.request FROM session s");
    all(db, &sql, [], |row| Ok((read_unblocked(row)?, row.some_time(6)?, row.get(7)?)))
}

/// Whether a session with this id is stored, live or ended.
pub(super) fn is_stored(db: &Connection, id: SessionId) -> Result<bool> {
    exists(db, "SELECT 1 FROM session WHERE id = ?1", [id.bytes()])
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
