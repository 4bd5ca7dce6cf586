//! The outbox: outbound messages from record to settle.

use super::{
    Dynamo,
    change::Change,
    item::{Item, at, int, open_kind, open_sk, pair, text},
    query::Query,
    routes::{barred, is_live, live_at},
    table::{self, Key},
};
use crate::{
    domain::{Kind, MessageId, Outbound, SessionId},
    store::{Due, Leased, Others, Result, State, Unknown, readable},
};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use tokio::time::Instant;

/// How old a message can be that is still open.
const OPEN_FOR: TimeDelta = TimeDelta::hours(25);
/// How many messages are reclaimed side by side.
const RECLAIMED_AT_ONCE: usize = 8;

impl Dynamo {
    /// Stops by itself when its time is over, and when the store fails after some were reclaimed.
    pub(super) async fn do_reclaim(&self, limit: u32, now: DateTime<Utc>) -> Result<usize> {
        let late = self.half_of_a_list();
        let mut reclaimed = 0;
        match self.reclaim_until(late, limit, now, &mut reclaimed).await {
            Err(error) if reclaimed > 0 => tracing::warn!(%error, reclaimed, "not all could be reclaimed"),
            done => done?,
        }
        Ok(reclaimed)
    }

    async fn reclaim_until(
        &self,
        late: Instant,
        limit: u32,
        now: DateTime<Utc>,
        reclaimed: &mut usize,
    ) -> Result<()> {
        let entries = self.open(&open_kind(State::Sending), None, Some(now), limit).await?;
        let limit = limit as usize;
        for entries in entries.chunks(limit.max(1)) {
            let mut items = self.calls.get_readable(&keys(entries)?).await?.into_iter();
            while *reclaimed < limit && Instant::now() < late {
                let at_once: Vec<Item> =
                    items.by_ref().take(RECLAIMED_AT_ONCE.min(limit - *reclaimed)).collect();
                if at_once.is_empty() {
                    break;
                }
                let mut failed = Ok(());
                for done in join_all(at_once.iter().map(|item| self.reclaim_one(item, now))).await {
                    match readable(done) {
                        Ok(done) => *reclaimed += usize::from(done == Some(true)),
                        Err(error) => failed = Err(error),
                    }
                }
                failed?;
            }
        }
        Ok(())
    }

    async fn reclaim_one(&self, item: &Item, now: DateTime<Utc>) -> Result<bool> {
        if item.state()? != State::Sending || item.time("lease_until")? >= now {
            return Ok(false);
        }
        let change = Change::update(
            item.key()?,
            "SET message_state = :state, open_sk = unknown_sk, reason_text = :reason REMOVE lease_until",
        )
        .when("lease_number = :lease AND message_state = :was AND lease_until < :now")
        .with("lease", int(item.int("lease_number")?))
        .with("was", text(State::Sending.as_str()))
        .with("now", at(now))
        .with("state", text(State::Unknown.as_str()))
        .with("reason", text("the sender did not report back"));
        Ok(self.calls.change(item.key()?, change).await?.is_ok())
    }

    pub(super) async fn do_due(&self, limit: u32, now: DateTime<Utc>) -> Result<Vec<Due>> {
        let mut due = Vec::new();
        for entry in self.open(&open_kind(State::Waiting), None, Some(now), limit).await? {
            due.extend(readable(due_of(&entry))?);
        }
        due.sort_by_key(|(created_at, due)| (*created_at, due.id));
        Ok(due.into_iter().take(limit as usize).map(|(_, due)| due).collect())
    }

