//! Shows how far a long command is: a bar on a terminal, a line every ten seconds elsewhere. Nothing is shown of a command
//! that is done in a second.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sms_proxy::store::{Entry, Exported, Imported, Result, Snapshot};
use std::{
    io::{IsTerminal, Write, stderr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

/// A shorter command shows nothing.
const SHORT: Duration = Duration::from_secs(1);
/// The pauses between two lines on a terminal, where each replaces the one before, and elsewhere.
const REDRAW: Duration = Duration::from_millis(200);
const LINE: Duration = Duration::from_secs(10);
const BAR: usize = 30;

/// How far the command is. `total` is 0 while it is not known.
#[derive(Default)]
struct State {
    doing: Mutex<&'static str>,
    done: AtomicUsize,
    total: AtomicUsize,
}

impl State {
    fn begin(&self, doing: &'static str, total: usize) {
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner) = doing;
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    fn line(&self, elapsed: Duration, with_bar: bool) -> String {
        let doing = *self.doing.lock().unwrap_or_else(PoisonError::into_inner);
        let (total, seconds) = (self.total.load(Ordering::Relaxed), elapsed.as_secs());
        let done = self.done.load(Ordering::Relaxed).min(total);
        match done.checked_mul(BAR).and_then(|parts| parts.checked_div(total)) {
            None => format!("{doing}, {seconds} s"),
            Some(full) if with_bar => {
                format!("{doing} [{:-<BAR$}] {done} of {total} records, {seconds} s", "#".repeat(full))
            }
            Some(_) => format!("{doing}: {done} of {total} records, {seconds} s"),
        }
    }
}

/// Shows the progress of a command until it is dropped.
pub(crate) struct Progress {
    state: Arc<State>,
    ticker: JoinHandle<()>,
}

impl Progress {
    pub(crate) fn start(doing: &'static str) -> Self {
        let state = Arc::<State>::default();
        state.begin(doing, 0);
        Self { ticker: tokio::spawn(show(Arc::clone(&state))), state }
    }

    /// Counts the lines that are written to this.
    pub(crate) fn counting<W: Write>(&self, out: W) -> impl Write {
        Counting { out, state: Arc::clone(&self.state) }
    }

    /// Counts the records that this store exports and imports; an import is of this many at most.
    pub(crate) fn watching(&self, store: Box<dyn Snapshot>, most: Option<usize>) -> impl Snapshot {
        Watching { store, most, state: Arc::clone(&self.state) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.ticker.abort();
        if stderr().is_terminal() {
            clear();
        }
    }
}

/// Removes the line from a terminal.
fn clear() {
    let _ = write!(stderr(), "\r\x1b[K");
}

async fn show(state: Arc<State>) {
    let (start, on_terminal) = (Instant::now(), stderr().is_terminal());
    sleep(if on_terminal { SHORT } else { LINE }).await;
    loop {
        let line = state.line(start.elapsed(), on_terminal);
        if on_terminal {
            clear();
            let _ = write!(stderr(), "{line}").and_then(|()| stderr().flush());
        } else {
            let _ = writeln!(stderr(), "{line}");
        }
        sleep(if on_terminal { REDRAW } else { LINE }).await;
    }
}

struct Counting<W> {
    out: W,
    state: Arc<State>,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        let lines = bytes[..written].iter().filter(|byte| **byte == b'\n').count();
        self.state.done.fetch_add(lines, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

struct Watching {
    store: Box<dyn Snapshot>,
    most: Option<usize>,
    state: Arc<State>,
}

#[async_trait]
impl Snapshot for Watching {
    async fn export(&self, before: DateTime<Utc>) -> Result<Exported> {
        self.state.begin("reading the store", 0);
        let exported = self.store.export(before).await?;
        if let Exported::Entries(entries) = &exported {
            match self.most {
                None => self.state.begin("writing", entries.len()),
                // What an interrupted import has left is not imported again.
                Some(most) => self.state.begin("importing", most.saturating_sub(entries.len())),
            }
        }
        Ok(exported)
    }

    async fn import(&self, entries: Vec<Entry>) -> Result<Imported> {
        let count = entries.len();
        let imported = self.store.import(entries).await?;
        self.state.done.fetch_add(count, Ordering::Relaxed);
        Ok(imported)
    }
}
