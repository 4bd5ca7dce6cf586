//! The SQLite backend: one file, for local and single-machine use.

mod gauges;
mod history;
mod open;
mod outbox;
mod pool;
mod readers;
mod rows;
mod sessions;
mod snapshot;
mod texts;
mod writer;

pub use open::OpenError;

use super::{
    AddTn, Due, EndCause, Entry, Exported, Gauges, Imported, Leased, Message, OpenSession, Others, Page,
    Part, PoolSize, Receipted, Record, Recorded, RemoveTn, Result, Route, Settlement, Snapshot, Store,
    Unknown, VirtualTn,
};
use crate::domain::{MessageId, NewSession, Number, Outbound, Receipt, Session, SessionId};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use readers::Readers;
use std::path::{Path, PathBuf};
use writer::Writer;

/// A store in one SQLite file.
///
/// Several processes may open the same file. A call waits at most about two seconds for another's lock.
#[derive(Debug)]
pub struct Sqlite {
    writer: Writer,
    readers: Readers,
}

impl Sqlite {
    /// Opens the file, which is made if it is missing, and brings its schema up to date.
    ///
    /// # Errors
    /// When the file can't be made, is damaged, or belongs to something else or to a newer version.
    pub fn open(path: impl AsRef<Path>) -> std::result::Result<Self, OpenError> {
        let path = PathBuf::from(path.as_ref());
        let db = open::open(&path)?;
        let writer = Writer::start(db).map_err(|e| OpenError::Other(path.clone(), e.to_string()))?;
        Ok(Self { writer, readers: Readers::new(path) })
    }

    /// Removes a database with all that is in it. One that does not exist is fine.
    ///
    /// # Errors
    /// When a file can't be removed.
    pub fn remove(path: impl AsRef<Path>) -> std::io::Result<()> {
        for suffix in ["", "-wal", "-shm"] {
            let mut file = path.as_ref().as_os_str().to_owned();
            file.push(suffix);
            match std::fs::remove_file(file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn add_tn(&self, tn: Number, now: DateTime<Utc>) -> Result<AddTn> {
        self.writer.write(move |db| pool::add(db, tn, now)).await
    }

    async fn remove_tn(&self, tn: Number, now: DateTime<Utc>) -> Result<RemoveTn> {
        self.writer.write(move |db| pool::remove(db, tn, now)).await
    }

    async fn tn(&self, tn: Number, now: DateTime<Utc>) -> Result<Option<VirtualTn>> {
        self.readers.read(move |db| pool::one(db, tn, now)).await
    }

    async fn tns(&self, page: Page, now: DateTime<Utc>) -> Result<(Part<VirtualTn>, PoolSize)> {
        self.readers.read(move |db| pool::list(db, &page, now)).await
    }

    async fn open_session(&self, new: NewSession, lease_until: DateTime<Utc>) -> Result<OpenSession> {
        self.writer.write(move |db| sessions::open(db, &new, lease_until)).await
    }

    async fn end_session(
        &self,
        session: SessionId,
        cause: EndCause,
        notices: Vec<Outbound>,
        now: DateTime<Utc>,
        lease_until: Option<DateTime<Utc>>,
    ) -> Result<Option<Vec<Leased>>> {
        self.writer.write(move |db| sessions::end(db, session, cause, notices, now, lease_until)).await
    }

    async fn session(&self, id: SessionId, now: DateTime<Utc>) -> Result<Option<Session>> {
        self.readers.read(move |db| sessions::one(db, id, now)).await
    }

    async fn sessions(&self, page: Page, now: DateTime<Utc>) -> Result<(Part<Session>, u64)> {
        self.readers.read(move |db| sessions::list(db, &page, now)).await
    }

    async fn expired_sessions(&self, limit: u32, now: DateTime<Utc>) -> Result<Vec<Session>> {
        self.readers.read(move |db| sessions::expired(db, limit, now)).await
    }

    async fn route(&self, tn: Number, sender: Number, now: DateTime<Utc>) -> Result<Route> {
        self.readers.read(move |db| sessions::route(db, tn, sender, now)).await
    }

    async fn record(&self, record: Record) -> Result<Recorded> {
        self.writer.write(move |db| texts::record(db, record)).await
    }

    async fn settle(&self, leased: &Leased, settlement: Settlement, now: DateTime<Utc>) -> Result<bool> {
        let leased = leased.clone();
        self.writer.write(move |db| outbox::settle(db, &leased, settlement, now)).await
    }

    async fn reclaim(&self, limit: u32, now: DateTime<Utc>) -> Result<usize> {
        self.writer.write(move |db| outbox::reclaim(db, limit, now)).await
    }

    async fn due(&self, limit: u32, now: DateTime<Utc>) -> Result<Vec<Due>> {
        self.readers.read(move |db| outbox::due(db, limit, now)).await
    }

    async fn lease(&self, id: MessageId, now: DateTime<Utc>, until: DateTime<Utc>) -> Result<Option<Leased>> {
        self.writer.write(move |db| outbox::lease(db, id, now, until)).await
    }

    async fn renew(&self, leased: &Leased, now: DateTime<Utc>, until: DateTime<Utc>) -> Result<bool> {
        let leased = leased.clone();
        self.writer.write(move |db| outbox::renew(db, &leased, now, until)).await
    }

    async fn unknown(&self, limit: u32, after: Option<MessageId>) -> Result<Vec<Unknown>> {
        self.readers.read(move |db| outbox::unknown(db, limit, after)).await
    }

    async fn others(&self, message: &Outbound) -> Result<Others> {
        let message = message.clone();
        self.readers.read(move |db| outbox::others(db, &message)).await
    }

    async fn begin_drain(&self, holder: &str, now: DateTime<Utc>, until: DateTime<Utc>) -> Result<bool> {
        let holder = holder.to_owned();
        self.writer.write(move |db| outbox::begin_drain(db, &holder, now, until)).await
    }

    async fn end_drain(&self, holder: &str) -> Result<()> {
        let holder = holder.to_owned();
        self.writer.write(move |db| outbox::end_drain(db, &holder)).await
    }

    async fn receipt(&self, receipt: &Receipt, now: DateTime<Utc>) -> Result<Receipted> {
        let receipt = receipt.clone();
        self.writer.write(move |db| history::receipt(db, &receipt, now)).await
    }

    async fn messages(
        &self,
        session: SessionId,
        page: Page,
        _now: DateTime<Utc>,
    ) -> Result<Option<Part<Message>>> {
        self.readers.read(move |db| history::list(db, session, &page)).await
    }

    async fn forget(&self, before: DateTime<Utc>, limit: u32) -> Result<usize> {
        self.writer.write(move |db| history::forget(db, before, limit)).await
    }

    async fn gauges(&self, up_to: u32) -> Result<Gauges> {
        self.readers.read(move |db| gauges::gauges(db, up_to)).await
    }

    async fn ping(&self) -> Result<()> {
        self.readers
            .read(|db| rows::first(db, "SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map(|_| ()))
            .await
    }
}

#[async_trait]
impl Snapshot for Sqlite {
    async fn export(&self, before: DateTime<Utc>) -> Result<Exported> {
        self.readers.read(move |db| snapshot::export(db, before)).await
    }

    async fn import(&self, entries: Vec<Entry>) -> Result<Imported> {
        self.writer.write(move |db| snapshot::import(db, entries)).await
    }
}
