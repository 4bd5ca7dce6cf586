//! Opens the database file.

use super::{files, person_hash};
use crate::limits;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rusqlite_migration::{Error as MigrationError, M, MigrationDefinitionError, Migrations};
use std::{
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// Identifies a SQLite file as ours: the letters `SMSP`. The first migration sets it (`PRAGMA application_id`).
const APPLICATION_ID: i64 = 0x534D_5350;

/// The writer's page cache, in KiB as SQLite wants it. A text touches pages all over the indexes.
const CACHE_KIB: i64 = -8192;
/// At this many pages of 4 KB the writer writes back what the [checkpointer](super::checkpointer) has not, so that the
/// write-ahead log begins again.
const LOG_PAGES: i64 = 8000;

const STEPS: &[M<'static>] = &[M::up(include_str!("../../../local-sqlite/migrations/01-initial.sql"))];
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

/// Why the database can't be opened. The texts are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder of the file cannot be created, or the file cannot be created in it.
    #[error("cannot create {0}: {1}")]
    Create(PathBuf, io::Error),
    /// The file belongs to something else.
    #[error("{0} is not an sms-proxy database; move it away or point SQLITE_PATH elsewhere")]
    Foreign(PathBuf),
    /// The file is damaged.
    #[error("{0} is damaged ({1}); restore it from a backup")]
    Corrupt(PathBuf, String),
    /// A newer release has written the file.
    #[error("{0} was written by a newer sms-proxy; run that version or restore an older backup")]
    Newer(PathBuf),
    /// This user, by the numeric id, may not write the file, its write-ahead log or its folder.
    #[error("{0} cannot be written by user {1} ({2}); let that user write the file and its folder")]
    NotWritable(PathBuf, u32, String),
    /// Another error, such as a lock that another process holds.
    #[error("cannot open {0}: {1}")]
    Other(PathBuf, String),
}

/// Opens the file for the service: creates it if it is missing, migrates its schema, and writes to it.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    files::create_private(path).map_err(|(folder, e)| OpenError::Create(folder, e))?;
    if path.is_dir() {
        return Err(OpenError::Other(path.into(), "it is a directory".into()));
    }
    let other = |e: rusqlite::Error| match e.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::Foreign(path.into()),
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Corrupt(path.into(), describe(&e)),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            OpenError::NotWritable(path.into(), rustix::process::geteuid().as_raw(), describe(&e))
        }
        _ => OpenError::Other(path.into(), describe(&e)),
    };
    let mut db = connect(path).map_err(other)?;
    db.busy_timeout(limits::SQLITE_OPEN).map_err(other)?;
    check(&db, path, other)?;
    switch_to_wal(&db).map_err(other)?;
    migrate(&mut db).map_err(|e| match e {
        MigrationError::MigrationDefinition(MigrationDefinitionError::DatabaseTooFarAhead) => {
            OpenError::Newer(path.into())
        }
        MigrationError::RusqliteError { err, .. } => other(err),
        e => OpenError::Other(path.into(), e.to_string()),
    })?;
    // SQLite opens a file that it may not write without an error.
    test_write(&db).map_err(other)?;
    db.busy_timeout(limits::SQLITE_LOCK).map_err(other)?;
    db.pragma_update(None, "cache_size", CACHE_KIB).map_err(other)?;
    db.pragma_update(None, "wal_autocheckpoint", LOG_PAGES).map_err(other)?;
    // The check has read the whole file into the cache.
    db.execute_batch("PRAGMA shrink_memory").map_err(other)?;
    Ok(db)
}

/// Writes more than a text takes, and something else each time, since SQLite does not write what is there already.
pub(super) fn test_write(db: &Connection) -> rusqlite::Result<()> {
    let sql = "INSERT INTO test_write (only, content) VALUES (1, randomblob(65536))
         ON CONFLICT DO UPDATE SET content = excluded.content";
    db.execute(sql, []).map(drop)
}

/// Switches to the write-ahead log. SQLite's busy timeout does not apply to this.
fn switch_to_wal(db: &Connection) -> rusqlite::Result<()> {
    let give_up = Instant::now() + limits::SQLITE_OPEN;
    loop {
        match db.pragma_update(None, "journal_mode", "WAL") {
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < give_up => {
                thread::sleep(Duration::from_millis(20));
            }
            done => return done,
        }
    }
}

/// Migrates the schema. Of several processes that start at the same time, one does a step; the others continue from there.
fn migrate(db: &mut Connection) -> Result<(), MigrationError> {
    loop {
        let before = version(db)?;
        match MIGRATIONS.to_latest(db) {
            Err(MigrationError::RusqliteError { .. }) if version(db)? > before => {}
            done => return done,
        }
    }
}

fn version(db: &Connection) -> rusqlite::Result<i64> {
    db.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Opens a connection to the file.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(limits::SQLITE_LOCK)?;
    // Each commit syncs the write-ahead log, so that it survives a power cut.
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", true)?;
    // An erased text is overwritten, not just unlinked.
    db.pragma_update(None, "secure_delete", true)?;
    person_hash::define(&db)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

/// Checks that the file is ours and not damaged, before it is changed.
fn check(
    db: &Connection,
    path: &Path,
    other: impl Fn(rusqlite::Error) -> OpenError + Copy,
) -> Result<(), OpenError> {
    let tables: i64 =
        db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(other)?;
    let owner: i64 = db.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(other)?;
    if tables > 0 && owner != APPLICATION_ID {
        return Err(OpenError::Foreign(path.into()));
    }
    if usize::try_from(version(db).map_err(other)?).is_ok_and(|version| version > STEPS.len()) {
        return Err(OpenError::Newer(path.into()));
    }
    let verdict: String = db.pragma_query_value(None, "quick_check", |row| row.get(0)).map_err(other)?;
    match verdict.as_str() {
        "ok" => Ok(()),
        _ => Err(OpenError::Corrupt(path.into(), verdict)),
    }
}

/// The message of an error, without the SQL that some errors quote.
pub(super) fn describe(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(code, message) => message.clone().unwrap_or_else(|| code.to_string()),
        rusqlite::Error::SqlInputError { error, .. } => error.to_string(),
        other => other.to_string(),
    }
}
