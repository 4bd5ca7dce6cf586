//! The outbox: outbound messages from record to settle.

use super::{
    rows::{OUTBOUND, all, first, integer, millis, outbound, run, time},
    sessions,
    texts::{barred, set_opt},
};
use crate::{
    domain::{Kind, MessageId, Outbound, Role},
    store::{Due, Leased, Opt, Others, Result, Settlement, State, Unknown},
};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

pub(super) fn role_name(role: Role) -> &'static str {
    match role {
        Role::A => "a",
        Role::B => "b",
    }
}

/// Puts messages on record: leased until `lease_until`, or due at once without it. A message to somebody who is
/// barred is on record as failed.
pub(super) fn put(
    db: &Connection,
    messages: Vec<Outbound>,
    lease_until: Option<DateTime<Utc>>,
) -> Result<Vec<Leased>> {
    let mut leased = Vec::new();
    for outbound in messages {
        let Outbound { id, created_at, text } = &outbound;
        let state = match (text.barred, lease_until) {
            (Some(_), _) => State::Failed,
            (None, Some(_)) => State::Sending,
            (None, None) => State::Waiting,
        };
        let taken = state == State::Sending;
        let kept = state != State::Failed;
        let media = (kept && !text.content.media_urls.is_empty())
            .then(|| serde_json::Value::from(text.content.media_urls.clone()).to_string());
        run(
            db,
            "INSERT INTO outbound (id, session_id, kind, from_tn, recipient, to_role, body, media_urls,
                 created_at, due_at, state, lease, attempts, lease_until, attempted_at, reason, settled_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?11, ?11, ?12, ?13, ?14, ?15)",
            params![
                id.to_string(),
                text.session.map(|session| session.to_string()),
                text.kind.as_str(),
                integer(text.from),
                integer(text.to),
                text.to_role.map(role_name),
                kept.then_some(&text.content.body),
                media,
                millis(*created_at),
                state.as_str(),
                i64::from(taken),
                lease_until.filter(|_| taken).map(millis),
                taken.then(|| millis(*created_at)),
                text.barred.map(crate::domain::Barred::as_str),
                (!kept).then(|| millis(*created_at)),
            ],
        )?;
        if taken {
            leased.push(Leased { outbound, lease: 1 });
        }
    }
    Ok(leased)
}

/// Whether this lease is the message's newest and the message is not settled for good; and then, whether it was
/// revoked.
fn holds(db: &Connection, leased: &Leased) -> Result<Option<bool>> {
    first(
        db,
        "SELECT revoked FROM outbound WHERE id = ?1 AND lease = ?2 AND settled_at IS NULL",
        params![leased.outbound.id.to_string(), leased.lease],
        |row| Ok(row.get(0)?),
    )
}

pub(super) fn settle(
    db: &Connection,
    leased: &Leased,
    settlement: Settlement,
    now: DateTime<Utc>,
) -> Result<bool> {
    let Some(revoked) = holds(db, leased)? else { return Ok(false) };
    let text = &leased.outbound.text;
    let id = leased.outbound.id;
    match settlement {
        Settlement::Sent { provider_id } => close(db, id, State::Sent, Some(&provider_id), None, now)?,
        Settlement::Found { provider_id } => {
            let credited = "SELECT 1 FROM outbound WHERE provider_id = ?1";
            if super::rows::exists(db, credited, [&provider_id])? {
                return Ok(false);
            }
            close(db, id, State::Sent, Some(&provider_id), None, now)?;
        }
        Settlement::Failed { reason, opted_out } => {
            if opted_out {
                set_opt(db, Opt { tn: text.from, person: text.to, out: true })?;
            }
            close(db, id, State::Failed, None, Some(&reason), now)?;
        }
        Settlement::Deferred if revoked => close(db, id, State::Cancelled, None, None, now)?,
        Settlement::Deferred => {
            run(
                db,
                // Told twice, it takes back one attempt.
                "UPDATE outbound SET state = 'waiting', due_at = ?2, attempts = attempts - (state <> 'waiting'),
                     lease_until = NULL WHERE id = ?1",
                params![id.to_string(), millis(now)],
            )?;
        }
        Settlement::Waiting { reason, .. } if revoked => {
            close(db, id, State::Cancelled, None, Some(&reason), now)?;
        }
        Settlement::Waiting { due, reason } => {
            run(
                db,
                "UPDATE outbound SET state = 'waiting', due_at = ?2, reason = ?3, lease_until = NULL,
                     absent_at = NULL WHERE id = ?1",
                params![id.to_string(), millis(due), reason],
            )?;
        }
        Settlement::Unknown { reason } => {
            let sql = "UPDATE outbound SET state = 'unknown', reason = ?2, lease_until = NULL WHERE id = ?1";
            run(db, sql, [id.to_string(), reason])?;
        }
        Settlement::SeenAbsent => {
            let sql = "UPDATE outbound SET absent_at = coalesce(absent_at, ?2) WHERE id = ?1";
            run(db, sql, params![id.to_string(), millis(now)])?;
        }
        Settlement::UnknownForGood => close(db, id, State::Unknown, None, None, now)?,
    }
    Ok(true)
}

