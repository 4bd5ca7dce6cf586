//! The last step of a message's way: what became of it.

use super::{
    Dynamo,
    calls::{Committed, Patience},
    change::Change,
    item::{Item, at, int, open_sk, text},
    query::Query,
    table,
};
use crate::store::{Leased, Opt, Result, Settlement, State};
use chrono::{DateTime, Utc};

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
        let open = |state: State, rest: &str| {
            Change::update(table::message(outbound.id), format!("SET message_state = :state, {rest}"))
                .when(HOLDS)
                .with("lease", int(leased.lease.into()))
                .with("state", text(state.as_str()))
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
                open(State::Unknown, "open_sk = unknown_sk, reason_text = :reason REMOVE lease_until")
                    .with("reason", text(reason))
            }
            Settlement::Waiting { due, reason } => {
                let rest = "open_sk = :open_sk, due_at = :due, reason_text = :reason \
                            REMOVE lease_until, absent_at";
                open(State::Waiting, rest)
                    .with("open_sk", text(open_sk(State::Waiting, due, outbound)))
                    .with("due", at(due))
                    .with("reason", text(reason))
                    .when(unrevoked)
            }
            Settlement::Deferred => {
                // Told twice, it takes back one attempt.
                let rest = "open_sk = :open_sk, due_at = :due, attempts = attempts - :one REMOVE lease_until";
                open(State::Waiting, rest)
                    .with("open_sk", text(open_sk(State::Waiting, now, outbound)))
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

    pub(super) fn is_held(&self, item: &Item, leased: &Leased) -> Result<bool> {
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
        let mut remove =
            " REMOVE body_text, media_urls, open_pk, open_sk, unknown_sk, lease_until".to_owned();
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
}
