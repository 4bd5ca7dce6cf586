//! The sweep for messages whose sender died: it reads the leases in the order in which they end, each of them about twice.
//!
//! A message that is settled by its sender keeps its entry in [`BY_PENDING`](keys::BY_PENDING), since removing it would cost
//! a write. So most entries of [`State::Sending`] are of settled messages. A cursor says how far they were read. It
//! stays [`CLOCK_TOLERANCE`] behind, so that an index that lags, or a clock that differs, hides no message.

use super::{
    Dynamo,
    change::Change,
    item::{Item, VERSION},
    keys::{self, BY_PENDING, EXPIRY, PENDING_SHARDS},
    messages,
};
use crate::{
    domain::{CLOCK_TOLERANCE, State},
    store::{Result, StoreError, skip_unreadable},
};
use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::time::Instant;

/// The number of entries that are read together: those of one BatchGetItem.
const PAGE: usize = 100;
/// The number of messages of a shard that are reclaimed concurrently.
const CONCURRENCY: usize = 8;

/// How far the shards were swept, as it was read.
struct Cursor {
    /// Of each shard: every lease that ends earlier was seen to. Empty: none was.
    swept_until: Vec<DateTime<Utc>>,
    /// Changes with every write of the cursor.
    token: Option<String>,
}

impl Cursor {
    /// Where the sweep of a shard begins. A cursor that is ahead was written by a clock that has been set back since: leases
    /// that end before it may be newer than it.
    fn start(&self, shard: u32, now: DateTime<Utc>) -> DateTime<Utc> {
        let swept_until = self.swept_until.get(shard as usize).copied();
        swept_until.filter(|until| *until <= now).unwrap_or(DateTime::UNIX_EPOCH)
    }

    fn is_ahead(&self, now: DateTime<Utc>) -> bool {
        self.swept_until.iter().any(|until| *until > now)
    }
}

/// The bounds of a sweep, for all shards together.
struct Bounds {
    now: DateTime<Utc>,
    /// No read and no write starts later.
    deadline: Instant,
    /// How many more messages may be reclaimed.
    left: AtomicUsize,
}

impl Bounds {
    fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Takes up to so many of the messages that may be reclaimed.
    fn take(&self, wanted: usize) -> usize {
        let take = |left: usize| Some(left.saturating_sub(wanted));
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
        left.unwrap_or_else(|left| left).min(wanted)
    }
}

/// What was done with the entries of a shard, or of a page of them.
#[derive(Default)]
struct Swept {
    reclaimed: usize,
    /// When the first lease ends that is still to be seen to, if one is left.
    held: Option<DateTime<Utc>>,
    /// The rest was not looked at.
    ended_early: bool,
    failed: Option<StoreError>,
}

impl Swept {
    fn hold(&mut self, entry: &Item) {
        let at = lease_end(entry).unwrap_or(DateTime::UNIX_EPOCH);
        self.held = Some(self.held.map_or(at, |held| held.min(at)));
    }

    fn add(&mut self, page: Self) {
        self.reclaimed += page.reclaimed;
        self.held = [self.held, page.held].into_iter().flatten().min();
        self.ended_early |= page.ended_early;
        self.failed = self.failed.take().or(page.failed);
    }
}

/// Which entries of a shard are read, by their sort keys.
struct Range {
    from: String,
    until: String,
    backwards: bool,
}

