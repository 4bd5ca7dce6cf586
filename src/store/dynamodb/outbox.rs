//! The outbox: outbound messages from record to settle.

use super::{
    Dynamo,
    calls::{Committed, Patience, Query},
    change::Change,
    item::{Item, at, int, open_pk, open_sk, pair, text},
    table,
};
use crate::{
    domain::{Kind, MessageId, Outbound},
    store::{Due, Leased, Opt, Others, Result, Settlement, State, Unknown},
};
use chrono::{DateTime, TimeDelta, Utc};

/// How much of each part of the index is read at a time.
const READ: i32 = 1000;
/// How old a message can be that is still open.
const OPEN_FOR: TimeDelta = TimeDelta::hours(25);

/// The holder of this lease, of a message that is not settled.
const HOLDS: &str = "lease_number = :lease AND attribute_not_exists(settled_at)";

impl Dynamo {
    pub(super) async fn do_settle(
        &self,
        leased: &Leased,
        settlement: Settlement,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let outbound = &leased.outbound;
        let open = |state: State, attention: DateTime<Utc>, rest: &str| {
            let expression =
                format!("SET message_state = :state, open_pk = :open_pk, open_sk = :open_sk{rest}");
            Change::update(table::message(outbound.id), expression)
                .when(HOLDS)
                .with("lease", int(leased.lease.into()))
                .with("state", text(state.as_str()))
                .with("open_pk", text(open_pk(state, outbound)))
                .with("open_sk", text(open_sk(attention, outbound)))
        };
        let deferred = settlement == Settlement::Deferred;
        let unrevoked =
            "lease_number = :lease AND attribute_not_exists(settled_at) AND attribute_not_exists(revoked)";
        let change = match settlement {
            Settlement::Sent { provider_id } => {
                self.close(leased, State::Sent, Some(&provider_id), None, now)
            }
            Settlement::Failed { reason, opted_out: false } => {
                self.close(leased, State::Failed, None, Some(&reason), now)
            }
            Settlement::Failed { reason, opted_out: true } => {
                return self.fail_opted_out(leased, &reason, now).await;
            }
            Settlement::Found { provider_id } => return self.credit(leased, &provider_id, now).await,
            Settlement::UnknownForGood => self.close(leased, State::Unknown, None, None, now),
            Settlement::SeenAbsent => {
                Change::update(table::message(outbound.id), "SET absent_at = if_not_exists(absent_at, :now)")
                    .when(HOLDS)
                    .with("lease", int(leased.lease.into()))
                    .with("now", at(now))
            }
            Settlement::Unknown { reason } => {
                open(State::Unknown, now, ", reason_text = :reason REMOVE lease_until")
                    .with("reason", text(reason))
            }
            Settlement::Waiting { due, reason } => {
                let rest = ", due_at = :due, reason_text = :reason REMOVE lease_until, absent_at";
                open(State::Waiting, due, rest)
                    .with("due", at(due))
                    .with("reason", text(reason))
                    .when(unrevoked)
            }
            Settlement::Deferred => {
                // Told twice, it takes back one attempt.
                let rest = ", due_at = :due, attempts = attempts - :one REMOVE lease_until";
                open(State::Waiting, now, rest)
                    .with("due", at(now))
                    .with("one", int(1))
                    .when(format!("{unrevoked} AND message_state <> :state"))
            }
        };
        match self.calls.change(table::message(outbound.id), change).await? {
            Ok(()) => Ok(true),
            Err(Some(old)) if old.flag("revoked") && self.is_held(&old, leased)? => {
                let close = self.close(leased, State::Cancelled, None, Some("the session has ended"), now);
                Ok(self.calls.change(table::message(outbound.id), close).await?.is_ok())
            }
            Err(Some(old)) => Ok(deferred && self.is_held(&old, leased)?),
            Err(None) => Ok(false),
        }
    }

    /// Settles a message whose recipient has opted out of its TN, and puts that on record.
    async fn fail_opted_out(&self, leased: &Leased, reason: &str, now: DateTime<Utc>) -> Result<bool> {
        let text = &leased.outbound.text;
        let opt = Opt { tn: text.from, person: text.to, out: true };
        let mut patience = Patience::new(self.calls.patience);
        loop {
            let close = self.close(leased, State::Failed, None, Some(reason), now);
            let changes = std::iter::once(close).chain(self.opting(opt).await?).collect();
            match self.calls.transact(changes).await? {
                Committed::Done => return Ok(true),
                refused if refused.failed_at(0) => return Ok(false),
                // Their session ended just now.
                Committed::Refused(_) => patience.wait("contention").await?,
            }
        }
    }

    fn is_held(&self, item: &Item, leased: &Leased) -> Result<bool> {
        Ok(item.int("lease_number")? == i64::from(leased.lease) && !item.0.contains_key("settled_at"))
    }

    /// Settles a message for good: its content is erased.
    pub(super) fn close(
        &self,
        leased: &Leased,
        state: State,
        provider_id: Option<&str>,
        reason: Option<&str>,
        now: DateTime<Utc>,
    ) -> Change {
        let mut set = "SET message_state = :state, settled_at = :now, ttl_at = :ttl".to_owned();
        let mut remove = " REMOVE body_text, media_urls, open_pk, open_sk, lease_until".to_owned();
        if provider_id.is_some() {
            set += ", provider_id = :provider_id";
        }
        match (reason, state) {
            (Some(_), _) => set += ", reason_text = :reason",
            (None, State::Sent) => remove += ", reason_text",
            (None, _) => {}
        }
        let mut change = Change::update(table::message(leased.outbound.id), set + &remove)
            .when(HOLDS)
            .with("lease", int(leased.lease.into()))
            .with("state", text(state.as_str()))
            .with("now", at(now))
            .with("ttl", int(self.ttl(now)));
        if let Some(provider_id) = provider_id {
            change = change.with("provider_id", text(provider_id));
        }
        if let Some(reason) = reason {
            change = change.with("reason", text(reason));
        }
        change
    }

    /// Settles a message by a row of the provider's list, which is credited to one message only.
    async fn credit(&self, leased: &Leased, provider_id: &str, now: DateTime<Utc>) -> Result<bool> {
        let known = Query {
            index: Some(table::BY_PROVIDER),
            hash: ("provider_id", provider_id.to_owned()),
            ..Query::default()
        };
        if !self.calls.query(known).await?.is_empty() {
            return Ok(false);
        }
        let mut credit = Item::new(table::credit(provider_id));
        credit.set("ttl_at", int(self.ttl(now)));
        let close = self.close(leased, State::Sent, Some(provider_id), None, now);
        Ok(self.calls.transact(vec![Change::insert(credit), close]).await?.is_done())
    }

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
    Some(super::sessions::live_at(session, now))
}
