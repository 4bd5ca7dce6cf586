//! A message as a row: its columns, read and written.

use super::rows::{Columns, millis};
use crate::{
    domain::{Content, Delivery, Message, Outbound, Status, Text},
    store::{Result, StoreError, skip_unreadable},
};
use chrono::{DateTime, Utc};
use rusqlite::{Row, types::Value};

/// Selects whole messages, as [`read`] wants them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, session_id, kind, from_tn, recipient, to_role, body, media_urls, created_at, state, lease,
                 lease_until, due_at, attempts, attempted_at, absent_at, revoked, provider_id, reason, delivery_level,
                 delivery_status, delivery_code, delivery_at, settled_at, rowid FROM outbound ",
            $rest
        )
    };
}
pub(super) use select;

pub(super) fn read(row: &Row<'_>) -> Result<Message> {
    let media: Option<String> = row.get(7)?;
    let media_urls = media.map(|json| serde_json::from_str(&json)).transpose();
    let text = Text {
        session: row.some_id(1)?,
        kind: row.parsed(2)?,
        from: row.number(3)?,
        to: row.number(4)?,
        to_role: row.some_parsed(5)?,
        blocked: None,
        content: Content {
            body: row.get::<_, Option<String>>(6)?.unwrap_or_default(),
            media_urls: media_urls.map_err(|e| StoreError::Unreadable(e.to_string()))?.unwrap_or_default(),
        },
    };
    let delivery = match row.get(20)? {
        None => None,
        Some(status) => {
            Some(Delivery { level: row.get(19)?, status, code: row.get(21)?, at: row.some_time(22)? })
        }
    };
    let status = Status {
        state: row.parsed(9)?,
        lease: row.get(10)?,
        lease_until: row.some_time(11)?,
        due_at: row.some_time(12)?,
        attempts: row.get(13)?,
        attempted_at: row.some_time(14)?,
        absent_at: row.some_time(15)?,
        revoked: row.get(16)?,
        provider_id: row.get(17)?,
        reason: row.get(18)?,
        delivery,
        settled_at: row.some_time(23)?,
    };
    Ok(Message { outbound: Outbound { id: row.id(0)?, created_at: row.time(8)?, text }, status })
}

/// Reads a message; `None`: it is unreadable, which is logged, and must not keep others from being processed.
pub(super) fn readable(row: &Row<'_>) -> Result<Option<Message>> {
    skip_unreadable(read(row))
}

/// The values of the columns from `state` on.
pub(super) fn status_values(status: &Status) -> [Value; 15] {
    let at = |time: Option<DateTime<Utc>>| Value::from(time.map(millis));
    let delivery = status.delivery.as_ref();
    [
        status.state.as_str().to_owned().into(),
        status.lease.into(),
        at(status.lease_until),
        at(status.due_at),
        status.attempts.into(),
        at(status.attempted_at),
        at(status.absent_at),
        status.revoked.into(),
        status.provider_id.clone().into(),
        status.reason.clone().into(),
        delivery.and_then(|delivery| delivery.level).into(),
        delivery.map(|delivery| delivery.status.clone()).into(),
        delivery.and_then(|delivery| delivery.code.clone()).into(),
        at(delivery.and_then(|delivery| delivery.at)),
        at(status.settled_at),
    ]
}
