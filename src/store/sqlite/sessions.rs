//! Sessions: opening on a free TN, ending, listing.

use super::{
    outbox,
    pool::{is_tn, random_place},
    rows::{SESSION, all, first, integer, millis, run, session, time},
    texts,
};
use crate::{
    domain::{NewSession, Number, Outbound, Role, Session, SessionId},
    store::{AnswersSeen, EndCause, Leased, OpenSession, Page, Part, Result, Route},
};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

const LIVE: &str = "s.ended_at IS NULL AND (s.expires_at IS NULL OR s.expires_at > ?1)";

pub(super) fn open(db: &Connection, new: &NewSession, lease_until: DateTime<Utc>) -> Result<OpenSession> {
    let [a, b] = new.participants;
    for (role, number) in [(Role::A, a), (Role::B, b)] {
        if is_tn(db, number)? {
            return Ok(OpenSession::ParticipantIsTn(role));
        }
    }
    let Some(tn) = draw_free_tn(db, [a, b])? else { return Ok(OpenSession::NoFreeTn) };
    let (session, notices) = new.on(tn);
    let id = session.id.to_string();
    run(
        db,
        "INSERT INTO session (id, tn, participant_a, participant_b, created_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            id,
            integer(session.tn),
            integer(a),
            integer(b),
            millis(new.created_at),
            new.expires_at.map(millis)
        ],
    )?;
    bind(db, &session)?;
    let notices = outbox::put(db, notices.into(), Some(lease_until))?;
    Ok(OpenSession::Opened { session, notices })
}

/// Binds the session's TN to it, with the routes of its participants.
pub(super) fn bind(db: &Connection, session: &Session) -> Result<()> {
    let [a, b] = session.participants.map(|participant| integer(participant.number));
    let id = session.id.to_string();
    run(
        db,
        "INSERT INTO route (tn, sender, session_id) VALUES (?1, ?2, ?4), (?1, ?3, ?4)",
        params![integer(session.tn), a, b, id],
    )?;
    run(db, "UPDATE tn SET draw = NULL WHERE value = ?1", [integer(session.tn)])?;
    Ok(())
}

/// A random free TN that neither of the two has opted out of.
fn draw_free_tn(db: &Connection, people: [Number; 2]) -> Result<Option<Number>> {
    let [a, b] = people.map(integer);
    let from = |place: i64| {
        first(
            db,
            "SELECT value FROM tn WHERE draw >= ?1
                 AND NOT EXISTS (SELECT 1 FROM opt_out WHERE opt_out.tn = tn.value AND person IN (?2, ?3))
             ORDER BY draw LIMIT 1",
            [place, a, b],
            |row| super::rows::number(row.get(0)?),
        )
    };
    match from(random_place())? {
        Some(tn) => Ok(Some(tn)),
        // Past the last one: the first one is next.
        None => from(0),
    }
}

pub(super) fn end(
    db: &Connection,
    id: SessionId,
    cause: EndCause,
    notices: Vec<Outbound>,
    now: DateTime<Utc>,
    lease_until: Option<DateTime<Utc>>,
) -> Result<Option<Vec<Leased>>> {
    let may = match cause {
        EndCause::Deleted => "(expires_at IS NULL OR expires_at > ?2)",
        EndCause::Expired => "expires_at <= ?2",
        EndCause::Undone => "true",
    };
    let ended = run(
        db,
        &format!("UPDATE session SET ended_at = ?2 WHERE id = ?1 AND ended_at IS NULL AND {may}"),
        params![id.to_string(), millis(now)],
    )?;
    if ended == 0 {
        return Ok(None);
    }
    run(
        db,
        "UPDATE tn SET draw = ?2 WHERE value = (SELECT tn FROM session WHERE id = ?1)",
        params![id.to_string(), random_place()],
    )?;
    run(db, "DELETE FROM route WHERE session_id = ?1", [id.to_string()])?;
    let which = if cause == EndCause::Undone { "true" } else { "kind = 'relay'" };
    cancel(db, id, which, now)?;
    outbox::put(db, notices, lease_until).map(Some)
}

