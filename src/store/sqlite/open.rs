//! Opening the database file, or saying clearly why not.

use crate::domain::MessageId;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction};
use rusqlite_migration::{Error as MigrationError, HookResult, M, MigrationDefinitionError, Migrations};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

/// Marks a SQLite file as ours: the letters `SMSP`. The first migration sets it (`PRAGMA application_id`).
const APPLICATION_ID: i64 = 0x534D_5350;

/// How long a call waits for another process's lock (DESIGN.md 3: a store call has 2 s).
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);
/// How long opening waits for other processes that open the file too.
const OPENING: Duration = Duration::from_secs(10);

/// How many steps there are to the present schema: its version.
const STEPS: usize = 2;
static MIGRATIONS: LazyLock<Migrations<'static>> = LazyLock::new(|| {
    let steps: [M<'static>; STEPS] = [
        M::up(include_str!("../../../local-sqlite/migrations/01-initial.sql")),
        M::up_with_hook(include_str!("../../../local-sqlite/migrations/02-opt-outs-and-marks.sql"), remark),
    ];
    Migrations::new(steps.into())
});

/// Why the database can't be opened. The texts are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder of the file can't be made, or the file can't be made in it.
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
    /// Anything else, such as a lock that another process holds.
    #[error("cannot open {0}: {1}")]
    Other(PathBuf, String),
}

/// Opens the file for the service: makes it if it is missing, and brings its schema up to date.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|e| OpenError::Create(folder.into(), e))?;
    }
    let other = |e: rusqlite::Error| match e.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::Foreign(path.into()),
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Corrupt(path.into(), describe(&e)),
        _ => OpenError::Other(path.into(), describe(&e)),
    };
    let mut db = connect(path).map_err(other)?;
    db.busy_timeout(OPENING).map_err(other)?;
    check(&db, path, other)?;
    switch_to_wal(&db).map_err(other)?;
    migrate(&mut db).map_err(|e| match e {
        MigrationError::MigrationDefinition(MigrationDefinitionError::DatabaseTooFarAhead) => {
            OpenError::Newer(path.into())
        }
        MigrationError::RusqliteError { err, .. } => other(err),
        e => OpenError::Other(path.into(), e.to_string()),
    })?;
    db.busy_timeout(BUSY_TIMEOUT).map_err(other)?;
    Ok(db)
}

/// Switches to the write-ahead log. SQLite does not wait for others here, whatever its time-out.
fn switch_to_wal(db: &Connection) -> rusqlite::Result<()> {
    let give_up = Instant::now() + OPENING;
    loop {
        match db.pragma_update(None, "journal_mode", "WAL") {
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < give_up => {
                thread::sleep(Duration::from_millis(20));
            }
            done => return done,
        }
    }
}

/// Gives inbound texts on record the ids by which they are known since version 2. Some files of version 1 have such ids
/// already; what Flowroute calls a text is longer.
fn remark(db: &Transaction<'_>) -> HookResult {
    let mut known = db.prepare("SELECT id FROM inbound")?;
    let ids: Vec<String> = known.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut mark = db.prepare("UPDATE inbound SET id = ?2 WHERE id = ?1")?;
    for id in ids.iter().filter(|id| id.parse::<MessageId>().is_err()) {
        mark.execute([id, &MessageId::for_inbound(id).to_string()])?;
    }
    Ok(())
}

/// Brings the schema up to date. Of several processes that start at once one does a step; the others find it done, and go
/// on from there.
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

/// One more connection to the file, set up like all of them.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    // What is acknowledged survives a power cut: each commit syncs the write-ahead log.
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", true)?;
    // An erased text is overwritten, not just unlinked.
    db.pragma_update(None, "secure_delete", true)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

/// Looks whether the file is ours and whole, before anything is changed in it.
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
    if usize::try_from(version(db).map_err(other)?).is_ok_and(|version| version > STEPS) {
        return Err(OpenError::Newer(path.into()));
    }
    let verdict: String = db.pragma_query_value(None, "quick_check", |row| row.get(0)).map_err(other)?;
    match verdict.as_str() {
        "ok" => Ok(()),
        _ => Err(OpenError::Corrupt(path.into(), verdict)),
    }
}

/// What SQLite says, without the SQL text that some of its errors quote.
pub(super) fn describe(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(code, message) => message.clone().unwrap_or_else(|| code.to_string()),
        rusqlite::Error::SqlInputError { error, .. } => error.to_string(),
        other => other.to_string(),
    }
}
