//! The key of opt-outs as a process last read it.

use crate::{domain::OptOutKey, limits};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

/// The key and when it was read. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct CachedKey(Arc<Mutex<Option<(Instant, OptOutKey)>>>);

impl CachedKey {
    /// The key, unless it is to be read again: an import may have replaced it.
    pub(super) fn recent(&self) -> Option<OptOutKey> {
        let cached = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        cached.filter(|(read_at, _)| read_at.elapsed() < limits::OPT_OUT_KEY).map(|(_, key)| key)
    }

    pub(super) fn keep(&self, key: &OptOutKey) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), key.clone()));
    }
}
