//! Log lines of calls whose caller has shown no key and no token: one a second at most, so that strangers cannot fill the
//! log.

use crate::limits;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// The calls that have no line of their own yet, by the reason of their refusal.
#[derive(Default)]
pub(super) struct Anonymous(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    last_line: Option<Instant>,
    calls: BTreeMap<&'static str, u64>,
}

impl Anonymous {
    /// Whether such a call gets a line of its own. If not, it is counted, and a line with the counts follows.
    pub(super) fn has_own_line(self: &Arc<Self>, reason: &'static str) -> bool {
        let mut counts = self.counts();
        if counts.calls.is_empty()
            && counts.last_line.is_none_or(|last| last.elapsed() >= limits::ANONYMOUS_LINE)
        {
            counts.last_line = Some(Instant::now());
            return true;
        }
        if counts.calls.is_empty() {
            let anonymous = Arc::downgrade(self);
            tokio::spawn(async move {
                tokio::time::sleep(limits::ANONYMOUS_LINE).await;
                if let Some(anonymous) = anonymous.upgrade() {
                    anonymous.write();
                }
            });
        }
        *counts.calls.entry(reason).or_default() += 1;
        false
    }

    fn write(&self) {
        let mut counts = self.counts();
        counts.last_line = Some(Instant::now());
        let calls = std::mem::take(&mut counts.calls);
        drop(counts);
        let calls: Vec<String> = calls.iter().map(|(reason, count)| format!("{reason}: {count}")).collect();
        if !calls.is_empty() {
            tracing::info!(calls = calls.join(", "), "more calls without a key or token were answered");
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Anonymous {
    fn drop(&mut self) {
        self.write();
    }
}
