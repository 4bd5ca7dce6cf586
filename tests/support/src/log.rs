//! What the service logs in this process, captured per thread.

use std::{cell::RefCell, io, sync::Once};

thread_local! {
    static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Starts capturing. All threads need the same subscriber before the first service starts: `tracing` disables a call
/// site that is first reached without one.
pub(crate) fn listen() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| tracing_subscriber::fmt().with_writer(|| ThisThread).with_ansi(false).init());
}

/// What was logged on this thread: everything, in a test with one thread.
pub fn logged() -> String {
    LINES.with_borrow(|lines| String::from_utf8_lossy(lines).into_owned())
}

struct ThisThread;

impl io::Write for ThisThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A thread may log after its thread-local lines are dropped.
        let _ = LINES.try_with(|lines| lines.borrow_mut().extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
