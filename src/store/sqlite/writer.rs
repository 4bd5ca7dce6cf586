//! The writer thread, with group commit: all waiting writes share one transaction, so that a hundred concurrent texts cost
//! one disk sync. Each write is acknowledged only after that sync.

use super::{files::Files, rows::run};
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

/// Sends a caller the result of its write when the transaction has ended.
type Reply = Box<dyn FnOnce(std::result::Result<(), StoreError>) + Send>;

trait Write: Send {
    /// Runs the write. Returns the reply, and whether the write is kept.
    fn run(self: Box<Self>, db: &Connection) -> (Reply, bool);
    fn refuse(self: Box<Self>, error: StoreError);
    fn is_abandoned(&self) -> bool;
    /// Whether its success shows that a text can be stored.
    fn is_proof(&self) -> bool;
}

struct Job<T, F> {
    work: F,
    is_proof: bool,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Write for Job<T, F>
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T> + Send + 'static,
{
    fn run(self: Box<Self>, db: &Connection) -> (Reply, bool) {
        let Self { work, reply, .. } = *self;
        let result = work(db);
        let keep = result.is_ok();
        let send = move |end: std::result::Result<(), StoreError>| {
            // If the caller was dropped, the write is kept all the same.
            let _ = reply.send(result.and_then(|value| end.map(|()| value)));
        };
        (Box::new(send), keep)
    }

    fn refuse(self: Box<Self>, error: StoreError) {
        let _ = self.reply.send(Err(error));
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

/// A handle to the writer thread. Dropping it waits until the thread has finished the queue and closed its connection, so
/// that a stopped process leaves no write-ahead log.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Queued>>,
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

impl std::fmt::Debug for Queued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queued")
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
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        self.enqueue(work, true).await
    }

    /// The same for work that may write little or nothing: it may succeed although the disk has no room for a text.
    pub(super) async fn write_little<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        self.enqueue(work, false).await
    }

    async fn enqueue<T, F>(&self, work: F, is_proof: bool) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let _timer = Timer::start(Call::StoreWrite);
        let (reply, result) = oneshot::channel();
        let queued = Queued { since: Instant::now(), write: Box::new(Job { work, is_proof, reply }) };
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        let permit = tokio::time::timeout(limits::SQLITE_QUEUE, queue.reserve()).await.map_err(|_| busy())?;
        permit.map_err(|_| stopped())?.send(queued);
        result.await.map_err(|_| stopped())?
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

fn serve(mut database: Database, mut jobs: mpsc::Receiver<Queued>) {
    let mut batch = Vec::with_capacity(BATCH);
    while let Some(first) = jobs.blocking_recv() {
        batch.push(first);
        while batch.len() < BATCH
            && let Ok(next) = jobs.try_recv()
        {
            batch.push(next);
        }
        let (late, now): (Vec<_>, Vec<_>) = batch
            .drain(..)
            .filter(|queued: &Queued| !queued.write.is_abandoned())
            .partition(|queued| queued.since.elapsed() > limits::SQLITE_QUEUE);
        for queued in late {
            queued.write.refuse(busy());
        }
        database.commit_together(now);
    }
}

impl Database {
    fn commit_together(&mut self, batch: Vec<Queued>) {
        if batch.is_empty() {
            return;
        }
        let begun = self.files.check().and_then(|()| {
            self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(StoreError::from)
        });
        let transaction = match begun {
            Ok(transaction) => transaction,
            Err(error) => {
                self.last.keep(Err(error.clone()));
                batch.into_iter().for_each(|queued| queued.write.refuse(error.clone()));
                return;
            }
        };
        let is_proof = batch.iter().any(|queued| queued.write.is_proof());
        let mut replies = Vec::with_capacity(batch.len());
        let mut broken = None;
        for queued in batch {
            if broken.is_none() {
                match run_one(&transaction, queued.write) {
                    Ok(reply) => replies.push(reply),
                    Err((error, reply)) => {
                        replies.extend(reply);
                        broken = Some(error);
                    }
                }
            } else if let Some(error) = &broken {
                queued.write.refuse(error.clone());
            }
        }
        let end = match broken {
            // Dropping the transaction rolls back what SQLite has not rolled back itself.
            Some(error) => Err(error),
            None => transaction.commit().map_err(StoreError::from).and_then(|()| self.files.check()),
        };
        if is_proof || end.is_err() {
            self.last.keep(end.clone());
        }
        for reply in replies {
            reply(end.clone());
        }
    }
}

/// Runs one write inside a savepoint of its own. `Err`: the whole transaction is lost.
fn run_one(
    transaction: &Connection,
    write: Box<dyn Write>,
) -> std::result::Result<Reply, (StoreError, Option<Reply>)> {
    if let Err(error) = run(transaction, "SAVEPOINT write_one", []) {
        write.refuse(error.clone());
        return Err((error, None));
    }
    let (reply, keep) = write.run(transaction);
    // On a full disk, for example, SQLite rolls back the whole transaction.
    if transaction.is_autocommit() {
        return Err((StoreError::Unavailable("the transaction was rolled back".into()), Some(reply)));
    }
    let rolled_back = if keep { Ok(0) } else { run(transaction, "ROLLBACK TO write_one", []) };
    match rolled_back.and_then(|_| run(transaction, "RELEASE write_one", [])) {
        Ok(_) => Ok(reply),
        Err(error) => Err((error, Some(reply))),
    }
}