/// Cancels what waits, and revokes what is on its way: if it turns out not to have been sent, it never will be.
fn cancel(db: &Connection, session: SessionId, which: &str, now: DateTime<Utc>) -> Result<()> {
    run(
        db,
        &format!(
            "UPDATE outbound SET state = 'cancelled', reason = 'the session has ended', body = NULL, media_urls = NULL,
                 settled_at = ?2
             WHERE session_id = ?1 AND settled_at IS NULL AND state = 'waiting' AND {which}"
        ),
        params![session.to_string(), millis(now)],
    )?;
    run(
        db,
        &format!("UPDATE outbound SET revoked = 1 WHERE session_id = ?1 AND settled_at IS NULL AND {which}"),
        [session.to_string()],
    )?;
    Ok(())
}

pub(super) fn one(db: &Connection, id: SessionId, now: DateTime<Utc>) -> Result<Option<Session>> {
    first(
        db,
        &format!("SELECT {SESSION} FROM session s WHERE {LIVE} AND s.id = ?2"),
        params![millis(now), id.to_string()],
        session,
    )
}

pub(super) fn list(db: &Connection, page: &Page, now: DateTime<Utc>) -> Result<(Part<Session>, u64)> {
    let (after_time, after_id) = page.after.as_deref().and_then(read_mark).unwrap_or((i64::MIN, ""));
    let at_most = page.limit.map_or(-1, |limit| i64::from(limit) + 1);
    let items = all(
        db,
        &format!(
            "SELECT {SESSION} FROM session s WHERE {LIVE} AND (s.created_at, s.id) > (?2, ?3)
             ORDER BY s.created_at, s.id LIMIT ?4"
        ),
        params![millis(now), after_time, after_id, at_most],
        session,
    )?;
    let part = crate::store::cut(items, page.limit, |session| {
        format!("{}-{}", millis(session.created_at), session.id)
    });
    let total = first(db, &format!("SELECT count(*) FROM session s WHERE {LIVE}"), [millis(now)], |row| {
        Ok(row.get::<_, i64>(0)?)
    })?;
    Ok((part, total.unwrap_or(0).unsigned_abs()))
}

fn read_mark(mark: &str) -> Option<(i64, &str)> {
    let (time, id) = mark.split_once('-')?;
    Some((time.parse().ok()?, id))
}

pub(super) fn expired(db: &Connection, limit: u32, now: DateTime<Utc>) -> Result<Vec<Session>> {
    all(
        db,
        &format!(
            "SELECT {SESSION} FROM session s WHERE s.ended_at IS NULL AND s.expires_at <= ?1
             ORDER BY s.expires_at LIMIT ?2"
        ),
        params![millis(now), limit],
        session,
    )
}

pub(super) fn route(db: &Connection, tn: Number, sender: Number, now: DateTime<Utc>) -> Result<Route> {
    if !is_tn(db, tn)? {
        return Ok(Route::NotOurTn);
    }
    if is_tn(db, sender)? {
        return Ok(Route::SenderIsTn);
    }
    let found = first(
        db,
        &format!(
            "SELECT {SESSION} FROM route r JOIN session s ON s.id = r.session_id
             WHERE r.tn = ?1 AND r.sender = ?2"
        ),
        params![integer(tn), integer(sender)],
        session,
    )?;
    Ok(match found {
        None => Route::Stranger {
            barred: texts::barred(db, tn, sender)?,
            in_use_since: first(
                db,
                &format!("SELECT max(s.created_at) FROM session s WHERE {LIVE} AND s.tn = ?2"),
                params![millis(now), integer(tn)],
                |row| row.get::<_, Option<i64>>(0)?.map(time).transpose(),
            )?
            .flatten(),
            answers: AnswersSeen::default(),
        },
        Some(session) if session.is_expired(now) => Route::Expired(session),
        Some(session) => Route::Live(session),
    })
}
