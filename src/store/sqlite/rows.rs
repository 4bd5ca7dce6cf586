//! Between rows and the domain's values.

use super::open::describe;
use crate::{
    domain::{Barred, Content, Kind, Number, Outbound, Participant, Role, Session, Text},
    store::{State, StoreError},
};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row};

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
pub(super) const SESSION: &str = "s.id, s.tn, s.participant_a, s.participant_b, s.created_at, s.expires_at,
     EXISTS (SELECT 1 FROM opt_out WHERE tn = s.tn AND person = s.participant_a),
     EXISTS (SELECT 1 FROM opt_out WHERE tn = s.tn AND person = s.participant_b),
     EXISTS (SELECT 1 FROM tn WHERE value = s.participant_a),
     EXISTS (SELECT 1 FROM tn WHERE value = s.participant_b)";

pub(super) fn session(row: &Row<'_>) -> Read<Session> {
    let participant = |role, column: usize| -> Read<Participant> {
        let barred = match (row.get(column + 4)?, row.get(column + 6)?) {
            (_, true) => Some(Barred::IsTn),
            (true, false) => Some(Barred::OptedOut),
            (false, false) => None,
        };
        Ok(Participant { role, number: number(row.get(column)?)?, barred })
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

pub(super) fn kind(name: &str) -> Read<Kind> {
    let known = Kind::ALL.into_iter().find(|kind| kind.as_str() == name);
    known.ok_or_else(|| StoreError::Unreadable(format!("no such kind of message: {name}")))
}

pub(super) fn state(name: &str) -> Read<State> {
    let known = State::ALL.into_iter().find(|state| state.as_str() == name);
    known.ok_or_else(|| StoreError::Unreadable(format!("no such state of a message: {name}")))
}

pub(super) fn role(name: Option<&str>) -> Option<Role> {
    name.map(|name| if name == "a" { Role::A } else { Role::B })
}

/// The columns that [`outbound`] reads, of a table or alias `o`.
pub(super) const OUTBOUND: &str =
    "o.id, o.session_id, o.kind, o.from_tn, o.recipient, o.to_role, o.body, o.media_urls, o.created_at";

/// A message that is not settled, with its content.
pub(super) fn outbound(row: &Row<'_>) -> Read<Outbound> {
    let media: Option<String> = row.get(7)?;
    Ok(Outbound {
        id: row.get::<_, String>(0)?.parse()?,
        created_at: time(row.get(8)?)?,
        text: Text {
            kind: kind(&row.get::<_, String>(2)?)?,
            session: row.get::<_, Option<String>>(1)?.map(|id| id.parse()).transpose()?,
            from: number(row.get(3)?)?,
            to: number(row.get(4)?)?,
            to_role: role(row.get::<_, Option<String>>(5)?.as_deref()),
            barred: None,
            content: Content {
                body: row.get::<_, Option<String>>(6)?.unwrap_or_default(),
                media_urls: media
                    .map(|json| serde_json::from_str(&json))
                    .transpose()
                    .map_err(|e| StoreError::Unreadable(e.to_string()))?
                    .unwrap_or_default(),
            },
        },
    })
}
