//! Opens, ends and reads sessions.

use super::{
    Dynamo,
    change::Change,
    item::{Item, VERSION},
    keys::{self, Key, TABLE},
    messages::leased,
    opt_outs::{blocked_keys, fill_blocked},
    session_items::{self, while_not_ended},
};
use crate::{
    domain::{EndCause, Message, NewSession, Outbound, Page, Part, Session, SessionFilter, SessionId},
    store::{OpenSession, Result, Sessions, skip_unreadable},
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;
use tokio::time::Instant;

/// The minimum page size of the list of live sessions: the filter drops some entries.
const MIN_PAGE: i32 = 50;

/// The filter that a session is live at `:now`.
pub(super) const LIVE: &str = "(attribute_not_exists(expires_at) OR expires_at > :now)";

#[async_trait]
impl Sessions for Dynamo {
    async fn open_session(&self, new: NewSession, lease_until: DateTime<Utc>) -> Result<OpenSession> {
        self.optimistic(|| self.attempt_to_open(&new, lease_until)).await
    }

    async fn end_session(
        &self,
        id: SessionId,
        cause: EndCause,
        notices: Vec<Outbound>,
        now: DateTime<Utc>,
        lease_until: Option<DateTime<Utc>>,
    ) -> Result<Option<Vec<Message>>> {
        let notices: Vec<Message> =
            notices.into_iter().map(|notice| Message::new(notice, lease_until)).collect();
        let is_ended = self.optimistic(|| self.try_end(id, cause, &notices, now));
        Ok(is_ended.await?.then(|| leased(notices)))
    }

    async fn set_expiry(
        &self,
        id: SessionId,
        expires_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Option<Session>> {
        self.optimistic(|| async {
            let item = self.calls.get(keys::session(id)).await?;
            let Some(item) = item.filter(|item| !session_items::is_ended(item)) else {
                return Ok(Some(None));
            };
            let session = self.with_blocked(&item).await?;
            if session.is_expired(now) {
                return Ok(Some(None));
            }
            let to = Session { expires_at, ..session.clone() };
            let Some(tn) = self.tn_item(session.tn).await? else { return Ok(None) };
            let changes = session_items::expiring(&session, &to, &tn);
            Ok(self.calls.write(changes).await?.is_ok().then_some(Some(to)))
        })
        .await
    }

    async fn session(&self, id: SessionId, now: DateTime<Utc>) -> Result<Option<Session>> {
        self.timed(async {
            let item = self.calls.get(keys::session(id)).await?;
            let Some(item) = item.filter(|item| !session_items::is_ended(item)) else { return Ok(None) };
            let session = self.with_blocked(&item).await?;
            Ok(Some(session).filter(|session| !session.is_expired(now)))
        })
        .await
    }

    async fn sessions(
        &self,
        filter: SessionFilter,
        page: Page,
        now: DateTime<Utc>,
    ) -> Result<(Part<Session>, u64)> {
        self.timed_list(async {
            let after = page.after.as_deref().and_then(|cursor| {
                let (time, id) = cursor.split_once('-')?;
                Some(format!("{:015}-{id}", time.parse::<i64>().ok()?))
            });
            let limit = page.limit.map(|limit| limit as usize);
            let shards = keys::LIVE_SHARDS.chars();
            let shards = shards.map(|shard| self.live_sessions(shard, filter, after.clone(), limit, now));
            let (mut live, mut total) = (Vec::new(), 0);
            for (sessions, of_shard) in try_join_all(shards).await? {
                live.extend(sessions);
                total += of_shard;
            }
            live.sort_by_key(|session| keys::live(session).sk);
            let cursor =
                |session: &Session| format!("{}-{}", session.created_at.timestamp_millis(), session.id);
            Ok((Part::cut(live, page.limit, cursor), total))
        })
        .await
    }

    async fn expired_sessions(&self, limit: u32, now: DateTime<Utc>) -> Result<Vec<Session>> {
        self.timed_list(self.expired_until(self.list_deadline(), limit as usize, now)).await
    }
}

impl Dynamo {
    /// Makes one attempt to end the session; whether this call ended it. `None`: what was read had changed.
    async fn try_end(
        &self,
        id: SessionId,
        cause: EndCause,
        notices: &[Message],
        now: DateTime<Utc>,
    ) -> Result<Option<bool>> {
        let found = self.calls.get_all(&[keys::session(id), keys::pool()]).await?;
        self.pool_item(found[1].as_ref())?;
        let Some(item) = &found[0] else {
            let is_final = cause != EndCause::RolledBack || self.refuse_opening(id, now).await?;
            return Ok(is_final.then_some(false));
        };
        if session_items::is_ended(item) {
            return self.ended_with(notices).await.map(Some);
        }
        let session = session_items::read(item)?;
        if !cause.allows(&session, now) {
            return Ok(Some(false));
        }
        let starts = match cause {
            EndCause::RolledBack => item.get("notices")?,
            EndCause::Deleted | EndCause::Expired => Vec::new(),
        };
        let mut changes = self.ending(&session, cause, now).await?;
        if cause == EndCause::RolledBack && item.has("request_hash") {
            // Its idempotency key can be used again.
            changes[0] = while_not_ended(Change::delete(keys::session(id)));
        }
        changes.extend(notices.iter().map(|notice| self.insert(notice)));
        changes.extend(self.withdrawing(&session, cause, &starts, now).await?);
        match self.calls.write(changes).await {
            Ok(written) => Ok(written.is_ok().then_some(true)),
            Err(error) => match self.calls.get(keys::session(id)).await? {
                Some(item) if session_items::is_ended(&item) => self.ended_with(notices).await.map(Some),
                _ => Err(error),
            },
        }
    }

    /// Whether the session ended with these notices: then an earlier attempt succeeded, and its response was lost.
    async fn ended_with(&self, notices: &[Message]) -> Result<bool> {
        match notices.first() {
            Some(first) => Ok(self.calls.get(keys::message(first.outbound.id)).await?.is_some()),
            None => Ok(false),
        }
    }

    /// The live sessions of a shard after this cursor, as many as a page may need, and their number in all. The others are
    /// not transferred.
    async fn live_sessions(
        &self,
        shard: char,
        filter: SessionFilter,
        after: Option<String>,
        limit: Option<usize>,
        now: DateTime<Utc>,
    ) -> Result<(Vec<Session>, u64)> {
        // The filter keeps items of a newer release, which are an error.
        let mut shown = LIVE.to_owned();
        if filter.participant.is_some() {
            shown += " AND (person_a = :participant OR person_b = :participant)";
        }
        if filter.virtual_tn.is_some() {
            shown += " AND tn_number = :tn";
        }
        let all = self.calls.query(&TABLE, format!("LIVE#{shard}"));
        let all = all.filter(&format!("{shown} OR item_version > :program_version"));
        let all = all.with("now", now).with("program_version", VERSION);
        let all = all.with("participant", filter.participant).with("tn", filter.virtual_tn);
        let (page, before) = match after {
            None => (all.clone(), 0),
            Some(cursor) => (all.clone().sk(">", &cursor), all.clone().sk("<=", cursor).count().await?),
        };
        let page = page.limit(limit.map(|limit| limit + 1)).min_page(MIN_PAGE);
        let sessions = page.map(|item| session_items::read(&item)).await?;
        let rest = match sessions.last() {
            Some(last) if limit.is_some_and(|limit| sessions.len() > limit) => {
                all.sk(">", keys::live(last).sk).count().await?
            }
            _ => 0,
        };
        let total = before + sessions.len() as u64 + rest;
        Ok((sessions, total))
    }

    /// The expired sessions, without those that are skipped. Starts no read after the deadline.
    pub(super) async fn expired_until(
        &self,
        deadline: Instant,
        limit: usize,
        now: DateTime<Utc>,
    ) -> Result<Vec<Session>> {
        let mut sessions = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut entries = self.pending(keys::EXPIRY, after.as_deref(), Some(now), limit).await?;
            // Only the first `limit` entries are complete.
            let more = entries.len() >= limit;
            entries.truncate(limit);
            after = entries.last().map(|last| last.get("pending_sk")).transpose()?;
            sessions.extend(self.not_ended_among(&entries).await?);
            if !more || sessions.len() >= limit || Instant::now() >= deadline {
                sessions.truncate(limit);
                return Ok(sessions);
            }
        }
    }

    /// The sessions of these entries that are not ended: the index lags, and may still have some that are.
    async fn not_ended_among(&self, entries: &[Item]) -> Result<Vec<Session>> {
        let ids = entries.iter().filter_map(|entry| skip_unreadable(entry.get("session_id")).transpose());
        let keys = ids.map(|id| id.map(keys::session)).collect::<Result<Vec<Key>>>()?;
        let mut sessions = Vec::new();
        for item in self.calls.get_readable(&keys).await? {
            if !session_items::is_ended(&item) {
                sessions.extend(skip_unreadable(session_items::read(&item))?);
            }
        }
        let key = self.opt_out_key().await?;
        let keys: Vec<Key> = sessions.iter().flat_map(|session| blocked_keys(session, &key)).collect();
        let found = self.calls.get_each(&keys).await?;
        let mut not_ended = Vec::new();
        for (session, found) in sessions.into_iter().zip(found.chunks(4)) {
            let found: Result<Vec<Option<Item>>> = found.iter().cloned().collect();
            not_ended.extend(skip_unreadable(found.and_then(|found| fill_blocked(session, &found)))?);
        }
        Ok(not_ended)
    }
}
