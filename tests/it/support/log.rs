//! What the service logs in the tests' process, kept for each thread by itself.

use std::{cell::RefCell, io, sync::Once};

thread_local! {
    static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Begins to keep what is logged. It must be the same listener for all threads, and be there before the first service
/// is: what is first said by a thread without a listener counts for `tracing` as what nobody wants to hear.
pub fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| tracing_subscriber::fmt().with_writer(|| OfThisThread).with_ansi(false).init());
}

/// What was logged on this thread, which is all of a test that has but one.
pub fn logged() -> String {
    LINES.with_borrow(|lines| String::from_utf8_lossy(lines).into_owned())
}

struct OfThisThread;

impl io::Write for OfThisThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A thread that ends may have something to say when its lines are gone.
        let _ = LINES.try_with(|lines| lines.borrow_mut().extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
