//! The outbox: outbound messages from record to settle.

use super::{
    Dynamo,
    calls::Query,
    change::Change,
    item::{Item, at, int, open_pk, open_sk, pair, text},
    table,
};
use crate::{
    domain::{Kind, MessageId, Outbound},
    store::{Due, Leased, Others, Result, State, Unknown},
};
use chrono::{DateTime, TimeDelta, Utc};

/// How much of each part of the index is read at a time.
const READ: i32 = 1000;
/// How old a message can be that is still open.
const OPEN_FOR: TimeDelta = TimeDelta::hours(25);

impl Dynamo {
    /// What is open in this state and needs attention until then, from all parts of the index.
    async fn open(&self, state: State, until: Option<DateTime<Utc>>) -> Result<Vec<Item>> {
        let mut open = Vec::new();
        for shard in 0..table::SHARDS {
            let query = Query {
                index: Some(table::BY_OPEN),
                hash: ("open_pk", format!("{}#{shard}", state.as_str().to_uppercase())),
                range: until.map(|until| ("open_sk <= :range", format!("{}~", table::sortable(until)))),
                limit: Some(READ),
                ..Query::default()
            };
            open.extend(self.calls.query(query).await?);
        }
        Ok(open)
    }

    pub(super) async fn do_reclaim(&self, limit: u32, now: DateTime<Utc>) -> Result<usize> {
        let mut reclaimed = 0;
        for entry in self.open(State::Sending, Some(now)).await?.into_iter().take(limit as usize) {
            let Some(item) = self.calls.get(entry.key()?).await? else { continue };
            if item.state()? != State::Sending || item.time("lease_until")? >= now {
                continue;
            }
            let outbound = item.outbound()?;
            let attempted_at = item.some_time("attempted_at")?.unwrap_or(outbound.created_at);
            let change = Change::update(
                table::message(outbound.id),
                "SET message_state = :state, open_pk = :open_pk, open_sk = :open_sk, reason_text = :reason \
                 REMOVE lease_until",
            )
            .when("lease_number = :lease AND message_state = :was AND lease_until < :now")
            .with("lease", int(item.int("lease_number")?))
            .with("was", text(State::Sending.as_str()))
            .with("now", at(now))
            .with("state", text(State::Unknown.as_str()))
            .with("reason", text("the sender did not report back"))
            .with("open_pk", text(open_pk(State::Unknown, &outbound)))
            .with("open_sk", text(open_sk(attempted_at, &outbound)));
            reclaimed += usize::from(self.calls.change(table::message(outbound.id), change).await?.is_ok());
        }
        Ok(reclaimed)
    }

    pub(super) async fn do_due(&self, limit: u32, now: DateTime<Utc>) -> Result<Vec<Due>> {
        let mut due = Vec::new();
        for item in self.open(State::Waiting, Some(now)).await? {
            let id = item.text("pk")?.trim_start_matches("M#").parse()?;
            due.push((item.time("created_at")?, Due { id, has_media: item.flag("has_media") }));
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
             attempts = attempts + :one, open_pk = :open_pk, open_sk = :open_sk REMOVE absent_at",
        )
        .when("message_state = :was_state AND lease_number = :was")
        .with("state", text(State::Sending.as_str()))
        .with("lease", int(was + 1))
        .with("until", at(until))
        .with("now", at(now))
        .with("one", int(1))
        .with("open_pk", text(open_pk(State::Sending, &outbound)))
        .with("open_sk", text(open_sk(until, &outbound)))
        .with("was_state", text(State::Waiting.as_str()))
        .with("was", int(was));
        let changes = std::iter::once(change).chain(session_is_live(&outbound, now)).collect();
        if self.calls.transact(changes).await?.is_done() {
            return Ok(Some(Leased { outbound, lease: lease + 1 }));
        }
        self.withdraw_if_over(&Leased { outbound, lease }, now).await?;
        Ok(None)
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
            "SET lease_until = :until, attempted_at = :now, open_sk = :open_sk",
        )
        .when("lease_number = :lease AND message_state = :state AND attribute_not_exists(revoked)")
        .with("lease", int(leased.lease.into()))
        .with("state", text(State::Sending.as_str()))
        .with("until", at(until))
        .with("now", at(now))
        .with("open_sk", text(open_sk(until, &leased.outbound)));
        let changes = std::iter::once(change).chain(session_is_live(&leased.outbound, now)).collect();
        if self.calls.transact(changes).await?.is_done() {
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
        let over = match (content.kind, content.session) {
            (Kind::Relay, Some(session)) => self.do_session(session, now).await?.is_none(),
            _ => false,
        };
        let (state, reason) = if revoked || over {
            (State::Cancelled, "the session has ended")
        } else if let Some(barred) = self.barred(content.from, content.to).await? {
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
            Some(id) => match self.calls.get(table::message(id)).await? {
                None => None,
                Some(item) => Some((item.time("attempted_at")?, id)),
            },
        };
        let open = self.open(State::Unknown, None).await?;
        let keys = open.iter().map(Item::key).collect::<Result<Vec<_>>>()?;
        let mut unknown = Vec::new();
        for item in self.calls.get_all(&keys).await?.into_iter().flatten() {
            if item.state()? != State::Unknown || item.0.contains_key("settled_at") {
                continue;
            }
            let outbound = item.outbound()?;
            unknown.push(Unknown {
                attempted_at: item.some_time("attempted_at")?.unwrap_or(outbound.created_at),
                absent_at: item.some_time("absent_at")?,
                revoked: item.flag("revoked"),
                leased: Leased { lease: u32::try_from(item.int("lease_number")?).unwrap_or(0), outbound },
            });
        }
        let place = |unknown: &Unknown| (unknown.attempted_at, unknown.leased.outbound.id);
        unknown.retain(|unknown| mark.is_none_or(|mark| place(unknown) > mark));
        unknown.sort_by_key(place);
        unknown.truncate(limit as usize);
        Ok(unknown)
    }

    pub(super) async fn do_others(&self, message: &Outbound) -> Result<Others> {
        let query = Query {
            index: Some(table::BY_PAIR),
            hash: ("pair_pk", pair(message.text.from, message.text.to)),
            range: Some(("pair_sk >= :range", table::sortable(message.created_at - OPEN_FOR))),
            ..Query::default()
        };
        let keys = self.calls.query(query).await?.iter().map(Item::key).collect::<Result<Vec<_>>>()?;
        let mut others = Others::default();
        for item in self.calls.get_all(&keys).await?.into_iter().flatten() {
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

/// A relay goes only while its session is live.
fn session_is_live(message: &Outbound, now: DateTime<Utc>) -> Option<Change> {
    let session = message.text.session.filter(|_| message.text.kind == Kind::Relay)?;
    Some(super::routes::live_at(session, now))
}
