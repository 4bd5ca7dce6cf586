//! Inbound texts, and the messages that are sent.

use super::{
    Sqlite,
    free_list::is_tn,
    messages, not_delivered, opt_outs,
    rows::{millis, run},
    sessions,
};
use crate::{
    domain::{
        Blocked, CLOCK_TOLERANCE, Decision, EndCause, Inbound, Kind, Message, MessageEvent, MessageId,
        Number, OptChange, Outbound, Route, SenderLimit, Session, Settlement, State, Surroundings, Text,
        Transition, Turn,
    },
    store::{Arrival, Decide, Due, Others, Outbox, Received, ReplyQuota, Result},
};
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, params};
use std::sync::Arc;

#[async_trait]
impl Outbox for Sqlite {
    async fn receive(&self, arrival: Arrival, decide: Decide) -> Result<Received> {
        let words = Arc::clone(&self.not_delivered_notice);
        self.writer.write(move |db| receive(db, &arrival, &decide, &words)).await
    }

    async fn settle(
        &self,
        leased: &Message,
        settlement: Settlement,
        now: DateTime<Utc>,
    ) -> Result<Option<MessageEvent>> {
        let (leased, words) = (leased.clone(), Arc::clone(&self.not_delivered_notice));
        self.writer.write(move |db| settle(db, &leased, &settlement, &words, now)).await
    }

