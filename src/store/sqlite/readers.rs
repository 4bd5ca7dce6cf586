//! Connections for reading. In WAL mode readers and the writer do not wait for each other, and a read that begins
//! after a write was answered sees it.

use super::open::connect;
use crate::store::{Result, StoreError};
use rusqlite::Connection;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Semaphore, time::timeout};

/// How many reads run at the same time; further ones wait.
const AT_ONCE: usize = 4;
/// How long a read may wait for its turn.
const QUEUE_LIMIT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    places: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Arc::default(), places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Runs `work` in one read transaction, away from the async threads.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let place = timeout(QUEUE_LIMIT, Arc::clone(&self.places).acquire_owned());
        let place = place.await.map_err(|_| StoreError::Unavailable("too many reads are waiting".into()))?;
        let (path, idle) = (self.path.clone(), Arc::clone(&self.idle));
        let read = move || {
            // Held until the read is done, whether or not somebody still waits for it.
            let _place = place;
            let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut db = match kept {
                Some(db) => db,
                None => connect(&path)?,
            };
            let transaction = db.transaction()?;
            let result = work(&transaction);
            transaction.finish()?;
            if result.is_ok() {
                // A connection that failed is not kept: the next read opens a fresh one.
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(db);
            }
            result
        };
        tokio::task::spawn_blocking(read).await.map_err(|e| StoreError::Unavailable(e.to_string()))?
    }
}
