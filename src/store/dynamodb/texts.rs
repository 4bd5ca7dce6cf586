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
    store::{AnswerLimits, EndCause, Opt, Record, Recorded, RestsOn, Result},
};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};

impl Dynamo {
    pub(super) async fn do_record(&self, record: Record) -> Result<Recorded> {
        let mut patience = Patience::new(self.calls.patience);
        loop {
            if let Some(recorded) = self.try_record(&record).await? {
                return Ok(recorded);
            }
            patience.wait("contention").await?;
        }
    }

    /// `None`: the counters of answers, or who has opted out, changed under it.
    async fn try_record(&self, record: &Record) -> Result<Option<Recorded>> {
        let Record { inbound, at: now, outbound, lease_until, rests_on, answers, opt } = record;
        let mut outbound = outbound.clone();
        let counting = self.count_answer(&mut outbound, *answers, *now).await?;
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
            RestsOn::Nothing => {}
            RestsOn::Live(session) => {
                stale_at = Some(changes.len());
                changes.push(live_at(*session, *now));
            }
            RestsOn::Expired(session) => {
                let Some((ending, session)) = self.ending(*session, EndCause::Expired, *now).await? else {
                    let known = match marker {
                        Some(marker) => self.calls.get(table::message(marker)).await?.is_some(),
                        None => false,
                    };
                    return Ok(Some(if known { Recorded::Duplicate } else { Recorded::Stale }));
                };
                stale_at = Some(changes.len());
                changes.extend(ending);
                changes.extend(self.cancelling(&session, EndCause::Expired, *now).await?);
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

    /// Counts an answer to a stranger, or takes it out if it is one too many.
    async fn count_answer(
        &self,
        outbound: &mut Vec<Outbound>,
        limits: AnswerLimits,
        now: DateTime<Utc>,
    ) -> Result<Vec<Change>> {
        let Some(answer) = outbound.iter().find(|message| message.text.kind == Kind::NoSession) else {
            return Ok(Vec::new());
        };
        let keys = [table::answers(answer.text.from, answer.text.to), table::all_answers()];
        let windows = [(TimeDelta::hours(1), limits.per_hour), (TimeDelta::minutes(1), limits.per_minute)];
        let found = self.calls.get_all(&keys).await?;
        let mut changes = Vec::new();
        for ((key, item), (window, limit)) in keys.into_iter().zip(found).zip(windows) {
            let (times, version) = counted(item.as_ref(), now - window)?;
            if times.len() >= limit as usize {
                outbound.retain(|message| message.text.kind != Kind::NoSession);
                return Ok(Vec::new());
            }
            changes.push(count(key, times, version, now, self.ttl(now)));
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

    /// What bars a number from texts of this TN, as things stand.
    pub(super) async fn barred(&self, tn: Number, to: Number) -> Result<Option<crate::domain::Barred>> {
        let found = self.calls.get_all(&[table::tn(to), table::opt_outs(to)]).await?;
        Ok(super::routes::barred(tn, found[0].as_ref(), found[1].as_ref()))
    }
}

/// When answers were given since then, and the version of the counter.
fn counted(item: Option<&Item>, since: DateTime<Utc>) -> Result<(Vec<i64>, i64)> {
    let Some(item) = item else { return Ok((Vec::new(), 0)) };
    let times = item.texts("times");
    let times = times.iter().filter_map(|time| time.parse().ok());
    let recent = times.filter(|time: &i64| *time > since.timestamp_millis()).collect();
    Ok((recent, item.int("counter_version")?))
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
