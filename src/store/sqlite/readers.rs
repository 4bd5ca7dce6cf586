//! Connections for reading. In WAL mode readers and the writer do not block each other, and a read sees every write that
//! was acknowledged before it began.

use super::{files::Files, open::connect};
use crate::{
    limits,
    store::{Result, StoreError},
    telemetry::metrics::{Call, Timer},
};
use rusqlite::Connection;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{sync::Semaphore, time::timeout};

/// The maximum number of concurrent reads, and of lists among them; further ones wait.
const CONCURRENCY: usize = 4;
const LISTS: usize = 2;

#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    files: Files,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
    lists: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, files: Files) -> Self {
        Self {
            path,
            files,
            idle: Arc::default(),
            permits: Arc::new(Semaphore::new(CONCURRENCY)),
            lists: Arc::new(Semaphore::new(LISTS)),
        }
    }

    /// Reads a list, for which other reads need not wait.
    pub(super) async fn list<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let permit = timeout(limits::STORE_OPERATION, Arc::clone(&self.lists).acquire_owned());
        let permit =
            permit.await.map_err(|_| StoreError::Unavailable("too many lists are waiting".into()))?;
        let list = move |db: &Connection| {
            let _permit = permit;
            work(db)
        };
        self.read(list).await
    }

    /// Runs `work` in one read transaction, on a blocking thread.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let _timer = Timer::start(Call::StoreRead);
        let permit = timeout(limits::SQLITE_QUEUE, Arc::clone(&self.permits).acquire_owned());
        let permit =
            permit.await.map_err(|_| StoreError::Unavailable("too many reads are waiting".into()))?;
        let (path, files, idle) = (self.path.clone(), self.files.clone(), Arc::clone(&self.idle));
        let read = move || {
            // Held until the read ends, also if its caller is dropped.
            let _permit = permit;
            files.check()?;
            let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut db = match kept {
                Some(db) => db,
                None => connect(&path)?,
            };
            let transaction = db.transaction()?;
            let result = work(&transaction);
            transaction.finish()?;
            if result.is_ok() {
                // A connection that failed is not reused.
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(db);
            }
            result
        };
        tokio::task::spawn_blocking(read).await.map_err(|e| StoreError::Unavailable(e.to_string()))?
    }
}
