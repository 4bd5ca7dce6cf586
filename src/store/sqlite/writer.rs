//! The one thread that writes. Whatever waits for it goes into one transaction, so that a hundred texts at once
//! cost one sync of the disk, not a hundred; each write is answered only after that sync.

use crate::store::{Result, StoreError};
use rusqlite::{Connection, TransactionBehavior};
use std::{
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};

/// How long a write may wait for its turn before it is given up unbegun (DESIGN.md 3, Times).
const QUEUE_LIMIT: Duration = Duration::from_secs(1);
/// How many writes may wait; further callers wait for a place.
const QUEUE_LENGTH: usize = 1024;
/// How many writes share one transaction at most.
const BATCH: usize = 256;

/// Tells a caller how the transaction ended that its write was part of.
type Answer = Box<dyn FnOnce(std::result::Result<(), StoreError>) + Send>;

trait Write: Send {
    /// Does the write; whether it is to be kept, and how to answer.
    fn run(self: Box<Self>, db: &Connection) -> (Answer, bool);
    fn refuse(self: Box<Self>, error: StoreError);
    fn is_abandoned(&self) -> bool;
}

struct Job<T, F> {
    work: F,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Write for Job<T, F>
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T> + Send + 'static,
{
    fn run(self: Box<Self>, db: &Connection) -> (Answer, bool) {
        let Self { work, reply } = *self;
        let result = work(db);
        let keep = result.is_ok();
        let answer = move |end: std::result::Result<(), StoreError>| {
            // The caller may have gone; the write stands all the same.
            let _ = reply.send(result.and_then(|value| end.map(|()| value)));
        };
        (Box::new(answer), keep)
    }

    fn refuse(self: Box<Self>, error: StoreError) {
        let _ = self.reply.send(Err(error));
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}

struct Queued {
    since: Instant,
    write: Box<dyn Write>,
}

/// A handle to the writing thread. Dropping it waits until the thread has done what was asked of it and closed its
/// connection, so that a process that stops leaves one whole file behind, with no log beside it.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Queued>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked, that was said already.
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
    pub(super) fn start(db: Connection) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE_LENGTH);
        let thread = thread::Builder::new().name("sqlite-writer".into()).spawn(move || serve(db, jobs))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Runs `work` in a transaction and answers when it is on disk, or with an error when nothing of it is.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let queued = Queued { since: Instant::now(), write: Box::new(Job { work, reply }) };
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        let place = tokio::time::timeout(QUEUE_LIMIT, queue.reserve()).await.map_err(|_| busy())?;
        place.map_err(|_| stopped())?.send(queued);
        answer.await.map_err(|_| stopped())?
    }
}

fn busy() -> StoreError {
    StoreError::Unavailable("too many writes are waiting".into())
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the writing thread has stopped".into())
}

fn serve(mut db: Connection, mut jobs: mpsc::Receiver<Queued>) {
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
            .partition(|queued| queued.since.elapsed() > QUEUE_LIMIT);
        for queued in late {
            queued.write.refuse(busy());
        }
        commit_together(&mut db, now);
    }
}

fn commit_together(db: &mut Connection, batch: Vec<Queued>) {
    if batch.is_empty() {
        return;
    }
    let transaction = match db.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        Err(error) => {
            let error = StoreError::from(error);
            batch.into_iter().for_each(|queued| queued.write.refuse(error.clone()));
            return;
        }
    };
    let mut answers = Vec::with_capacity(batch.len());
    let mut broken = None;
    for queued in batch {
        if broken.is_none() {
            match run_one(&transaction, queued.write) {
                Ok(answer) => answers.push(answer),
                Err((error, answer)) => {
                    answers.extend(answer);
                    broken = Some(error);
                }
            }
        } else if let Some(error) = &broken {
            queued.write.refuse(error.clone());
        }
    }
    let end = match broken {
        // Dropping the transaction rolls back whatever SQLite has not rolled back by itself.
        Some(error) => Err(error),
        None => transaction.commit().map_err(StoreError::from),
    };
    for answer in answers {
        answer(end.clone());
    }
}

/// Runs one write inside a savepoint of its own. `Err`: the whole transaction is lost.
fn run_one(
    transaction: &Connection,
    write: Box<dyn Write>,
) -> std::result::Result<Answer, (StoreError, Option<Answer>)> {
    if let Err(error) = transaction.execute_batch("SAVEPOINT write_one") {
        let error = StoreError::from(error);
        write.refuse(error.clone());
        return Err((error, None));
    }
    let (answer, keep) = write.run(transaction);
    // A full disk and the like make SQLite roll back everything at once.
    if transaction.is_autocommit() {
        return Err((StoreError::Unavailable("the transaction was rolled back".into()), Some(answer)));
    }
    let end = if keep { "RELEASE write_one" } else { "ROLLBACK TO write_one; RELEASE write_one" };
    match transaction.execute_batch(end) {
        Ok(()) => Ok(answer),
        Err(error) => Err((StoreError::from(error), Some(answer))),
    }
}
