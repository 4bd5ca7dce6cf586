//! Between rows and the domain's values.

use super::open::describe;
use crate::{
    domain::{Number, Outbound, Participant, Role, Session},
    store::{Leased, StoreError},
};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, params};

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
        match error {
            FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) => {
                Self::Unreadable(describe(&error))
            }
            error => Self::Unavailable(describe(&error)),
        }
    }
}

type Read<T> = Result<T, StoreError>;

pub(super) fn millis(time: DateTime<Utc>) -> i64 {
    time.timestamp_millis()
}

pub(super) fn time(millis: i64) -> Read<DateTime<Utc>> {
    DateTime::from_timestamp_millis(millis)
        .ok_or_else(|| StoreError::Unreadable(format!("a time is out of range: {millis}")))
}

/// A number as SQLite keeps it.
pub(super) fn integer(number: Number) -> i64 {
    i64::try_from(number.as_u64()).unwrap_or(i64::MAX)
}

pub(super) fn number(value: i64) -> Read<Number> {
    u64::try_from(value)
        .ok()
        .and_then(|value| Number::try_from(value).ok())
        .ok_or_else(|| StoreError::Unreadable("a phone number is not one".into()))
}

/// The columns that [`session`] reads, of a table or alias `s`.
pub(super) const SESSION: &str = "s.id, s.tn, s.participant_a, s.participant_b, s.created_at, s.expires_at";

pub(super) fn session(row: &Row<'_>) -> Read<Session> {
    let participant = |role, column| -> Read<Participant> {
        Ok(Participant { role, number: number(row.get(column)?)?, opted_out: false })
    };
    Ok(Session {
        id: row.get::<_, String>(0)?.parse()?,
        tn: number(row.get(1)?)?,
        participants: [participant(Role::A, 2)?, participant(Role::B, 3)?],
        created_at: time(row.get(4)?)?,
        expires_at: row.get::<_, Option<i64>>(5)?.map(time).transpose()?,
    })
}

/// All rows of a query, each read by `read`.
pub(super) fn all<T>(
    db: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> Read<T>,
) -> Read<Vec<T>> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// The first row of a query, if it has one.
pub(super) fn first<T>(
    db: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> Read<T>,
) -> Read<Option<T>> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(read).transpose()
}

/// Whether a query has a row.
pub(super) fn exists(db: &Connection, sql: &str, params: impl rusqlite::Params) -> Read<bool> {
    Ok(db.prepare_cached(sql)?.exists(params)?)
}

/// Runs a statement; the number of rows that it changed.
pub(super) fn run(db: &Connection, sql: &str, params: impl rusqlite::Params) -> Read<usize> {
    Ok(db.prepare_cached(sql)?.execute(params)?)
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::A => "a",
        Role::B => "b",
    }
}

/// Puts messages on record: leased until `lease_until`, or due at once without it. A message to somebody who has
/// opted out is on record as failed.
pub(super) fn put_outbound(
    db: &Connection,
    messages: Vec<Outbound>,
    lease_until: Option<DateTime<Utc>>,
) -> Read<Vec<Leased>> {
    let mut leased = Vec::new();
    for outbound in messages {
        let Outbound { id, created_at, text } = &outbound;
        let barred = text.opted_out;
        let state = match lease_until {
            _ if barred => "failed",
            Some(_) => "sending",
            None => "waiting",
        };
        let taken = state == "sending";
        let media = (!barred && !text.content.media_urls.is_empty())
            .then(|| serde_json::Value::from(text.content.media_urls.clone()).to_string());
        run(
            db,
            "INSERT INTO outbound (id, session_id, kind, from_tn, recipient, to_role, body, media_urls,
                 created_at, state, due_at, lease, lease_until, attempts, attempted_at, reason, settled_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?9, ?11, ?12, ?11, ?13, ?14, ?15)",
            params![
                id.to_string(),
                text.session.map(|session| session.to_string()),
                text.kind.as_str(),
                integer(text.from),
                integer(text.to),
                text.to_role.map(role_name),
                (!barred).then_some(&text.content.body),
                media,
                millis(*created_at),
                state,
                i64::from(taken),
                lease_until.filter(|_| taken).map(millis),
                taken.then(|| millis(*created_at)),
                barred.then_some("the recipient has opted out of this number"),
                barred.then(|| millis(*created_at)),
            ],
        )?;
        if taken {
            leased.push(Leased { outbound, lease: 1 });
        }
    }
    Ok(leased)
}
