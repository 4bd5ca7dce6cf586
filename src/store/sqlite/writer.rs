//! The writer thread, with group commit: all waiting writes share one transaction, so that a hundred concurrent texts cost
//! one disk sync. Each write is acknowledged only after that sync.

mod job;

use super::{checkpointer::Checkpointer, files::Files, rows::run, scrub::scrub};
use crate::{
    domain::MessageId,
    limits,
    store::{Result, StoreError, last_write::LastWrite},
    telemetry::metrics::{Call, Timer},
};
use job::{Deferred, Job, Write, busy, stopped};
use rusqlite::{Connection, TransactionBehavior};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::Instant,
};
use tokio::sync::{Semaphore, oneshot};

/// The capacity of the queue; further callers wait for a permit.
const QUEUE_LENGTH: usize = 1024;
/// The maximum number of writes in one transaction.
const BATCH: usize = 256;

struct Queued {
    since: Instant,
    write: Box<dyn Write>,
}

/// What the thread is asked to do.
enum Task {
    Write(Queued),
    /// To commit the deferred writes.
    Flush(oneshot::Sender<()>),
    /// To scrub the file, outside of any transaction.
    Scrub(oneshot::Sender<Result<()>>),
}

/// A handle to the writer thread. Dropping it waits until the thread has finished the queue and closed its connection, so
/// that a stopped process leaves no write-ahead log.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Task>>,
    /// The places in the queue.
    places: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
    /// How many deferred writes are not committed.
    deferred: Arc<AtomicUsize>,
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

