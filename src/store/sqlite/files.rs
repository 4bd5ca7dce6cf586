//! The files of an open database.

use crate::store::{Result, StoreError};
use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// The database file, its write-ahead log and the index of that.
pub(super) fn paths(database: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        path.into()
    })
}

/// The files of an open database, by which device and inode they are.
#[derive(Debug, Clone)]
pub(super) struct Files([(PathBuf, (u64, u64)); 3]);

impl Files {
    /// The files as they are now. All exist once the database has been written, until its last connection is closed.
    pub(super) fn of(database: &Path) -> io::Result<Self> {
        let [file, log, index] = paths(database).map(|path| identity(&path).map(|identity| (path, identity)));
        Ok(Self([file?, log?, index?]))
    }

    /// # Errors
    /// When a file was removed or replaced. SQLite would go on writing the old one, which no later process reads.
    pub(super) fn check(&self) -> Result<()> {
        let moved = self.0.iter().find(|(path, known)| identity(path).ok() != Some(*known));
        match moved {
            Some((path, _)) => Err(StoreError::Unavailable(format!(
                "{} was removed or replaced while the database was open; stop the service, put the right files in \
                 place, and start it again",
                path.display()
            ))),
            None => Ok(()),
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}