    async fn settle_sent(
        &self,
        leased: &Message,
        provider_id: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<MessageEvent>> {
        let (id, leased) = (leased.outbound.id, leased.clone());
        let sent = Settlement::Sent { provider_id: provider_id.to_owned() };
        let settle = move |db: &Connection| {
            if settle(db, &leased, &sent, "", now)?.is_none() {
                tracing::info!(outbound = %id, "outcome not applied: the message is settled or leased again");
            }
            Ok(())
        };
        self.writer.write_deferred(id, settle).await?;
        Ok(Some(MessageEvent::Sent))
    }

    async fn reclaim(&self, limit: u32, now: DateTime<Utc>) -> Result<usize> {
        let reclaim = move |db: &Connection| {
            let expired = messages::lease_expired(db, limit, now)?;
            let transitions = expired.iter().filter_map(|message| message.reclaim(now));
            transitions.map(|transition| messages::apply(db, &transition)).collect::<Result<Vec<_>>>()
        };
        Ok(self.writer.write_little(reclaim).await?.len())
    }

    async fn due(&self, limit: u32, now: DateTime<Utc>) -> Result<Vec<Due>> {
        self.reading().await.read(move |db| messages::due(db, limit, now)).await
    }

    async fn lease(
        &self,
        id: MessageId,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Option<Message>> {
        let words = Arc::clone(&self.not_delivered_notice);
        let lease = move |message: &Message, around| message.lease(around, now, until);
        self.writer.write(move |db| hold(db, id, &words, now, lease)).await
    }

    async fn renew(
        &self,
        leased: &Message,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Option<Message>> {
        let (id, lease) = (leased.outbound.id, leased.status.lease);
        let renew = move |message: &Message, around| message.renew(lease, around, now, until);
        let words = Arc::clone(&self.not_delivered_notice);
        self.writer.write(move |db| hold(db, id, &words, now, renew)).await
    }

    /// What `receive` stores is decided in the same transaction.
    async fn confirm(
        &self,
        leased: &Message,
        _now: DateTime<Utc>,
        _until: DateTime<Utc>,
    ) -> Result<Option<Message>> {
        Ok(Some(leased.clone()))
    }

    async fn unknown(&self, limit: u32, after: Option<MessageId>) -> Result<Vec<Message>> {
        self.reading().await.read(move |db| messages::unknown(db, limit, after)).await
    }

    async fn others(&self, message: &Outbound) -> Result<Others> {
        let message = message.clone();
        self.reading().await.read(move |db| messages::others(db, &message)).await
    }

    async fn acquire_drain_lease(
        &self,
        holder: &str,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<bool> {
        let holder = holder.to_owned();
        let sql = "INSERT INTO drain_lease (only, holder, until) VALUES (1, ?1, ?3)
             ON CONFLICT DO UPDATE SET holder = ?1, until = ?3 WHERE holder = ?1 OR until < ?2 OR until > ?4";
        let values = [now, until, until + CLOCK_TOLERANCE].map(millis);
        let acquire = move |db: &Connection| run(db, sql, params![holder, values[0], values[1], values[2]]);
        Ok(self.writer.write_little(acquire).await? == 1)
    }

    async fn release_drain_lease(&self, holder: &str) -> Result<()> {
        let holder = holder.to_owned();
        let release = move |db: &Connection| run(db, "DELETE FROM drain_lease WHERE holder = ?1", [&holder]);
        self.writer.write_little(release).await.map(drop)
    }
}

fn receive(db: &Connection, arrival: &Arrival, decide: &Decide, words: &str) -> Result<Received> {
    let Arrival { inbound, now, lease_until, quota, sender_limit } = arrival;
    if let Some(key) = inbound.dedupe_key()
        && messages::is_known(db, key)?
    {
        return Ok(Received::Duplicate);
    }
    let route = route(db, inbound.to, inbound.from, *now)?;
    let texts = match decide(&route) {
        Decision::Ignore(reason) => {
            not_delivered::tell(db, route.undelivered(reason, inbound.from), words, *now)?;
            return Ok(Received::Ignored(reason));
        }
        Decision::Opt(change) => {
            opt_outs::set(db, change)?;
            Vec::new()
        }
        Decision::Send(texts) => apply_quota(db, inbound, texts, *quota, *now)?,
        Decision::Expire(notices) => {
            if let Route::Expired(session) = &route {
                sessions::end(db, session.id, EndCause::Expired, Vec::new(), *now, None)?;
            }
            notices
        }
    };
    let turn = turn(db, route.live_session(), &texts, *sender_limit, *now)?;
    let caused = inbound.cause(texts, *now);
    if let Some(key) = caused.tombstone {
        messages::insert_tombstone(db, key, *now)?;
    }
    let mut messages = Vec::new();
    for outbound in caused.messages {
        let message = Message::in_turn(outbound, *lease_until, turn);
        messages::insert(db, &message)?;
        not_delivered::tell(db, message.undelivered(None), words, *now)?;
        messages.push(message);
    }
    messages.retain(|message| message.status.state == State::Sending);
    Ok(if turn == Turn::Now { Received::Stored(messages) } else { Received::Limited(turn) })
}

/// When the relay among these texts is sent, if there is one that may be sent.
fn turn(
    db: &Connection,
    session: Option<&Session>,
    texts: &[Text],
    limit: SenderLimit,
    now: DateTime<Utc>,
) -> Result<Turn> {
    let Some((session, relay)) = session.zip(texts.iter().find(|text| text.is_limited())) else {
        return Ok(Turn::Now);
    };
    let window = SenderLimit::window(session.created_at, now);
    if !messages::are_between(db, relay, window, limit.always_sent())? {
        return Ok(Turn::Now);
    }
    let earlier = messages::earlier_texts(db, relay, window, limit.most_read())?;
    Ok(match limit.turn(&earlier, now) {
        (turn, Some(last)) => turn.behind(messages::by_id(db, last)?.as_ref(), now),
        (turn, None) => turn,
    })
}

/// Who a sender is to a TN.
fn route(db: &Connection, tn: Number, sender: Number, now: DateTime<Utc>) -> Result<Route> {
    if let Some((session, previous_end)) = sessions::of_sender(db, tn, sender)? {
        let own = session.sides(sender).and_then(|(own, _)| own.blocked);
        return Ok(match own {
            Some(Blocked::IsTn) => Route::SenderIsTn,
            _ if session.is_expired(now) => Route::Expired(session),
            _ => Route::live(session, previous_end, now),
        });
    }
    if !is_tn(db, tn)? {
        return Ok(Route::NotOurTn);
    }
    Ok(match opt_outs::blocked(db, tn, sender)? {
        Some(Blocked::IsTn) => Route::SenderIsTn,
        blocked => Route::Stranger { blocked },
    })
}

/// The texts without the replies to strangers that exceed the quota.
fn apply_quota(
    db: &Connection,
    inbound: &Inbound,
    mut texts: Vec<Text>,
    quota: ReplyQuota,
    now: DateTime<Utc>,
) -> Result<Vec<Text>> {
    if texts.iter().any(|text| text.kind == Kind::NoSession) {
        let to_sender = messages::replies_to(db, inbound.to, inbound.from, TimeDelta::hours(1), now)?;
        let in_a_minute = messages::replies(db, TimeDelta::minutes(1), now)?;
        let in_a_day = messages::replies(db, TimeDelta::hours(24), now)?;
        let is_admitted = to_sender < quota.per_hour.into()
            && in_a_minute < quota.per_minute.into()
            && in_a_day < quota.per_day.into();
        texts.retain(|text| is_admitted || text.kind != Kind::NoSession);
    }
    Ok(texts)
}

/// Applies an outcome. Mostly the message is still as its sender leased it, and need not be read to know that it was sent.
fn settle(
    db: &Connection,
    leased: &Message,
    settlement: &Settlement,
    words: &str,
    now: DateTime<Utc>,
) -> Result<Option<MessageEvent>> {
    let lease = leased.status.lease;
    if let (Settlement::Sent { .. }, Some(transition)) = (settlement, leased.settle(lease, settlement, now))
        && messages::apply_to(db, &leased.status, &transition)?
    {
        return Ok(Some(transition.event));
    }
    let Some(message) = messages::by_id(db, leased.outbound.id)? else { return Ok(None) };
    let Some(transition) = message.settle(lease, settlement, now) else { return Ok(None) };
    match settlement {
        Settlement::Found { provider_id } if messages::by_provider_id(db, provider_id)?.is_some() => {
            return Ok(None);
        }
        Settlement::Failed { opted_out: true, .. } => {
            let text = &message.outbound.text;
            opt_outs::set(db, OptChange { tn: text.from, person: text.to, out: true })?;
        }
        _ => {}
    }
    not_delivered::tell(db, transition.to.undelivered(Some(&message)), words, now)?;
    messages::apply(db, &transition).map(Some)
}

/// Leases a message, or renews its lease, by this rule; returns the message if it may be sent.
fn hold(
    db: &Connection,
    id: MessageId,
    words: &str,
    now: DateTime<Utc>,
    rule: impl Fn(&Message, Surroundings) -> Option<Transition>,
) -> Result<Option<Message>> {
    let Some(message) = messages::by_id(db, id)? else { return Ok(None) };
    let text = &message.outbound.text;
    let session_is_live = match message.needs_live() {
        Some(session) => sessions::live(db, session, now)?.is_some(),
        None => true,
    };
    let around = Surroundings { session_is_live, blocked: opt_outs::blocked(db, text.from, text.to)? };
    let Some(transition) = rule(&message, around) else { return Ok(None) };
    messages::apply(db, &transition)?;
    not_delivered::tell(db, transition.to.undelivered(Some(&message)), words, now)?;
    Ok(Some(transition.to).filter(|message| message.status.state == State::Sending))
}
