//! Inbound texts, and everything that they and the sessions cause, put on record in one step.

use super::{
    outbox::put,
    rows::{exists, first, integer, millis, run},
    sessions,
};
use crate::{
    domain::{Barred, Kind, MessageId, Number, Outbound},
    store::{AnswerLimits, EndCause, Opt, Record, Recorded, RestsOn, Result},
};
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, params};

pub(super) fn record(db: &Connection, record: Record) -> Result<Recorded> {
    let Record { inbound, at, mut outbound, lease_until, rests_on, answers, opt } = record;
    let marker = inbound.as_deref().map(MessageId::for_inbound);
    if let Some(marker) = marker
        && is_known(db, marker)?
    {
        return Ok(Recorded::Duplicate);
    }
    if !within(db, &outbound, answers, at)? {
        outbound.retain(|message| message.text.kind != Kind::NoSession);
    }
    let first_id = outbound.first().map(|message| message.id);
    let leased = match rests_on {
        RestsOn::Nothing | RestsOn::Answers(_) => Some(put(db, outbound, Some(lease_until))?),
        RestsOn::Expired(session) => {
            sessions::end(db, session.id, EndCause::Expired, outbound, at, Some(lease_until))?
        }
        RestsOn::Live(session) if sessions::one(db, session, at)?.is_some() => {
            Some(put(db, outbound, Some(lease_until))?)
        }
        RestsOn::Live(_) => None,
    };
    let Some(leased) = leased else { return Ok(Recorded::Stale) };
    // A message that has the text's id remembers it.
    if let Some(marker) = marker.filter(|marker| first_id != Some(*marker)) {
        run(
            db,
            "INSERT INTO inbound (id, received_at) VALUES (?1, ?2)",
            params![marker.to_string(), millis(at)],
        )?;
    }
    if let Some(opt) = opt {
        set_opt(db, opt)?;
    }
    Ok(Recorded::New(leased))
}

/// Whether a text with this id is on record, be it by the message that it led to.
pub(super) fn is_known(db: &Connection, marker: MessageId) -> Result<bool> {
    let known = "SELECT 1 FROM inbound WHERE id = ?1 UNION ALL SELECT 1 FROM outbound WHERE id = ?1";
    exists(db, known, [marker.to_string()])
}

/// Whether one more answer to a stranger is within the limits.
fn within(db: &Connection, outbound: &[Outbound], limits: AnswerLimits, at: DateTime<Utc>) -> Result<bool> {
    let Some(answer) = outbound.iter().find(|message| message.text.kind == Kind::NoSession) else {
        return Ok(true);
    };
    let count = |sql: &str, params: &[i64]| -> Result<u32> {
        let params = rusqlite::params_from_iter(params);
        Ok(first(db, sql, params, |row| Ok(row.get(0)?))?.unwrap_or(0))
    };
    let (from, to) = (integer(answer.text.from), integer(answer.text.to));
    let to_sender = count(
        "SELECT count(*) FROM outbound
         WHERE from_tn = ?1 AND recipient = ?2 AND created_at > ?3 AND kind = 'no_session'",
        &[from, to, millis(at - TimeDelta::hours(1))],
    )?;
    let in_all = count(
        "SELECT count(*) FROM outbound WHERE kind = 'no_session' AND created_at > ?1",
        &[millis(at - TimeDelta::minutes(1))],
    )?;
    Ok(to_sender < limits.per_hour && in_all < limits.per_minute)
}

pub(super) fn set_opt(db: &Connection, opt: Opt) -> Result<()> {
    let (tn, person) = (integer(opt.tn), integer(opt.person));
    if opt.out {
        run(db, "INSERT INTO opt_out (tn, person) VALUES (?1, ?2) ON CONFLICT DO NOTHING", [tn, person])?;
    } else {
        run(db, "DELETE FROM opt_out WHERE tn = ?1 AND person = ?2", [tn, person])?;
    }
    Ok(())
}

/// Why no text from this TN may go to this number.
pub(super) fn barred(db: &Connection, tn: Number, to: Number) -> Result<Option<Barred>> {
    if super::pool::is_tn(db, to)? {
        return Ok(Some(Barred::IsTn));
    }
    let opted_out =
        exists(db, "SELECT 1 FROM opt_out WHERE tn = ?1 AND person = ?2", [integer(tn), integer(to)])?;
    Ok(opted_out.then_some(Barred::OptedOut))
}
