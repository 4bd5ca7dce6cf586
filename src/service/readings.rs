//! When the provider's message list is read, and from which time on.

use crate::domain::Message;
use chrono::{DateTime, Utc};
use std::time::Duration;

/// Whether the provider's list can identify the message: media without a text are not in it.
pub(super) fn is_comparable(unknown: &Message) -> bool {
    !unknown.outbound.text.content.body.trim().is_empty()
}

/// When the message was attempted, at the latest: if the clock has been set back since, that was before it was first
/// missing from the list.
pub(super) fn attempted_by(unknown: &Message) -> DateTime<Utc> {
    let attempted_at = unknown.attempted_at();
    unknown.status.absent_at.map_or(attempted_at, |absent_at| absent_at.min(attempted_at))
}

/// The earlier readings of the provider's list.
#[derive(Debug, Default)]
pub(super) struct Readings {
    last: Option<DateTime<Utc>>,
    /// The number of failed readings since the last complete one.
    pub(super) failures: u32,
}

impl Readings {
    /// The start of the list to be read now; `None`: it is not read now, or it could not decide anything.
    ///
    /// A long list is less likely to be read completely. So each failure halves the messages to look for: the later ones
    /// stay.
    pub(super) fn since(
        &mut self,
        unknown: &[Message],
        now: DateTime<Utc>,
        pause: Duration,
    ) -> Option<DateTime<Utc>> {
        if self.last.is_some_and(|last| last <= now && now < last + pause) {
            return None;
        }
        let comparable = unknown.iter().filter(|unknown| is_comparable(unknown));
        let mut attempts: Vec<DateTime<Utc>> =
            comparable.map(|unknown| attempted_by(unknown).min(now)).collect();
        attempts.sort_unstable();
        let kept = (attempts.len() >> self.failures.min(31)).max(1);
        let since = attempts.get(attempts.len().saturating_sub(kept)).copied()?;
        self.last = Some(now);
        Some(since)
    }
}
