//! Reads the pending index: all shards concurrently, or the messages of a session that ends.

use super::{
    Dynamo,
    change::Change,
    item::Item,
    keys::{self, BY_PAIR, BY_PENDING, Key},
    messages::{self, earlier_text},
    query::Query,
};
use crate::{
    domain::{CLOCK_TOLERANCE, EndCause, MessageId, Session, State, Transition},
    store::Result,
};
use chrono::{DateTime, Utc};
use futures_util::{
    future::try_join_all,
    stream::{self, StreamExt, TryStreamExt},
};

/// The number of shards that are read concurrently.
const CONCURRENCY: usize = 8;
/// The minimum number of entries that are read of a shard: the index lags, and some may have been settled.
const MIN_READ: usize = 25;
/// The number of entries of its shard that are read to find those of one session.
const SESSION_READ: i32 = 500;
/// The number of its recent messages to each participant that are read.
const RECENT_READ: i32 = 40;
/// The maximum number of messages that one transaction withdraws, besides its other changes.
const MAX_WITHDRAWN: usize = 80;
/// The maximum of their total size, in bytes: a transaction whose items have more than 4 MB, erased texts included, is
/// refused.
const MAX_WITHDRAWN_SIZE: usize = 3_000_000;
/// The number of them that are read together: the largest that the webhook accepts have 4 MB then.
const READ_TOGETHER: usize = 16;

impl Dynamo {
    /// The entries of this kind that are due by then, after this sort key if there is one: the first of each shard, so that
    /// the first `limit` of all are among them. Sorted by sort key; unreadable ones are skipped.
    pub(super) async fn pending(
        &self,
        kind: &str,
        after: Option<&str>,
        until: Option<DateTime<Utc>>,
        limit: usize,
    ) -> Result<Vec<Item>> {
        // `!` sorts below everything that may follow in a sort key, and `~` above.
        let from = after.map_or_else(|| format!("{kind}#"), |after| format!("{after}!"));
        let until = format!("{kind}#{}~", until.map(keys::sortable).unwrap_or_default());
        let mut entries = self.of_each_shard(limit, |shard| shard.between(&from, &until)).await?;
        entries.sort_by_cached_key(|entry| entry.get::<String>("pending_sk").unwrap_or_default());
        Ok(entries)
    }

    /// The waiting messages that are due by now, and the last of those that are due much later: among them are all whose
    /// times are further ahead than they can be, because the clock has been set back.
    pub(super) async fn waiting_or_ahead(&self, limit: usize, now: DateTime<Utc>) -> Result<Vec<Item>> {
        let kind = State::Waiting.as_str();
        let mut entries = self.pending(kind, None, Some(now), limit).await?;
        let ahead = keys::sortable(now + CLOCK_TOLERANCE);
        let [from, until] = [&ahead, "~"].map(|time| format!("{kind}#{time}"));
        entries
            .extend(self.of_each_shard(limit, |shard| shard.between(&from, &until).backwards(true)).await?);
        Ok(entries)
    }

    /// At least `limit` of the entries that `select` selects in each shard, if there are so many. Unreadable ones are
    /// skipped.
    async fn of_each_shard<'a>(
        &'a self,
        limit: usize,
        select: impl Fn(Query<'a>) -> Query<'a>,
    ) -> Result<Vec<Item>> {
        let shards = (0..keys::PENDING_SHARDS).map(|shard| {
            let query = self.calls.query(&BY_PENDING, keys::pending_shard(shard));
            select(query).limit(limit.max(MIN_READ)).readable()
        });
        let shards = shards.collect::<Vec<_>>();
        Ok(stream::iter(shards).buffered(CONCURRENCY).try_collect::<Vec<_>>().await?.concat())
    }

    /// Withdraws the session's unsent messages: these, and those in the indexes. Messages that exceed the limits of one
    /// transaction, are not in an index yet, or are being sent and older than a minute, are settled when they are about to be
    /// sent.
    pub(super) async fn withdrawing(
        &self,
        session: &Session,
        cause: EndCause,
        also: &[MessageId],
        now: DateTime<Utc>,
    ) -> Result<Vec<Change>> {
        let mut keys: Vec<Key> = also.iter().copied().map(keys::message).collect();
        let query = self.calls.query(&BY_PENDING, keys::pending_of(&session.id));
        let query = query.sk(">", format!("{}#~", State::Sending.as_str()));
        let pending =
            query.filter("session_id = :session").with("session", session.id).one_page(SESSION_READ);
        let (pending, recent) = tokio::try_join!(pending, self.recent_relays(session, now))?;
        for entry in pending.iter().chain(&recent) {
            let key = entry.key()?;
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys.truncate(MAX_WITHDRAWN);
        let (mut changes, mut size) = (Vec::new(), 0);
        for keys in keys.chunks(READ_TOGETHER) {
            for item in self.calls.get_all(keys).await? {
                let message = messages::read_stored(item.as_ref())?;
                let Some(message) =
                    message.filter(|message| message.outbound.text.session == Some(session.id))
                else {
                    continue;
                };
                let Some(Transition { to, .. }) = message.withdraw(cause, now) else { continue };
                size += messages::size(&message);
                if size > MAX_WITHDRAWN_SIZE {
                    return Ok(changes);
                }
                changes.extend(self.transition(&message, &to));
            }
        }
        Ok(changes)
    }

    /// The entries of the relays of the last minute, among which are those that are being sent. In the pending index they
    /// would be among those of other sessions.
    async fn recent_relays(&self, session: &Session, now: DateTime<Utc>) -> Result<Vec<Item>> {
        let since = keys::sortable(now - CLOCK_TOLERANCE);
        let to = session.participants.map(|participant| {
            let pair = keys::pair(session.tn, participant.number);
            let query = self.calls.query(&BY_PAIR, pair).sk(">=", &since).backwards(true);
            query.one_page(RECENT_READ)
        });
        let mut recent = try_join_all(to).await?.concat();
        recent.retain(|entry| entry.get::<String>("pair_sk").is_ok_and(|sk| earlier_text(&sk).is_some()));
        Ok(recent)
    }
}
