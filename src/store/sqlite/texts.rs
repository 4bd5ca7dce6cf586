//! Texts: the inbound ids, and the outbound messages with what became of them.

use super::{
    rows::{exists, first, millis, put_outbound, run},
    sessions,
};
use crate::store::{EndCause, Leased, Record, Recorded, RestsOn, Result, Settlement};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

pub(super) fn record(db: &Connection, record: Record) -> Result<Recorded> {
    let Record { inbound, at, outbound, lease_until, rests_on } = record;
    if let Some(id) = &inbound
        && exists(db, "SELECT 1 FROM inbound WHERE id = ?1", [id])?
    {
        return Ok(Recorded::Duplicate);
    }
    let leased = match rests_on {
        RestsOn::Nothing => Some(put_outbound(db, outbound, Some(lease_until))?),
        RestsOn::Expired(session) => {
            sessions::end(db, session, EndCause::Expired, outbound, at, Some(lease_until))?
        }
        RestsOn::Live(session) => {
            let live = exists(
                db,
                "SELECT 1 FROM session
                 WHERE id = ?1 AND ended_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)",
                params![session.to_string(), millis(at)],
            )?;
            if live { Some(put_outbound(db, outbound, Some(lease_until))?) } else { None }
        }
    };
    let Some(leased) = leased else { return Ok(Recorded::Stale) };
    if let Some(id) = inbound {
        run(db, "INSERT INTO inbound (id, received_at) VALUES (?1, ?2)", params![id, millis(at)])?;
    }
    Ok(Recorded::New(leased))
}

/// Whether this lease is the message's newest and the message is not settled; and whether it was revoked.
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
    let (state, provider_id, reason, due) = match settlement {
        Settlement::Sent { provider_id } => ("sent", Some(provider_id), None, None),
        Settlement::Failed { reason } => ("failed", None, Some(reason), None),
        Settlement::Unknown { reason } => ("unknown", None, Some(reason), None),
        Settlement::Waiting { reason, .. } if revoked => ("cancelled", None, Some(reason), None),
        Settlement::Waiting { due, reason } => ("waiting", None, Some(reason), Some(due)),
    };
    let id = leased.outbound.id.to_string();
    run(
        db,
        "UPDATE outbound SET state = ?2, provider_id = coalesce(?3, provider_id), reason = ?4, due_at = ?5,
             lease_until = NULL WHERE id = ?1",
        params![id, state, provider_id, reason, due.map(millis)],
    )?;
    if !matches!(state, "waiting" | "unknown") {
        run(
            db,
            "UPDATE outbound SET settled_at = ?2, body = NULL, media_urls = NULL WHERE id = ?1",
            params![id, millis(now)],
        )?;
    }
    Ok(true)
}
