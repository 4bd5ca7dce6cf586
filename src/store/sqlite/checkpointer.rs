//! Writes the write-ahead log back into the database, beside the writer, which would else wait for it.

use super::files::Files;
use crate::store::{Result, StoreError};
use rusqlite::Connection;
use std::{
    sync::mpsc::{SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

/// The log is written back each time that so many rows were changed. A page that several of them are on is written once.
const CHANGES: u64 = 1000;

/// A handle to the thread. Dropping it waits until the thread has closed its connection.
#[derive(Debug)]
pub(super) struct Checkpointer {
    signal: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// The writer's number of changes at the last signal.
    changes: u64,
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.signal = None;
        if let Some(thread) = self.thread.take() {
            // A panic has been reported already.
            let _ = thread.join();
        }
    }
}

impl Checkpointer {
    /// Starts the thread, with a connection of its own. It opens the files now: they may be replaced later.
    pub(super) fn start(db: Connection, files: Files) -> Result<Self> {
        write_back(&db)?;
        let (signal, signals) = sync_channel(1);
        let work = move || {
            for () in signals {
                // The log begins again only at a moment at which all of it is written back. For that, and if this fails,
                // the writer does what is left once the log is long (`wal_autocheckpoint`).
                if let Err(error) = files.check().and_then(|()| write_back(&db)) {
                    tracing::debug!(%error, "write-ahead log not written back");
                }
            }
        };
        let thread = thread::Builder::new().name("sqlite-log".into()).spawn(work);
        let thread = thread.map_err(|e| StoreError::Unavailable(e.to_string()))?;
        Ok(Self { signal: Some(signal), thread: Some(thread), changes: 0 })
    }

    /// To be called after each commit, with the number of changes up to then.
    pub(super) fn committed(&mut self, changes: u64) {
        if changes - self.changes >= CHANGES
            && let Some(signal) = &self.signal
        {
            self.changes = changes;
            // If it is full, the thread begins anew once it has finished.
            let _ = signal.try_send(());
        }
    }
}

fn write_back(db: &Connection) -> Result<()> {
    Ok(db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
}