impl Dynamo {
    /// Makes at most `limit` messages `unknown` whose lease has expired, or began by a clock that has been set back since.
    /// Starts nothing after the deadline.
    pub(super) async fn sweep(&self, limit: usize, now: DateTime<Utc>, deadline: Instant) -> Result<usize> {
        let cursor = self.cursor().await?;
        if cursor.is_ahead(now) {
            tracing::warn!(
                "the clock is more than a minute behind that of an earlier sweep for expired leases; all are read again"
            );
        }
        let bounds = Bounds { now, deadline, left: AtomicUsize::new(limit) };
        let shards =
            (0..PENDING_SHARDS).map(|shard| self.sweep_shard(shard, cursor.start(shard, now), &bounds));
        let ahead = (0..PENDING_SHARDS).map(|shard| self.sweep_ahead(shard, &bounds));
        let (shards, ahead) = tokio::join!(join_all(shards), join_all(ahead));
        let (mut all, mut swept_until, mut is_new) = (Swept::default(), Vec::new(), false);
        for (swept, until, passed) in shards {
            all.add(swept);
            swept_until.push(until);
            is_new |= passed;
        }
        ahead.into_iter().for_each(|swept| all.add(swept));
        // A sweep that has passed no entry would say nothing new.
        if is_new && let Err(error) = self.move_cursor(swept_until, cursor).await {
            all.failed = all.failed.or(Some(error));
        }
        match all.failed {
            Some(error) if all.reclaimed == 0 => return Err(error),
            Some(error) => tracing::warn!(%error, all.reclaimed, "reclaim ended early"),
            None => {}
        }
        Ok(all.reclaimed)
    }

    /// Whether a session has expired, or a message is pending, or was in the last minutes.
    pub(super) async fn is_any_pending(&self, now: DateTime<Utc>) -> Result<bool> {
        let cursor = self.cursor().await?;
        let expired = format!("{EXPIRY}#{}~", keys::sortable(now));
        let queries = (0..PENDING_SHARDS).flat_map(|shard| {
            let query = self.calls.query(&BY_PENDING, keys::pending_shard(shard));
            // The other states sort after `Sending`.
            let messages = query.clone().sk(">=", lease_sk(cursor.start(shard, now)));
            [query.sk("<", &expired), messages]
        });
        let mut is_any = false;
        for entries in join_all(queries.map(|query| query.one_page(1))).await {
            // An entry of a newer release is for the closer look.
            is_any |= skip_unreadable(entries)?.is_none_or(|entries| !entries.is_empty());
        }
        Ok(is_any)
    }

    async fn cursor(&self) -> Result<Cursor> {
        let item = skip_unreadable(self.calls.get(keys::sweep_cursor(VERSION)).await)?.flatten();
        let Some(item) = item else { return Ok(Cursor { swept_until: Vec::new(), token: None }) };
        let swept_until = skip_unreadable(item.get("swept_until"))?.unwrap_or_default();
        Ok(Cursor { swept_until, token: item.get("write_token")? })
    }

    /// Stores how far the shards were swept, unless somebody has moved the cursor meanwhile.
    async fn move_cursor(&self, swept_until: Vec<DateTime<Utc>>, read: Cursor) -> Result<()> {
        let change = Change::upsert(keys::sweep_cursor(VERSION));
        let change = change.when_equal("write_token", read.token).set("swept_until", swept_until);
        self.calls.write(vec![change]).await.map(|_moved_or_not| ())
    }

    /// Sweeps the leases of a shard that end from then on until now. Also returns up to when each of them was seen to, and
    /// whether that is past one of them.
    async fn sweep_shard(
        &self,
        shard: u32,
        start: DateTime<Utc>,
        bounds: &Bounds,
    ) -> (Swept, DateTime<Utc>, bool) {
        let until = format!("{}~", lease_sk(bounds.now));
        let range = Range { from: lease_sk(start), until, backwards: false };
        let (swept, first, last) = self.sweep_range(shard, range, bounds).await;
        let done = if swept.ended_early { last.unwrap_or(start) } else { bounds.now };
        let done = swept.held.map_or(done, |held| held.min(done));
        let done = done.min(bounds.now - CLOCK_TOLERANCE).max(start);
        (swept, done, first.is_some_and(|first| first < done))
    }

    /// Sweeps the leases of a shard that end later than any that begins now. In this order the cursor is of no use.
    async fn sweep_ahead(&self, shard: u32, bounds: &Bounds) -> Swept {
        let from = lease_sk(bounds.now + CLOCK_TOLERANCE);
        let range = Range { from, until: format!("{}#~", State::Sending.as_str()), backwards: true };
        self.sweep_range(shard, range, bounds).await.0
    }

