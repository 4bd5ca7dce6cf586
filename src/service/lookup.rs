//! The look-up: settles what is unknown by the provider's own list.
//!
//! The assumption that remains: the list is complete `lookup_settle` after an attempt.

use super::{Result, Service, maintenance::Round, outbox::LONGEST};
use crate::{
    metrics::{Event, count},
    provider::{ListError, Listed},
    store::{Others, Settlement, Unknown, readable},
};
use chrono::{DateTime, TimeDelta, Utc};
use std::{
    collections::HashSet,
    sync::{MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// By how much the provider's clock may be behind ours.
const CLOCK_SLACK: TimeDelta = TimeDelta::seconds(60);
/// How many unknown messages are looked at in one round, in parts of this size.
const AT_ONCE: u32 = 100;
const PARTS: usize = 20;
/// How long a reading may take. It is not begun with less time left than the shorter one.
const READING_LIMIT: Duration = Duration::from_secs(15);
const SHORTEST_READING: Duration = Duration::from_secs(2);

/// What the provider's list says about an unknown message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was taken, under this id.
    Found(String),
    /// It is not there.
    Absent,
    /// That can't be told, or not yet.
    Undecided,
}

/// Compares an unknown message with a whole reading of the provider's list. Rows that are credited to other messages
/// do not count.
#[must_use]
pub fn judge(unknown: &Unknown, rows: &[Listed], others: &Others, credited: &HashSet<String>) -> Verdict {
    let text = &unknown.leased.outbound.text;
    // While another is on its way between the two, its row may be taken for this one's.
    if others.sending || !is_comparable(unknown) {
        return Verdict::Undecided;
    }
    let since = unknown.attempted_at - CLOCK_SLACK;
    let mut candidates = rows
        .iter()
        .filter(|row| row.from == text.from && row.to == text.to)
        .filter(|row| row.sent_at.is_none_or(|sent_at| sent_at >= since))
        .filter(|row| !others.provider_ids.contains(&row.id) && !credited.contains(&row.id))
        .peekable();
    if candidates.peek().is_none() {
        return Verdict::Absent;
    }
    let wanted = normal(&text.content.body);
    let found = candidates.find(|row| normal(&row.body) == wanted);
    found.map_or(Verdict::Undecided, |row| Verdict::Found(row.id.clone()))
}

/// Media without words can't be told apart in a list.
fn is_comparable(unknown: &Unknown) -> bool {
    !unknown.leased.outbound.text.content.body.trim().is_empty()
}

/// A text without what a carrier may change on the way: white space and the shape of quotes.
fn normal(text: &str) -> String {
    let straight = text.replace(['‘', '’', '‚', '‛'], "'").replace(['“', '”', '„', '‟'], "\"");
    straight.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// When the provider's list was read last, and how that went.
#[derive(Debug, Default)]
pub(super) struct Readings {
    last: Option<DateTime<Utc>>,
    /// How many readings in a row did not come whole.
    failures: u32,
}

impl Readings {
    /// From when on the list is to be read now; `None`: not now, or there is nothing that it could settle.
    ///
    /// The longer a list is, the less likely it comes whole: after a failure only the later half of the messages is
    /// asked for, after another one the later half of these.
    fn since(&mut self, unknown: &[Unknown], now: DateTime<Utc>, pause: Duration) -> Option<DateTime<Utc>> {
        if self.last.is_some_and(|last| last <= now && now < last + pause) {
            return None;
        }
        let comparable = unknown.iter().filter(|unknown| is_comparable(unknown));
        let mut attempts: Vec<DateTime<Utc>> = comparable.map(|unknown| unknown.attempted_at).collect();
        attempts.sort_unstable();
        let kept = (attempts.len() >> self.failures.min(31)).max(1);
        let since = attempts.get(attempts.len().saturating_sub(kept)).copied()?;
        self.last = Some(now);
        Some(since)
    }
}

impl Service {
    /// Reads the provider's list once for all that is unknown, and settles what it can in time.
    pub(super) async fn look_up(&self, deadline: Instant, round: &mut Round) -> Result<()> {
        let now = self.now();
        let unknown = self.all_unknown(deadline).await?;
        // No time left for it is not a failed reading.
        let since = if self.may_begin(deadline - SHORTEST_READING) {
            self.readings().since(&unknown, now, self.options.lookup_settle / 10)
        } else {
            None
        };
        let rows = match since {
            Some(since) => self.read_list(since - CLOCK_SLACK, deadline).await.map(|rows| (since, rows)),
            None => None,
        };
        let mut credited = HashSet::new();
        for unknown in unknown {
            if !self.may_begin(deadline) {
                break;
            }
            let verdict = match &rows {
                Some((since, rows)) if unknown.attempted_at >= *since => {
                    let others = readable(self.store.others(&unknown.leased.outbound).await)?;
                    others.map_or(Verdict::Undecided, |others| judge(&unknown, rows, &others, &credited))
                }
                _ => Verdict::Undecided,
            };
            if let Verdict::Found(id) = &verdict {
                credited.insert(id.clone());
            }
            self.apply(&unknown, verdict, now, round).await?;
        }
        Ok(())
    }

    /// A whole reading, if it is to be had.
    async fn read_list(&self, since: DateTime<Utc>, deadline: Instant) -> Option<Vec<Listed>> {
        let limit = deadline.saturating_duration_since(Instant::now()).min(READING_LIMIT);
        let list = tokio::select! {
            list = self.provider.list(since, limit) => list,
            () = self.stopping.cancelled() => return None,
        };
        match list {
            Ok(rows) => {
                self.readings().failures = 0;
                Some(rows)
            }
            Err(ListError::Unsupported) => None,
            Err(ListError::Failed(error)) => {
                self.readings().failures += 1;
                tracing::warn!(error, "the provider's list of messages could not be read");
                None
            }
        }
    }

    fn readings(&self) -> MutexGuard<'_, Readings> {
        self.readings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn all_unknown(&self, deadline: Instant) -> Result<Vec<Unknown>> {
        let mut all: Vec<Unknown> = Vec::new();
        for _ in 0..PARTS {
            if !self.may_begin(deadline) {
                break;
            }
            let after = all.last().map(|unknown| unknown.leased.outbound.id);
            let part = self.store.unknown(AT_ONCE, after).await?;
            let more = part.len() == AT_ONCE as usize;
            all.extend(part);
            if !more {
                break;
            }
        }
        // A row goes to the one that would have to be sent again without it.
        all.sort_by_key(|unknown| (unknown.revoked, unknown.attempted_at));
        Ok(all)
    }

    async fn apply(
        &self,
        unknown: &Unknown,
        verdict: Verdict,
        now: DateTime<Utc>,
        round: &mut Round,
    ) -> Result<()> {
        let leased = &unknown.leased;
        let decided_at = unknown.attempted_at + self.options.lookup_settle;
        let settlement = match verdict {
            Verdict::Found(provider_id) => Settlement::Found { provider_id },
            Verdict::Absent if unknown.absent_at.is_some() && now >= decided_at => {
                Settlement::Waiting { due: now, reason: "the provider's list does not show it".into() }
            }
            Verdict::Absent => Settlement::SeenAbsent,
            Verdict::Undecided if now >= leased.outbound.created_at + LONGEST => Settlement::UnknownForGood,
            Verdict::Undecided => return Ok(()),
        };
        let outbound = leased.outbound.id;
        match &settlement {
            Settlement::Found { .. } => round.found += 1,
            Settlement::Waiting { .. } => round.absent += 1,
            Settlement::UnknownForGood => {
                round.given_up += 1;
                tracing::error!(%outbound, "nobody will know whether this text was sent; it is not sent again");
            }
            _ => {}
        }
        let for_good = settlement == Settlement::UnknownForGood;
        let settled = readable(self.store.settle(leased, settlement, now).await)?;
        if settled == Some(true) && for_good {
            count(Event::UnknownForGood);
        }
        Ok(())
    }
}
