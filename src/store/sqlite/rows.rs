//! Runs statements and converts the values of rows.

use super::open::describe;
use crate::{domain::Number, store::StoreError};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row};
use std::str::FromStr;

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

type Result<T> = std::result::Result<T, StoreError>;

pub(super) fn millis(time: DateTime<Utc>) -> i64 {
    time.timestamp_millis()
}

pub(super) fn integer(number: Number) -> i64 {
    i64::try_from(number.as_u64()).unwrap_or(i64::MAX)
}

/// Reads a column as a domain value.
pub(super) trait Columns {
    fn time(&self, column: usize) -> Result<DateTime<Utc>>;
    fn some_time(&self, column: usize) -> Result<Option<DateTime<Utc>>>;
    fn number(&self, column: usize) -> Result<Number>;
    fn some_number(&self, column: usize) -> Result<Option<Number>>;
    fn id<T: From<[u8; 16]>>(&self, column: usize) -> Result<T>;
    fn some_id<T: From<[u8; 16]>>(&self, column: usize) -> Result<Option<T>>;
    /// The name of a variant.
    fn parsed<T: FromStr<Err: Into<StoreError>>>(&self, column: usize) -> Result<T>;
    fn some_parsed<T: FromStr<Err: Into<StoreError>>>(&self, column: usize) -> Result<Option<T>>;
}

impl Columns for Row<'_> {
    fn time(&self, column: usize) -> Result<DateTime<Utc>> {
        time(self.get(column)?)
    }

    fn some_time(&self, column: usize) -> Result<Option<DateTime<Utc>>> {
        self.get::<_, Option<i64>>(column)?.map(time).transpose()
    }

    fn number(&self, column: usize) -> Result<Number> {
        number(self.get(column)?)
    }

    fn some_number(&self, column: usize) -> Result<Option<Number>> {
        self.get::<_, Option<i64>>(column)?.map(number).transpose()
    }

    fn id<T: From<[u8; 16]>>(&self, column: usize) -> Result<T> {
        Ok(self.get::<_, [u8; 16]>(column)?.into())
    }

    fn some_id<T: From<[u8; 16]>>(&self, column: usize) -> Result<Option<T>> {
        Ok(self.get::<_, Option<[u8; 16]>>(column)?.map(T::from))
    }

    fn parsed<T: FromStr<Err: Into<StoreError>>>(&self, column: usize) -> Result<T> {
        self.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?.parse().map_err(Into::into)
    }

    fn some_parsed<T: FromStr<Err: Into<StoreError>>>(&self, column: usize) -> Result<Option<T>> {
        let text = self.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from)?;
        text.map(|text| text.parse().map_err(Into::into)).transpose()
    }
}

fn number(value: i64) -> Result<Number> {
    let number = u64::try_from(value).ok().and_then(|value| Number::try_from(value).ok());
    number.ok_or_else(|| StoreError::Unreadable("a phone number is out of range".into()))
}

fn time(millis: i64) -> Result<DateTime<Utc>> {
    DateTime::from_timestamp_millis(millis)
        .ok_or_else(|| StoreError::Unreadable(format!("a time is out of range: {millis}")))
}

/// All rows of a query, each read by `read`.
pub(super) fn all<T>(
    db: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    mut read: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
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
    read: impl Fn(&Row<'_>) -> Result<T>,
) -> Result<Option<T>> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(read).transpose()
}

/// The first row of a query that `read` does not skip, read by it. No more rows are read.
pub(super) fn first_that<T>(
    db: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    mut read: impl FnMut(&Row<'_>) -> Result<Option<T>>,
) -> Result<Option<T>> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        if let Some(found) = read(row)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The only value of a query such as `SELECT count(*)`.
pub(super) fn count(db: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<u64> {
    Ok(first(db, sql, params, |row| Ok(row.get::<_, i64>(0)?))?.unwrap_or(0).unsigned_abs())
}

/// Whether a query has a row.
pub(super) fn exists(db: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<bool> {
    Ok(db.prepare_cached(sql)?.exists(params)?)
}

/// Runs a statement; returns the number of changed rows.
pub(super) fn run(db: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<usize> {
    Ok(db.prepare_cached(sql)?.execute(params)?)
}

/// The `LIMIT` of a page: one more row than requested shows whether there is a next page. -1: no limit.
pub(super) fn one_more(limit: Option<u32>) -> i64 {
    limit.map_or(-1, |limit| i64::from(limit) + 1)
}
