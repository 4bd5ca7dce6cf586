//! Connections for reading. In WAL mode readers and the writer do not block each other, and a read sees every write that
//! was acknowledged before it began.

use super::{files::Files, open::connect};
use crate::{
    domain::{Page, Part},
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

/// The maximum number of concurrent reads; further ones wait. Lists take four of them at most: one of each kind, and a long
/// one.
const CONCURRENCY: usize = 6;
/// How many elements of a list are read before it counts as long.
const SHORT: u32 = 250;

/// The kinds of lists. None waits for another.
#[derive(Debug, Clone, Copy)]
pub(super) enum List {
    Pool,
    Sessions,
    Messages,
}

#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    files: Files,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
    lists: [Arc<Semaphore>; 3],
    long_lists: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, files: Files) -> Self {
        Self {
            path,
            files,
            idle: Arc::default(),
            permits: Arc::new(Semaphore::new(CONCURRENCY)),
            lists: std::array::from_fn(|_| Arc::new(Semaphore::new(1))),
            long_lists: Arc::new(Semaphore::new(1)),
        }
    }

    /// Reads a page of a list in the lane of its kind, and what it has beyond [`SHORT`] elements in that of the long ones: no
    /// short list waits for a long one, and no other read for a list.
    pub(super) async fn page<T, F>(&self, list: List, page: Page, work: F) -> Result<Part<T>>
    where
        T: Send + 'static,
        F: Fn(&Connection, &Page) -> Result<Part<T>> + Clone + Send + 'static,
    {
        let (limit, rest) = (page.limit.unwrap_or(u32::MAX), work.clone());
        let first = Page { limit: Some(limit.min(SHORT)), after: page.after };
        let mut part = self.list(list, move |db| work(db, &first)).await?;
        if limit <= SHORT || part.next.is_none() {
            return Ok(part);
        }
        let page = Page { limit: page.limit.map(|limit| limit - SHORT), after: part.next.take() };
        let rest = self.in_lane(&self.long_lists, move |db| rest(db, &page)).await?;
        part.items.extend(rest.items);
        Ok(Part { next: rest.next, ..part })
    }

    /// Reads what belongs to a list and is short.
    pub(super) async fn list<T, F>(&self, list: List, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        self.in_lane(&self.lists[list as usize], work).await
    }

    async fn in_lane<T, F>(&self, lane: &Arc<Semaphore>, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let permit = timeout(limits::STORE_OPERATION, Arc::clone(lane).acquire_owned());
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
