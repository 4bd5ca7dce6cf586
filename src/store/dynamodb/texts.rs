//! Inbound texts, and everything that they cause, put on record in one step.

use super::{
    Dynamo,
    calls::{Committed, Patience},
    change::Change,
    item::{Item, at, int, text},
    routes::live_at,
    table::{self, Key},
};
use crate::{
    domain::{Kind, MessageId, Number, Outbound, Role},
    store::{AnswerLimits, AnswersSeen, EndCause, Opt, Record, Recorded, RestsOn, Result, messages::Counter},
};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};

impl Dynamo {
    pub(super) async fn do_record(&self, record: Record) -> Result<Recorded> {
        let mut patience = Patience::new(self.calls.patience);
        let mut seen = match &record.rests_on {
            RestsOn::Answers(AnswersSeen(seen)) => seen.clone(),
            _ => None,
        };
        loop {
            if let Some(recorded) = self.try_record(&record, seen.take()).await? {
                return Ok(recorded);
            }
            patience.wait("contention").await?;
        }
    }

    /// `None`: the counters of answers, a message of the session that ends, or who has opted out, changed under it.
    async fn try_record(&self, record: &Record, seen: Option<[Counter; 2]>) -> Result<Option<Recorded>> {
        let Record { inbound, at: now, outbound, lease_until, rests_on, answers, opt } = record;
        let mut outbound = outbound.clone();
        let counting = self.count_answer(&mut outbound, seen, *answers, *now).await?;
        let (puts, leased) = self.leased(outbound.clone(), Some(*lease_until));
        // The first part refuses a second text with the same id: it is the message that the text leads to, if that has
        // the text's id, or an item that only remembers it.
        let mut changes = Vec::new();
        let marker = inbound.as_deref().map(MessageId::for_inbound);
        if let Some(marker) = marker.filter(|marker| outbound.first().is_none_or(|first| first.id != *marker))
        {
            changes.push(self.marking(marker, *now));
        }
        changes.extend(puts);
        let mut stale_at = None;
        match rests_on {
            RestsOn::Nothing | RestsOn::Answers(_) => {}
            RestsOn::Live(session) => {
                stale_at = Some(changes.len());
                changes.push(live_at(*session, *now));
            }
            RestsOn::Expired(session) => {
                stale_at = Some(changes.len());
                changes.extend(self.ending(session, EndCause::Expired, *now));
                changes.extend(self.cancelling(session.id, EndCause::Expired, &[], *now).await?);
            }
        }
        changes.extend(counting);
        if let Some(opt) = opt {
            changes.extend(self.opting(*opt).await?);
        }
        if changes.is_empty() {
            return Ok(Some(Recorded::New(leased)));
        }
        Ok(match self.calls.transact(changes).await? {
            Committed::Done => Some(Recorded::New(leased)),
            refused if marker.is_some() && refused.failed_at(0) => Some(Recorded::Duplicate),
            refused if stale_at.is_some_and(|part| refused.failed_at(part)) => Some(Recorded::Stale),
            Committed::Refused(_) => None,
        })
    }

    /// What remembers a text that leads to no message with its id.
    pub(super) fn marking(&self, marker: MessageId, received_at: DateTime<Utc>) -> Change {
        let mut item = Item::new(table::message(marker));
        item.set("received_at", at(received_at));
        item.set("ttl_at", int(self.ttl(received_at)));
        Change::insert(item)
    }

    /// Counts an answer to a stranger, or takes it out if it is one too many, by what the route has seen of the counters
    /// or else by a reading.
    async fn count_answer(
        &self,
        outbound: &mut Vec<Outbound>,
        seen: Option<[Counter; 2]>,
        limits: AnswerLimits,
        now: DateTime<Utc>,
    ) -> Result<Vec<Change>> {
        let Some(answer) = outbound.iter().find(|message| message.text.kind == Kind::NoSession) else {
            return Ok(Vec::new());
        };
        let keys = keys_of_answers(answer.text.from, answer.text.to);
        let seen = match seen {
            Some(seen) => seen,
            None => counters(&self.calls.get_all(&keys).await?)?,
        };
        let windows = [(TimeDelta::hours(1), limits.per_hour), (TimeDelta::minutes(1), limits.per_minute)];
        let mut changes = Vec::new();
        for ((key, counter), (window, limit)) in keys.into_iter().zip(seen).zip(windows) {
            let since = (now - window).timestamp_millis();
            let recent: Vec<i64> = counter.times.into_iter().filter(|time| *time > since).collect();
            if recent.len() >= limit as usize {
                outbound.retain(|message| message.text.kind != Kind::NoSession);
                return Ok(Vec::new());
            }
            changes.push(count(key, recent, counter.version, now, self.ttl(now)));
        }
        Ok(changes)
    }

    /// What puts it on record that a person opts out of a TN, or in again: with the person, and with the session on
    /// that TN, where the other's texts find it.
    pub(super) async fn opting(&self, opt: Opt) -> Result<Vec<Change>> {
        let verb = if opt.out { "ADD" } else { "DELETE" };
        let mut changes = vec![
            Change::update(
                table::opt_outs(opt.person),
                format!("SET item_version = if_not_exists(item_version, :version) {verb} opted_out :tn"),
            )
            .with("version", int(1))
            .with("tn", AttributeValue::Ss(vec![opt.tn.digits()])),
        ];
        let Some(route) = self.calls.get(table::route(opt.tn, opt.person)).await? else { return Ok(changes) };
        let session = route.session([None, None])?;
        let flag = match session.sides(opt.person) {
            Some((own, _)) if own.role == Role::A => "a_opted_out",
            _ => "b_opted_out",
        };
        for participant in session.participants {
            changes.push(
                Change::update(table::route(opt.tn, participant.number), format!("SET {flag} = :out"))
                    .when("session_id = :session")
                    .with("out", AttributeValue::Bool(opt.out))
                    .with("session", text(session.id.to_string())),
            );
        }
        Ok(changes)
    }
}

/// The counters of answers to this sender from this TN, and to all.
pub(super) fn keys_of_answers(tn: Number, sender: Number) -> [Key; 2] {
    [table::answers(tn, sender), table::all_answers()]
}

/// What these items count.
pub(super) fn counters(items: &[Option<Item>]) -> Result<[Counter; 2]> {
    let counter = |item: Option<&Item>| -> Result<Counter> {
        let Some(item) = item else { return Ok(Counter::default()) };
        let times = item.texts("times").iter().filter_map(|time| time.parse().ok()).collect();
        Ok(Counter { times, version: item.int("counter_version")? })
    };
    let item = |n: usize| items.get(n).and_then(Option::as_ref);
    Ok([counter(item(0))?, counter(item(1))?])
}

fn count(key: Key, mut times: Vec<i64>, version: i64, now: DateTime<Utc>, ttl: i64) -> Change {
    times.push(now.timestamp_millis());
    let mut item = Item::new(key);
    item.set("times", AttributeValue::L(times.into_iter().map(|time| text(time.to_string())).collect()));
    item.set("counter_version", int(version + 1));
    item.set("ttl_at", int(ttl));
    let change = Change::put(item);
    if version == 0 {
        change.when("attribute_not_exists(pk)")
    } else {
        change.when("counter_version = :version").with("version", int(version))
    }
}