/// Settles a message for good: its content is erased.
pub(super) fn close(
    db: &Connection,
    id: MessageId,
    state: State,
    provider_id: Option<&str>,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<()> {
    run(
        db,
        "UPDATE outbound SET state = ?2, provider_id = coalesce(?3, provider_id), settled_at = ?5,
             reason = CASE ?2 WHEN 'sent' THEN NULL ELSE coalesce(?4, reason) END,
             body = NULL, media_urls = NULL, lease_until = NULL
         WHERE id = ?1",
        params![id.to_string(), state.as_str(), provider_id, reason, millis(now)],
    )?;
    Ok(())
}

pub(super) fn reclaim(db: &Connection, limit: u32, now: DateTime<Utc>) -> Result<usize> {
    run(
        db,
        "UPDATE outbound SET state = 'unknown', reason = 'the sender did not report back', lease_until = NULL
         WHERE id IN (SELECT id FROM outbound WHERE settled_at IS NULL AND state = 'sending'
                      AND lease_until < ?1 ORDER BY created_at LIMIT ?2)",
        params![millis(now), limit],
    )
}

pub(super) fn due(db: &Connection, limit: u32, now: DateTime<Utc>) -> Result<Vec<Due>> {
    all(
        db,
        "SELECT id, media_urls IS NOT NULL FROM outbound WHERE settled_at IS NULL AND state = 'waiting' AND due_at <= ?1
         ORDER BY created_at, rowid LIMIT ?2",
        params![millis(now), limit],
        |row| Ok(Due { id: row.get::<_, String>(0)?.parse()?, has_media: row.get(1)? }),
    )
}

pub(super) fn lease(
    db: &Connection,
    id: MessageId,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Option<Leased>> {
    let found = first(
        db,
        &format!(
            "SELECT {OUTBOUND}, o.lease, o.revoked FROM outbound o
             WHERE o.id = ?1 AND o.settled_at IS NULL AND o.state = 'waiting' AND o.due_at <= ?2"
        ),
        params![id.to_string(), millis(now)],
        |row| Ok((Leased { outbound: outbound(row)?, lease: row.get::<_, u32>(9)? + 1 }, row.get(10)?)),
    )?;
    let Some((leased, revoked)) = found else { return Ok(None) };
    if !may_go(db, &leased.outbound, revoked, now)? {
        return Ok(None);
    }
    run(
        db,
        "UPDATE outbound SET state = 'sending', lease = ?2, lease_until = ?3, attempts = attempts + 1,
             attempted_at = ?4, absent_at = NULL WHERE id = ?1",
        params![id.to_string(), leased.lease, millis(until), millis(now)],
    )?;
    Ok(Some(leased))
}

pub(super) fn renew(
    db: &Connection,
    leased: &Leased,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<bool> {
    let id = leased.outbound.id.to_string();
    let Some(revoked) = holds(db, leased)? else { return Ok(false) };
    if !may_go(db, &leased.outbound, revoked, now)? {
        return Ok(false);
    }
    let renewed = run(
        db,
        "UPDATE outbound SET lease_until = ?2, attempted_at = ?3 WHERE id = ?1 AND state = 'sending'",
        params![id, millis(until), millis(now)],
    )?;
    Ok(renewed == 1)
}

/// Whether a message may be sent now; if it never may, it is settled.
fn may_go(db: &Connection, message: &Outbound, revoked: bool, now: DateTime<Utc>) -> Result<bool> {
    let text = &message.text;
    let over = match (text.kind, text.session) {
        (Kind::Relay, Some(session)) => sessions::one(db, session, now)?.is_none(),
        _ => false,
    };
    if revoked || over {
        close(db, message.id, State::Cancelled, None, Some("the session has ended"), now)?;
        return Ok(false);
    }
    if let Some(barred) = barred(db, text.from, text.to)? {
        close(db, message.id, State::Failed, None, Some(barred.as_str()), now)?;
        return Ok(false);
    }
    Ok(true)
}

pub(super) fn unknown(db: &Connection, limit: u32, after: Option<MessageId>) -> Result<Vec<Unknown>> {
    all(
        db,
        &format!(
            "SELECT {OUTBOUND}, o.lease, o.attempted_at, o.absent_at, o.revoked FROM outbound o
             WHERE o.settled_at IS NULL AND o.state = 'unknown'
                 AND (?2 IS NULL OR (o.attempted_at, o.id) > (SELECT attempted_at, id FROM outbound WHERE id = ?2))
             ORDER BY o.attempted_at, o.id LIMIT ?1"
        ),
        params![limit, after.map(|id| id.to_string())],
        |row| {
            let outbound = outbound(row)?;
            let attempted_at = row.get::<_, Option<i64>>(10)?.map(time).transpose()?;
            Ok(Unknown {
                attempted_at: attempted_at.unwrap_or(outbound.created_at),
                absent_at: row.get::<_, Option<i64>>(11)?.map(time).transpose()?,
                leased: Leased { outbound, lease: row.get(9)? },
                revoked: row.get(12)?,
            })
        },
    )
}

pub(super) fn others(db: &Connection, message: &Outbound) -> Result<Others> {
    let rows = all(
        db,
        "SELECT state, provider_id FROM outbound WHERE from_tn = ?1 AND recipient = ?2 AND id <> ?3
             AND (provider_id IS NOT NULL OR state = 'sending')",
        params![integer(message.text.from), integer(message.text.to), message.id.to_string()],
        |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)),
    )?;
    let sending = rows.iter().any(|(state, _)| state == State::Sending.as_str());
    Ok(Others { sending, provider_ids: rows.into_iter().filter_map(|(_, id)| id).collect() })
}

pub(super) fn begin_drain(
    db: &Connection,
    holder: &str,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<bool> {
    let changed = run(
        db,
        "INSERT INTO drainer (only, holder, until) VALUES (1, ?1, ?3)
         ON CONFLICT DO UPDATE SET holder = ?1, until = ?3 WHERE holder = ?1 OR until < ?2",
        params![holder, millis(now), millis(until)],
    )?;
    Ok(changed == 1)
}

pub(super) fn end_drain(db: &Connection, holder: &str) -> Result<()> {
    run(db, "DELETE FROM drainer WHERE holder = ?1", [holder]).map(|_| ())
}
