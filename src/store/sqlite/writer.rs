//! The writer thread, with group commit: all waiting writes share one transaction, so that a hundred concurrent texts cost
//! one disk sync. Each write is acknowledged only after that sync.

use super::{files::Files, rows::run, scrub::scrub};
use crate::{
    limits,
    store::{Result, StoreError, last_write::LastWrite},
    telemetry::metrics::{Call, Timer},
};
use rusqlite::{Connection, TransactionBehavior};
use std::{
    thread::{self, JoinHandle},
    time::Instant,
};
use tokio::sync::{mpsc, oneshot};

/// The capacity of the queue; further callers wait for a permit.
const QUEUE_LENGTH: usize = 1024;
/// The maximum number of writes in one transaction.
const BATCH: usize = 256;

trait Write: Send {
    /// Runs the write, and keeps its result. Whether it succeeded.
    fn run(&mut self, db: &Connection) -> bool;
    /// Sends the caller the result, or why its transaction has failed.
    fn reply(self: Box<Self>, end: Result<()>);
    fn is_abandoned(&self) -> bool;
    /// Whether its success shows that a text can be stored.
    fn is_proof(&self) -> bool;
}

struct Job<T, F> {
    work: F,
    is_proof: bool,
    result: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Write for Job<T, F>
where
    T: Send + 'static,
    F: FnMut(&Connection) -> Result<T> + Send + 'static,
{
    fn run(&mut self, db: &Connection) -> bool {
        let result = (self.work)(db);
        let is_ok = result.is_ok();
        self.result = Some(result);
        is_ok
    }

    fn reply(self: Box<Self>, end: Result<()>) {
        let result = match (self.result, end) {
            (Some(Ok(_)) | None, Err(error)) => Err(error),
            (Some(result), _) => result,
            (None, Ok(())) => Err(stopped()),
        };
        // If the caller was dropped, the write is kept all the same.
        let _ = self.reply.send(result);
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn is_proof(&self) -> bool {
        self.is_proof
    }
}

struct Queued {
    since: Instant,
    write: Box<dyn Write>,
}

/// What the thread is asked to do.
enum Task {
    Write(Queued),
    /// To scrub the file, outside of any transaction.
    Scrub(oneshot::Sender<Result<()>>),
}

/// A handle to the writer thread. Dropping it waits until the thread has finished the queue and closed its connection, so
/// that a stopped process leaves no write-ahead log.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Task>>,
    thread: Option<JoinHandle<()>>,
    last: LastWrite,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic has been reported already.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Task")
    }
}

impl Writer {
    pub(super) fn start(db: Connection, files: Files) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE_LENGTH);
        let last = LastWrite::default();
        let database = Database { db, files, last: last.clone() };
        let thread =
            thread::Builder::new().name("sqlite-writer".into()).spawn(move || serve(database, jobs))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), last })
    }

    /// The outcome of the last transaction, if it was recent.
    pub(super) fn last_write(&self) -> Option<Result<()>> {
        self.last.recent()
    }

    /// Runs `work` in a transaction; returns when it is on disk. After an error nothing of it is stored.
    ///
    /// `work` runs again, as if for the first time, if another write of the transaction has to be undone.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T> + Send + 'static,
    {
        self.enqueue(work, true).await
    }

    /// The same for work that may write little or nothing: it may succeed although the disk has no room for a text.
    pub(super) async fn write_little<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T> + Send + 'static,
    {
        self.enqueue(work, false).await
    }

    async fn enqueue<T, F>(&self, work: F, is_proof: bool) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T> + Send + 'static,
    {
        let _timer = Timer::start(Call::StoreWrite);
        let (reply, result) = oneshot::channel();
        let write = Box::new(Job { work, is_proof, result: None, reply });
        self.send(Task::Write(Queued { since: Instant::now(), write })).await?;
        result.await.map_err(|_| stopped())?
    }

    /// [Scrubs](scrub) the file. Other writes wait meanwhile.
    pub(super) async fn scrub(&self) -> Result<()> {
        let (reply, result) = oneshot::channel();
        self.send(Task::Scrub(reply)).await?;
        result.await.map_err(|_| stopped())?
    }

    async fn send(&self, task: Task) -> Result<()> {
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        let permit = tokio::time::timeout(limits::SQLITE_QUEUE, queue.reserve()).await.map_err(|_| busy())?;
        permit.map_err(|_| stopped())?.send(task);
        Ok(())
    }
}

fn busy() -> StoreError {
    StoreError::Unavailable("too many writes are waiting".into())
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the writer thread has stopped".into())
}

/// What the writer thread owns.
struct Database {
    db: Connection,
    files: Files,
    last: LastWrite,
}

fn serve(mut database: Database, mut tasks: mpsc::Receiver<Task>) {
    let mut batch = Vec::with_capacity(BATCH);
    while let Some(first) = tasks.blocking_recv() {
        let (mut scrubs, mut next) = (Vec::new(), Some(first));
        while let Some(task) = next {
            match task {
                Task::Write(queued) => batch.push(queued),
                Task::Scrub(reply) => scrubs.push(reply),
            }
            next = if batch.len() < BATCH { tasks.try_recv().ok() } else { None };
        }
        let (late, now): (Vec<_>, Vec<_>) = batch
            .drain(..)
            .filter(|queued: &Queued| !queued.write.is_abandoned())
            .partition(|queued| queued.since.elapsed() > limits::SQLITE_QUEUE);
        for queued in late {
            queued.write.reply(Err(busy()));
        }
        database.commit_together(now);
        if !scrubs.is_empty() {
            let scrubbed = database.files.check().and_then(|()| scrub(&database.db));
            for reply in scrubs {
                let _ = reply.send(scrubbed.clone());
            }
        }
    }
}

impl Database {
    fn commit_together(&mut self, mut batch: Vec<Queued>) {
        if batch.is_empty() {
            return;
        }
        let end = self.write_all(&mut batch);
        if end.is_err() || batch.iter().any(|queued| queued.write.is_proof()) {
            self.last.keep(end.clone());
        }
        for queued in batch {
            queued.write.reply(end.clone());
        }
    }

    /// Runs all writes in one transaction. `Err`: nothing of it is stored.
    fn write_all(&mut self, batch: &mut [Queued]) -> Result<()> {
        self.files.check()?;
        let mut transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if !run_together(&transaction, batch)? {
            transaction.rollback()?;
            transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for queued in batch {
                run_alone(&transaction, queued.write.as_mut())?;
            }
        }
        transaction.commit()?;
        self.files.check()
    }
}

/// Runs the writes without savepoints, of which each costs a copy of every page that is changed in it. `false`: one of
/// them failed after it had changed something.
fn run_together(transaction: &Connection, batch: &mut [Queued]) -> Result<bool> {
    for queued in batch {
        let before = transaction.total_changes();
        let succeeded = queued.write.run(transaction);
        check_not_lost(transaction)?;
        if !succeeded && transaction.total_changes() != before {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Runs one write inside a savepoint of its own.
fn run_alone(transaction: &Connection, write: &mut dyn Write) -> Result<()> {
    run(transaction, "SAVEPOINT write_one", [])?;
    let succeeded = write.run(transaction);
    check_not_lost(transaction)?;
    if !succeeded {
        run(transaction, "ROLLBACK TO write_one", [])?;
    }
    run(transaction, "RELEASE write_one", []).map(drop)
}

/// On a full disk, for example, SQLite rolls back the whole transaction.
fn check_not_lost(transaction: &Connection) -> Result<()> {
    match transaction.is_autocommit() {
        true => Err(StoreError::Unavailable("the transaction was rolled back".into())),
        false => Ok(()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests;
