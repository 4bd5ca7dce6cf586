//! Reconciles unknown outcomes with the provider's message list (docs/reliability.md#reconciliation).
//!
//! The assumption that remains: the list is complete `lookup_settle` after an attempt.

use super::{
    Result, Service,
    maintenance::Round,
    outbox::MAX_AGE,
    readings::{Readings, attempted_by, is_comparable},
};
use crate::{
    domain::{Message, Settlement},
    limits,
    provider::{ListError, Listed},
    store::{Others, skip_unreadable},
    telemetry::metrics::{Call, Timer},
};
use chrono::{DateTime, TimeDelta, Utc};
use std::{
    collections::HashSet,
    sync::{MutexGuard, PoisonError},
};
use tokio::time::Instant;

/// By how much the provider's clock may be behind ours.
const LIST_CLOCK_SKEW: TimeDelta = TimeDelta::seconds(60);
/// How many unknown messages one round looks at: this many batches of this size.
const BATCH: u32 = 100;
const MAX_BATCHES: usize = 20;

/// What the provider's message list says about an unknown message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListVerdict {
    /// It was taken, under this id.
    Found(String),
    /// It was not taken, as far as the list shows.
    Absent,
    /// The list does not decide it.
    Undecided,
}

/// Compares an unknown message with a whole reading of the provider's list. Rows that are credited to other messages
/// do not count.
#[must_use]
pub fn judge(unknown: &Message, rows: &[Listed], others: &Others, credited: &HashSet<String>) -> ListVerdict {
    let text = &unknown.outbound.text;
    // The row of another message that is being sent between the two could be mistaken for this one's.
    if others.sending || !is_comparable(unknown) {
        return ListVerdict::Undecided;
    }
    let since = attempted_by(unknown) - LIST_CLOCK_SKEW;
    let mut candidates = rows
        .iter()
        .filter(|row| row.from == text.from && row.to == text.to)
        .filter(|row| row.sent_at.is_none_or(|sent_at| sent_at >= since))
        .filter(|row| !others.provider_ids.contains(&row.id) && !credited.contains(&row.id))
        .peekable();
    if candidates.peek().is_none() {
        return ListVerdict::Absent;
    }
    let wanted = normal(&text.content.body);
    let found = candidates.find(|row| normal(&row.body) == wanted);
    found.map_or(ListVerdict::Undecided, |row| ListVerdict::Found(row.id.clone()))
}

/// Normalises what a carrier may change in a text: white space and the shape of quotes.
fn normal(text: &str) -> String {
    let straight = text.replace(['‘', '’', '‚', '‛'], "'").replace(['“', '”', '„', '‟'], "\"");
    straight.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Service {
    /// Reads the provider's list once, and settles the unknown messages that it decides.
    pub(super) async fn reconcile(&self, deadline: Instant, round: &mut Round) -> Result<()> {
        let now = self.now();
        let unknown = self.all_unknown(deadline).await?;
        // Too little time is not a failed reading.
        let since = if self.may_begin(deadline - limits::MIN_READING) {
            self.readings().since(&unknown, now, self.options.lookup_settle / 10)
        } else {
            None
        };
        let rows = match since {
            Some(since) => self.read_list(since - LIST_CLOCK_SKEW, deadline).await.map(|rows| (since, rows)),
            None => None,
        };
        let mut credited = HashSet::new();
        for unknown in unknown {
            if !self.may_begin(deadline) {
                break;
            }
            let verdict = match &rows {
                Some((since, rows)) if attempted_by(&unknown) >= *since => {
                    let others = skip_unreadable(self.store.others(&unknown.outbound).await)?;
                    others.map_or(ListVerdict::Undecided, |others| judge(&unknown, rows, &others, &credited))
                }
                _ => ListVerdict::Undecided,
            };
            if let ListVerdict::Found(id) = &verdict {
                credited.insert(id.clone());
            }
            self.apply(&unknown, verdict, now, round).await?;
        }
        Ok(())
    }

    async fn read_list(&self, since: DateTime<Utc>, deadline: Instant) -> Option<Vec<Listed>> {
        let limit = deadline.saturating_duration_since(Instant::now()).min(limits::MAX_READING);
        let timer = Timer::start(Call::ProviderList);
        let list = tokio::select! {
            list = self.provider.list(since, limit) => list,
            () = self.stopping.cancelled() => return None,
        };
        drop(timer);
        match list {
            Ok(rows) => {
                self.readings().failures = 0;
                Some(rows)
            }
            Err(ListError::Unsupported) => None,
            Err(ListError::Failed(error)) => {
                self.readings().failures += 1;
                tracing::warn!(error, "the provider's message list could not be read");
                None
            }
        }
    }

    fn readings(&self) -> MutexGuard<'_, Readings> {
        self.readings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn all_unknown(&self, deadline: Instant) -> Result<Vec<Message>> {
        let mut all: Vec<Message> = Vec::new();
        for _ in 0..MAX_BATCHES {
            if !self.may_begin(deadline) {
                break;
            }
            let after = all.last().map(|unknown| unknown.outbound.id);
            let part = self.store.unknown(BATCH, after).await?;
            let more = part.len() == BATCH as usize;
            all.extend(part);
            if !more {
                break;
            }
        }
        // Messages that would be sent again are credited first.
        all.sort_by_key(|unknown| (unknown.status.revoked, unknown.attempted_at()));
        Ok(all)
    }

    async fn apply(
        &self,
        unknown: &Message,
        verdict: ListVerdict,
        now: DateTime<Utc>,
        round: &mut Round,
    ) -> Result<()> {
        let decided_at = attempted_by(unknown) + self.options.lookup_settle;
        let settlement = match verdict {
            ListVerdict::Found(provider_id) => Settlement::Found { provider_id },
            ListVerdict::Absent if unknown.status.absent_at.is_some() && now >= decided_at => {
                Settlement::Waiting { due: now, reason: "not in the provider's message list".into() }
            }
            ListVerdict::Absent => Settlement::SeenAbsent,
            ListVerdict::Undecided if now >= unknown.outbound.created_at + MAX_AGE => {
                Settlement::UnknownForGood
            }
            ListVerdict::Undecided => return Ok(()),
        };
        let outbound = unknown.outbound.id;
        match &settlement {
            Settlement::Found { .. } => round.found += 1,
            Settlement::Waiting { .. } => round.absent += 1,
            Settlement::UnknownForGood => {
                round.given_up += 1;
                tracing::error!(%outbound, "outcome unknown for good; the message is not sent again");
            }
            _ => {}
        }
        if let Some(Some(event)) = skip_unreadable(self.store.settle(unknown, settlement, now).await)? {
            self.count_outcome(event);
        }
        Ok(())
    }
}
