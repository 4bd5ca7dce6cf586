//! The SQLite backend: one file, for local and single-machine use.

mod free_list;
mod history;
mod messages;
mod open;
mod opt_outs;
mod outbox;
mod pool;
mod readers;
mod rows;
mod sessions;
mod snapshot;
mod writer;

pub use open::OpenError;

use readers::Readers;
use std::path::{Path, PathBuf};
use writer::Writer;

/// A store in one SQLite file.
///
/// Several processes may open the same file. A call waits at most about two seconds for another's lock.
#[derive(Debug)]
pub struct Sqlite {
    writer: Writer,
    readers: Readers,
}

impl Sqlite {
    /// Opens the file, which is created if it is missing, and migrates its schema.
    ///
    /// # Errors
    /// When the file can't be created, is damaged, or belongs to something else or to a newer version.
    pub fn open(path: impl AsRef<Path>) -> std::result::Result<Self, OpenError> {
        let path = PathBuf::from(path.as_ref());
        let db = open::open(&path)?;
        let writer = Writer::start(db).map_err(|e| OpenError::Other(path.clone(), e.to_string()))?;
        Ok(Self { writer, readers: Readers::new(path) })
    }

    /// Removes the files of a database, if they exist.
    ///
    /// # Errors
    /// When a file can't be removed.
    pub fn remove(path: impl AsRef<Path>) -> std::io::Result<()> {
        for suffix in ["", "-wal", "-shm"] {
            let mut file = path.as_ref().as_os_str().to_owned();
            file.push(suffix);
            match std::fs::remove_file(file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}
