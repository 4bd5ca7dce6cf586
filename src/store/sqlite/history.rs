//! What became of the messages: delivery receipts, the list of a session, and forgetting.

use super::{
    outbox::close,
    rows::{all, exists, first, kind, millis, role, run, state, time},
};
use crate::{
    domain::{MessageId, Receipt, SessionId},
    store::{Delivery, Message, Page, Part, Receipted, Result, State, cut},
};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, params};

pub(super) fn receipt(db: &Connection, receipt: &Receipt, now: DateTime<Utc>) -> Result<Receipted> {
    let find = |column: &str, value: String| {
        let sql = format!("SELECT id, state, settled_at IS NOT NULL FROM outbound WHERE {column} = ?1");
        first(db, &sql, [value], |row| {
            Ok((
                row.get::<_, String>(0)?.parse::<MessageId>()?,
                state(&row.get::<_, String>(1)?)?,
                row.get(2)?,
            ))
        })
    };
    let named = match receipt.message {
        Some(id) => find("id", id.to_string())?,
        None => None,
    };
    let proves_taken = named.is_some();
    let found = match named {
        None if !receipt.provider_id.is_empty() => find("provider_id", receipt.provider_id.clone())?,
        named => named,
    };
    let Some((id, state, settled)): Option<(_, _, bool)> = found else { return Ok(Receipted::NoMessage) };
    let new = run(
        db,
        "INSERT INTO receipt (message_id, level) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![id.to_string(), receipt.level],
    )?;
    if new == 0 {
        return Ok(Receipted::Known);
    }
    run(
        db,
        "UPDATE outbound SET receipt_level = ?2, receipt_status = ?3, receipt_code = ?4, receipt_at = ?5
         WHERE id = ?1 AND (receipt_level IS NULL OR receipt_level <= ?2)",
        params![id.to_string(), receipt.level, receipt.status, receipt.code, receipt.at.map(millis)],
    )?;
    if proves_taken && (!settled || state == State::Unknown) {
        let provider_id = Some(receipt.provider_id.as_str()).filter(|id| !id.is_empty());
        close(db, id, State::Sent, provider_id, None, now)?;
    }
    Ok(Receipted::Recorded)
}

pub(super) fn list(db: &Connection, session: SessionId, page: &Page) -> Result<Option<Part<Message>>> {
    if !exists(db, "SELECT 1 FROM session WHERE id = ?1", [session.to_string()])? {
        return Ok(None);
    }
    // What no page ended with is taken for the end.
    let mark = page.after.as_deref().map(|mark| read_mark(mark).unwrap_or((i64::MAX, i64::MAX)));
    let (after_time, after_row) = mark.unwrap_or((i64::MIN, 0));
    let at_most = page.limit.map_or(-1, |limit| i64::from(limit) + 1);
    let rows = all(
        db,
        "SELECT rowid, id, kind, to_role, state, attempts, created_at, attempted_at, settled_at, provider_id, reason,
             receipt_status, receipt_code, receipt_at
         FROM outbound WHERE session_id = ?1 AND (created_at, rowid) > (?2, ?3)
         ORDER BY created_at, rowid LIMIT ?4",
        params![session.to_string(), after_time, after_row, at_most],
        |row| Ok((row.get::<_, i64>(0)?, message(row)?)),
    )?;
    let Part { items, next } =
        cut(rows, page.limit, |(row, message)| format!("{}-{row}", millis(message.created_at)));
    Ok(Some(Part { items: items.into_iter().map(|(_, message)| message).collect(), next }))
}

fn read_mark(mark: &str) -> Option<(i64, i64)> {
    let (time, row) = mark.split_once('-')?;
    Some((time.parse().ok()?, row.parse().ok()?))
}

fn message(row: &Row<'_>) -> Result<Message> {
    let at = |column| row.get::<_, Option<i64>>(column)?.map(time).transpose();
    let status: Option<String> = row.get(11)?;
    let (code, received) = (row.get(12)?, at(13)?);
    Ok(Message {
        id: row.get::<_, String>(1)?.parse()?,
        kind: kind(&row.get::<_, String>(2)?)?,
        to: role(row.get::<_, Option<String>>(3)?.as_deref()),
        state: state(&row.get::<_, String>(4)?)?,
        attempts: row.get(5)?,
        created_at: time(row.get(6)?)?,
        attempted_at: at(7)?,
        settled_at: at(8)?,
        provider_id: row.get(9)?,
        reason: row.get(10)?,
        delivery: status.map(|status| Delivery { status, code, at: received }),
    })
}

pub(super) fn forget(db: &Connection, before: DateTime<Utc>, limit: u32) -> Result<usize> {
    let mut forgotten = 0;
    for (table, age) in [("inbound", "received_at"), ("outbound", "settled_at"), ("session", "ended_at")] {
        let sql = format!(
            "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {age} < ?1 ORDER BY {age} LIMIT ?2)"
        );
        forgotten += run(db, &sql, params![millis(before), limit])?;
    }
    Ok(forgotten)
}
