//! Connections for reading. In WAL mode readers and the writer do not wait for each other, and a read that begins
//! after a write was answered sees it.

use super::open::connect;
use crate::store::{Result, StoreError};
use rusqlite::Connection;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Semaphore;

/// How many reads run at the same time; further ones wait.
const AT_ONCE: usize = 4;

#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    places: Semaphore,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Arc::default(), places: Semaphore::new(AT_ONCE) }
    }

    /// Runs `work` in one read transaction, away from the async threads.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let _place = self.places.acquire().await.map_err(|e| StoreError::Unavailable(e.to_string()))?;
        let (path, idle) = (self.path.clone(), Arc::clone(&self.idle));
        let read = move || {
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
