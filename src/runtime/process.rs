//! What the process asks of its operating system.

use crate::limits;
use rustix::{
    fs::{FileType, Mode, fchmod, fstat},
    process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit},
};
use std::io::{Write, stdout};

/// Switches core dumps off: they would hold keys, numbers and texts.
pub fn switch_off_core_dumps() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if setrlimit(Resource::Core, none).is_err() {
        tracing::warn!("core dumps cannot be limited");
    }
}

/// Keeps the memory from a program that collects dumps, which the limit does not bind, and from other processes of this user.
pub fn hide_memory() {
    // Without it the limit of dumps stands.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Lets nobody but its owner read the file that standard output is, if it is one.
pub fn make_output_private() {
    let _ = stdout().flush();
    let is_file =
        fstat(stdout()).is_ok_and(|file| FileType::from_raw_mode(file.st_mode) == FileType::RegularFile);
    if is_file && fchmod(stdout(), Mode::RUSR | Mode::WUSR).is_err() {
        tracing::warn!("others may be able to read the export: its file belongs to another user");
    }
}

/// Raises the limit of open files as far as the process may, and returns how many connections fit: at most
/// [`limits::CONNECTIONS`], since [`limits::OTHER_FILES`] are for the database and for connections to others.
#[must_use]
pub fn connections() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // Without it there are fewer connections.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
    let Some(files) = getrlimit(Resource::Nofile).current else { return limits::CONNECTIONS };
    let connections = files.saturating_sub(limits::OTHER_FILES).max(1);
    let connections = usize::try_from(connections).unwrap_or(usize::MAX).min(limits::CONNECTIONS);
    if connections < limits::CONNECTIONS {
        tracing::warn!(files, connections, "the limit of open files (ulimit -n) allows fewer connections");
    }
    connections
}
