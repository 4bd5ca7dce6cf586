//! The files of an open database.

use crate::store::{Result, StoreError};
use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
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

/// Creates the folder and the file if they are missing, and lets nobody but their owner read them. The write-ahead log and
/// its index get the mode of the file from SQLite; an earlier release left them readable for others.
///
/// # Errors
/// When the folder cannot be created. SQLite reports a file that cannot.
pub(super) fn create_private(database: &Path) -> std::result::Result<(), (PathBuf, io::Error)> {
    if let Some(folder) = database.parent() {
        let create = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        create.map_err(|error| (folder.to_owned(), error))?;
    }
    let _ = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(database);
    for path in paths(database) {
        let Ok(file) = fs::metadata(&path) else { continue };
        let mode = file.mode() & 0o7777;
        if file.is_file() && mode & 0o077 != 0 {
            // It may be another user's.
            let _ = fs::set_permissions(path, fs::Permissions::from_mode(mode & !0o077));
        }
    }
    Ok(())
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