    pub(super) async fn do_lease(
        &self,
        id: MessageId,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Option<Leased>> {
        let Some(item) = self.calls.get(table::message(id)).await? else { return Ok(None) };
        if !item.0.contains_key("message_state")
            || item.state()? != State::Waiting
            || item.time("due_at")? > now
        {
            return Ok(None);
        }
        let outbound = item.outbound()?;
        let was = item.int("lease_number")?;
        let lease = u32::try_from(was).unwrap_or(0);
        if !self.may_go(&Leased { outbound: outbound.clone(), lease }, item.flag("revoked"), now).await? {
            return Ok(None);
        }
        let change = Change::update(
            table::message(id),
            "SET message_state = :state, lease_number = :lease, lease_until = :until, attempted_at = :now, \
             attempts = attempts + :one, open_sk = :open_sk, unknown_sk = :unknown_sk REMOVE absent_at",
        )
        .when("message_state = :was_state AND lease_number = :was")
        .with("state", text(State::Sending.as_str()))
        .with("lease", int(was + 1))
        .with("until", at(until))
        .with("now", at(now))
        .with("one", int(1))
        .with("open_sk", text(open_sk(State::Sending, until, &outbound)))
        .with("unknown_sk", text(open_sk(State::Unknown, now, &outbound)))
        .with("was_state", text(State::Waiting.as_str()))
        .with("was", int(was));
        if self.take(change, &outbound, now).await? {
            return Ok(Some(Leased { outbound, lease: lease + 1 }));
        }
        self.withdraw_if_over(&Leased { outbound, lease }, now).await?;
        Ok(None)
    }

    /// Changes a message that is about to be sent; a relay only while its session is live.
    async fn take(&self, change: Change, outbound: &Outbound, now: DateTime<Utc>) -> Result<bool> {
        match session_of_relay(outbound) {
            Some(session) => Ok(self.calls.transact(vec![change, live_at(session, now)]).await?.is_done()),
            None => Ok(self.calls.change(table::message(outbound.id), change).await?.is_ok()),
        }
    }

    pub(super) async fn do_renew(
        &self,
        leased: &Leased,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<bool> {
        let id = leased.outbound.id;
        let Some(item) = self.calls.get(table::message(id)).await? else { return Ok(false) };
        if !self.is_held(&item, leased)? || !self.may_go(leased, item.flag("revoked"), now).await? {
            return Ok(false);
        }
        let change = Change::update(
            table::message(id),
            "SET lease_until = :until, attempted_at = :now, open_sk = :open_sk, unknown_sk = :unknown_sk",
        )
        .when("lease_number = :lease AND message_state = :state AND attribute_not_exists(revoked)")
        .with("lease", int(leased.lease.into()))
        .with("state", text(State::Sending.as_str()))
        .with("until", at(until))
        .with("now", at(now))
        .with("open_sk", text(open_sk(State::Sending, until, &leased.outbound)))
        .with("unknown_sk", text(open_sk(State::Unknown, now, &leased.outbound)));
        if self.take(change, &leased.outbound, now).await? {
            return Ok(true);
        }
        self.withdraw_if_over(leased, now).await?;
        Ok(false)
    }

    /// Settles a message that could not be taken, if that is because it was revoked or its session ended at that moment.
    async fn withdraw_if_over(&self, leased: &Leased, now: DateTime<Utc>) -> Result<()> {
        let item = self.calls.get(table::message(leased.outbound.id)).await?;
        if let Some(item) = item
            && self.is_held(&item, leased)?
        {
            let _ = self.may_go(leased, item.flag("revoked"), now).await?;
        }
        Ok(())
    }

    /// Whether a message may be sent now; if it never may, it is settled.
    async fn may_go(&self, leased: &Leased, revoked: bool, now: DateTime<Utc>) -> Result<bool> {
        let content = &leased.outbound.text;
        let session = session_of_relay(&leased.outbound);
        let mut keys = vec![table::tn(content.to), table::opt_outs(content.to)];
        keys.extend(session.map(table::session));
        let found = self.calls.get_all(&keys).await?;
        let over = session.is_some() && !is_live(found.get(2).and_then(Option::as_ref), now)?;
        let (state, reason) = if revoked || over {
            (State::Cancelled, "the session has ended")
        } else if let Some(barred) = barred(content.from, found[0].as_ref(), found[1].as_ref()) {
            (State::Failed, barred.as_str())
        } else {
            return Ok(true);
        };
        let close = self.close(leased, state, None, Some(reason), now);
        // If somebody else has settled it meanwhile, it may not go either.
        let _ = self.calls.change(table::message(leased.outbound.id), close).await?;
        Ok(false)
    }

    pub(super) async fn do_unknown(&self, limit: u32, after: Option<MessageId>) -> Result<Vec<Unknown>> {
        let mark = match after {
            None => None,
            Some(id) => {
                self.calls.get(table::message(id)).await?.map(|item| place_of_unknown(&item)).transpose()?
            }
        };
        let entries = self.open(&open_kind(State::Unknown), mark.as_deref(), None, limit).await?;
        let mut unknown = Vec::new();
        for entries in entries.chunks(limit.max(1) as usize) {
            for item in self.calls.get_readable(&keys(entries)?).await? {
                unknown.extend(readable(unknown_of(&item))?.flatten());
            }
            if unknown.len() >= limit as usize {
                break;
            }
        }
        // The index may have shown an earlier attempt.
        unknown.sort_by(|(one, _), (other, _)| one.cmp(other));
        unknown.retain(|(place, _)| mark.as_ref().is_none_or(|mark| place > mark));
        Ok(unknown.into_iter().take(limit as usize).map(|(_, unknown)| unknown).collect())
    }

    pub(super) async fn do_others(&self, message: &Outbound) -> Result<Others> {
        let query = Query {
            index: Some(table::BY_PAIR),
            hash: ("pair_pk", pair(message.text.from, message.text.to)),
            range: Some(("pair_sk >= :range", table::sortable(message.created_at - OPEN_FOR))),
            ..Query::default()
        };
        let mut others = Others::default();
        for item in self.calls.get_all(&keys(&self.calls.query(query).await?)?).await?.into_iter().flatten() {
            if item.parsed::<MessageId>("message_id")? == message.id {
                continue;
            }
            others.sending |= item.state()? == State::Sending;
            others.provider_ids.extend(item.some_text("provider_id")?.map(str::to_owned));
        }
        Ok(others)
    }

    pub(super) async fn do_begin_drain(
        &self,
        holder: &str,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<bool> {
        let change = Change::update(
            table::drainer(),
            "SET drain_holder = :holder, drain_until = :until, item_version = if_not_exists(item_version, :version)",
        )
        .when("attribute_not_exists(pk) OR drain_holder = :holder OR drain_until < :now")
        .with("holder", text(holder))
        .with("until", at(until))
        .with("now", at(now))
        .with("version", int(1));
        Ok(self.calls.change(table::drainer(), change).await?.is_ok())
    }

    pub(super) async fn do_end_drain(&self, holder: &str) -> Result<()> {
        let change =
            Change::delete(table::drainer()).when("drain_holder = :holder").with("holder", text(holder));
        self.calls.transact(vec![change]).await.map(|_| ())
    }
}

fn keys(entries: &[Item]) -> Result<Vec<Key>> {
    entries.iter().map(Item::key).collect()
}

/// A message that waits, and when it was decided on.
fn due_of(entry: &Item) -> Result<(DateTime<Utc>, Due)> {
    let id = entry.text("pk")?.trim_start_matches("M#").parse()?;
    Ok((entry.time("created_at")?, Due { id, has_media: entry.flag("has_media") }))
}

/// The session that must be live for this message to go.
fn session_of_relay(message: &Outbound) -> Option<SessionId> {
    message.text.session.filter(|_| message.text.kind == Kind::Relay)
}

/// Where a message stands, or would stand, among the unknown ones.
fn place_of_unknown(item: &Item) -> Result<String> {
    let outbound = item.outbound()?;
    let attempted_at = item.some_time("attempted_at")?.unwrap_or(outbound.created_at);
    Ok(open_sk(State::Unknown, attempted_at, &outbound))
}

/// A message that is unknown and not settled, with its place.
fn unknown_of(item: &Item) -> Result<Option<(String, Unknown)>> {
    if item.state()? != State::Unknown || item.0.contains_key("settled_at") {
        return Ok(None);
    }
    let outbound = item.outbound()?;
    let unknown = Unknown {
        attempted_at: item.some_time("attempted_at")?.unwrap_or(outbound.created_at),
        absent_at: item.some_time("absent_at")?,
        revoked: item.flag("revoked"),
        leased: Leased { lease: u32::try_from(item.int("lease_number")?).unwrap_or(0), outbound },
    };
    Ok(Some((place_of_unknown(item)?, unknown)))
}