impl Writer {
    pub(super) fn start(db: Connection, files: Files, checkpointer: Checkpointer) -> std::io::Result<Self> {
        let (queue, tasks) = mpsc::channel();
        let (last, places) = (LastWrite::default(), Arc::new(Semaphore::new(QUEUE_LENGTH)));
        let database = Database { checkpointer, db, files, last: last.clone() };
        let inbox = Inbox { tasks, places: Arc::clone(&places) };
        let thread =
            thread::Builder::new().name("sqlite-writer".into()).spawn(move || serve(database, &inbox))?;
        Ok(Self { queue: Some(queue), places, thread: Some(thread), deferred: Arc::default(), last })
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

    /// Runs `work` on this message in the next transaction, or in one of its own after [`limits::DEFERRED_WRITE`]. Returns
    /// when it is in the queue: later writes see it, and so do reads after a [`flush`](Self::flush). Work that cannot be
    /// stored is repeated for [`limits::SETTLE_RETRY`], then its error is logged. If the process dies first, it is lost.
    pub(super) async fn write_deferred<F>(&self, message: MessageId, work: F) -> Result<()>
    where
        F: FnMut(&Connection) -> Result<()> + Send + 'static,
    {
        self.send_write(Box::new(Deferred::new(message, work, &self.deferred))).await
    }

    async fn enqueue<T, F>(&self, work: F, is_proof: bool) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T> + Send + 'static,
    {
        let _timer = Timer::start(Call::StoreWrite);
        let (reply, result) = oneshot::channel();
        self.send_write(Box::new(Job { work, is_proof, result: None, reply })).await?;
        result.await.map_err(|_| stopped())?
    }

    /// Returns when the deferred writes up to now are on disk, or have failed.
    pub(super) async fn flush(&self) {
        if self.deferred.load(Ordering::SeqCst) == 0 {
            return;
        }
        let (reply, flushed) = oneshot::channel();
        if self.send(Task::Flush(reply)).await.is_ok() {
            let _ = flushed.await;
        }
    }

    /// [Scrubs](scrub) the file. Other writes wait meanwhile.
    pub(super) async fn scrub(&self) -> Result<()> {
        let (reply, result) = oneshot::channel();
        self.send(Task::Scrub(reply)).await?;
        result.await.map_err(|_| stopped())?
    }

    async fn send_write(&self, write: Box<dyn Write>) -> Result<()> {
        self.send(Task::Write(Queued { since: Instant::now(), write })).await
    }

    async fn send(&self, task: Task) -> Result<()> {
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        let place = tokio::time::timeout(limits::SQLITE_QUEUE, self.places.acquire());
        // The thread returns the place when it takes the task.
        place.await.map_err(|_| busy())?.map_err(|_| stopped())?.forget();
        queue.send(task).map_err(|_| stopped())
    }
}

/// The tasks of the writer thread.
struct Inbox {
    tasks: mpsc::Receiver<Task>,
    places: Arc<Semaphore>,
}

/// What the thread does next.
#[derive(Default)]
struct Round {
    batch: Vec<Queued>,
    flushes: Vec<oneshot::Sender<()>>,
    scrubs: Vec<oneshot::Sender<Result<()>>>,
    /// Nothing comes any more.
    is_last: bool,
}

impl Inbox {
    /// Waits for tasks. While there are none but deferred writes, waits for others, which they then share a transaction
    /// with, until this time.
    fn next(&self, deferred: Vec<Queued>, mut until: Option<Instant>) -> Round {
        let mut round = Round { batch: deferred, ..Round::default() };
        loop {
            let first = match until {
                None => self.tasks.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(until) => self.tasks.recv_timeout(until.saturating_duration_since(Instant::now())),
            };
            round.is_last = matches!(first, Err(RecvTimeoutError::Disconnected));
            let Ok(first) = first else { return round };
            let mut is_urgent = false;
            let mut next = Some(first);
            while let Some(task) = next {
                self.places.add_permits(1);
                is_urgent |= round.add(task);
                next = if round.batch.len() < BATCH { self.tasks.try_recv().ok() } else { None };
            }
            if is_urgent || round.batch.len() >= BATCH {
                return round;
            }
            until = until.or_else(|| Some(Instant::now() + limits::DEFERRED_WRITE));
        }
    }
}

impl Round {
    /// Adds a task. Whether somebody waits for it.
    fn add(&mut self, task: Task) -> bool {
        match task {
            Task::Write(queued) => {
                let is_urgent = !queued.write.is_deferred();
                self.batch.push(queued);
                return is_urgent;
            }
            Task::Flush(reply) => self.flushes.push(reply),
            Task::Scrub(reply) => self.scrubs.push(reply),
        }
        true
    }
}

fn serve(mut database: Database, inbox: &Inbox) {
    let (mut deferred, mut until) = (Vec::new(), None);
    loop {
        let Round { batch, flushes, scrubs, is_last } = inbox.next(deferred, until);
        let is_late =
            |queued: &Queued| !queued.write.is_deferred() && queued.since.elapsed() > limits::SQLITE_QUEUE;
        let (late, now): (Vec<_>, Vec<_>) =
            batch.into_iter().filter(|queued| !queued.write.is_abandoned()).partition(is_late);
        for queued in late {
            queued.write.reply(Err(busy()));
        }
        deferred = database.commit_together(now);
        until = (!deferred.is_empty()).then(|| Instant::now() + limits::RETRY_PAUSE);
        for reply in flushes {
            let _ = reply.send(());
        }
        if !scrubs.is_empty() {
            let scrubbed = database.files.check().and_then(|()| scrub(&database.db));
            for reply in scrubs {
                let _ = reply.send(scrubbed.clone());
            }
        }
        if is_last {
            return;
        }
    }
}

/// What the writer thread owns. Its connection is the last one to be closed, which removes the write-ahead log.
struct Database {
    checkpointer: Checkpointer,
    db: Connection,
    files: Files,
    last: LastWrite,
}

impl Database {
    /// Runs the writes in one transaction, and answers those who wait for them. Returns the deferred writes that are to be
    /// repeated.
    fn commit_together(&mut self, mut batch: Vec<Queued>) -> Vec<Queued> {
        if batch.is_empty() {
            return batch;
        }
        let end = self.write_all(&mut batch);
        if end.is_err() || batch.iter().any(|queued| queued.write.is_proof()) {
            self.last.keep(end.clone());
        }
        let mut repeated = Vec::new();
        for queued in batch {
            if queued.write.may_be_repeated(&end) && queued.since.elapsed() < limits::SETTLE_RETRY {
                repeated.push(queued);
            } else {
                queued.write.reply(end.clone());
            }
        }
        repeated
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
        self.checkpointer.committed(self.db.total_changes());
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
