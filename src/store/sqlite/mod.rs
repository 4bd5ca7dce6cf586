//! The SQLite backend: one file, for local and single-machine use.

mod checkpointer;
mod erasure;
mod files;
mod free_list;
mod history;
mod message_row;
mod messages;
mod not_delivered;
mod open;
mod opt_outs;
mod outbox;
mod person_hash;
mod pool;
mod readers;
mod rows;
mod scrub;
mod session_row;
mod sessions;
mod snapshot;
mod writer;

pub use open::OpenError;

use super::Store;
use checkpointer::Checkpointer;
use files::Files;
use readers::Readers;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use writer::Writer;

/// A store in one SQLite file.
///
/// Several processes may open the same file. A call waits at most about two seconds for another's lock. Every call fails
/// once a file of the database has been removed or replaced.
#[derive(Debug, Clone)]
pub struct Sqlite {
    writer: Arc<Writer>,
    readers: Arc<Readers>,
    /// What a sender is told whose text is not delivered; empty: nothing.
    not_delivered_notice: Arc<str>,
}

impl Sqlite {
    /// Opens the file, which is created if it is missing, migrates its schema, and writes to it.
    ///
    /// # Errors
    /// When the file can't be created or written, is damaged, or belongs to something else or to a newer version.
    pub fn open(path: impl AsRef<Path>) -> std::result::Result<Self, OpenError> {
        let path = PathBuf::from(path.as_ref());
        let db = open::open(&path)?;
        let other = |e: std::io::Error| OpenError::Other(path.clone(), e.to_string());
        let files = Files::of(&path).map_err(other)?;
        let unopened = |e: String| OpenError::Other(path.clone(), e);
        let log = open::connect(&path).map_err(|e| unopened(open::describe(&e)))?;
        let checkpointer = Checkpointer::start(log, files.clone()).map_err(|e| unopened(e.to_string()))?;
        let writer = Writer::start(db, files.clone(), checkpointer).map_err(other)?;
        let (writer, readers) = (Arc::new(writer), Arc::new(Readers::new(path, files)));
        Ok(Self { writer, readers, not_delivered_notice: "".into() })
    }

    /// The connections for reading, which see every write up to now.
    async fn reading(&self) -> &Readers {
        self.writer.flush().await;
        &self.readers
    }

    /// Removes the files of a database, if they exist.
    ///
    /// # Errors
    /// When a file can't be removed.
    pub fn remove(path: impl AsRef<Path>) -> std::io::Result<()> {
        for file in files::paths(path.as_ref()) {
            match std::fs::remove_file(file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Store for Sqlite {
    fn telling_senders(self: Arc<Self>, words: &str) -> Arc<dyn Store> {
        Arc::new(Self { not_delivered_notice: words.into(), ..Self::clone(&self) })
    }

    fn name(&self) -> &'static str {
        "sqlite"
    }
}