    /// Sweeps the entries in this range, page by page. Also returns when the first and the last lease end that were looked
    /// at.
    async fn sweep_range(
        &self,
        shard: u32,
        mut range: Range,
        bounds: &Bounds,
    ) -> (Swept, Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        let (mut swept, mut first, mut last) = (Swept::default(), None, None);
        while !swept.ended_early {
            let query = self.calls.query(&BY_PENDING, keys::pending_shard(shard));
            let query = query.between(&range.from, &range.until).backwards(range.backwards).limit(PAGE);
            // Those of a newer release too: they are passed.
            let page = match query.keep(|entry| Ok(Some(Item(entry)))).await {
                Ok(page) => page,
                Err(error) => {
                    swept.add(Swept { ended_early: true, failed: Some(error), ..Swept::default() });
                    break;
                }
            };
            swept.add(self.reclaim_page(&page, bounds).await);
            first = first.or_else(|| page.first().and_then(lease_end));
            last = page.last().and_then(lease_end).or(last);
            let Some(end) = page.last().filter(|_| page.len() >= PAGE) else { break };
            match (end.get::<String>("pending_sk"), range.backwards) {
                (Ok(sk), true) => range.until = sk,
                (Ok(sk), false) => range.from = format!("{sk}!"),
                (Err(_), _) => break,
            }
            swept.ended_early |= bounds.is_late();
        }
        (swept, first, last)
    }

    /// Reclaims those messages of these entries whose sender died.
    async fn reclaim_page(&self, page: &[Item], bounds: &Bounds) -> Swept {
        let mut swept = Swept::default();
        let changes = match self.reclaiming(page, bounds.now).await {
            Ok(changes) => changes,
            Err(error) => {
                page.first().into_iter().for_each(|entry| swept.hold(entry));
                return Swept { ended_early: true, failed: Some(error), ..swept };
            }
        };
        for together in changes.chunks(CONCURRENCY) {
            let taken = if swept.ended_early || bounds.is_late() { 0 } else { bounds.take(together.len()) };
            let (now, later) = together.split_at(taken);
            later.iter().for_each(|(entry, _)| swept.hold(entry));
            swept.ended_early |= !later.is_empty();
            let writes = now.iter().map(|(_, change)| self.calls.write(vec![change.clone()]));
            for ((entry, _), written) in now.iter().zip(join_all(writes).await) {
                match skip_unreadable(written) {
                    Ok(Some(Ok(()))) => swept.reclaimed += 1,
                    // Of a newer release by now.
                    Ok(None) => {}
                    // It has changed, or was read as it no longer is: it is looked at again.
                    Ok(Some(Err(_))) => swept.hold(entry),
                    Err(error) => {
                        swept.hold(entry);
                        swept.add(Swept { ended_early: true, failed: Some(error), ..Swept::default() });
                    }
                }
            }
        }
        swept
    }

    /// The changes that reclaim the messages of these entries, each with its entry. The reads are eventually consistent: the
    /// condition of the change, or the next round, finds what has changed since.
    async fn reclaiming<'a>(&self, page: &'a [Item], now: DateTime<Utc>) -> Result<Vec<(&'a Item, Change)>> {
        let keys = page.iter().map(Item::key).collect::<Result<Vec<_>>>()?;
        let mut changes = Vec::new();
        for (entry, item) in page.iter().zip(self.calls.get_each_eventually(&keys).await?) {
            let message = item.and_then(|item| messages::read_stored(item.as_ref()));
            let Some(message) = skip_unreadable(message)?.flatten() else { continue };
            let reclaimed = message.reclaim(now);
            let change = reclaimed.and_then(|reclaimed| self.transition(&message, &reclaimed.to));
            changes.extend(change.map(|change| (entry, change)));
        }
        Ok(changes)
    }
}

/// The least sort key of the leases that end then or later.
fn lease_sk(end: DateTime<Utc>) -> String {
    format!("{}#{}", State::Sending.as_str(), keys::sortable(end))
}

/// When the lease of an entry ends.
fn lease_end(entry: &Item) -> Option<DateTime<Utc>> {
    keys::pending_due(&entry.get::<String>("pending_sk").ok()?)
}
