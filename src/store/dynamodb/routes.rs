//! Reading sessions: one, all, the expired ones, and who a sender is to a number.

use super::{
    Dynamo,
    calls::Query,
    change::Change,
    item::{Item, at},
    table::{self, Key},
    texts::{counters, keys_of_answers},
};
use crate::{
    domain::{Barred, Number, Session, SessionId},
    store::{AnswersSeen, Page, Part, Result, Route, cut, readable},
};
use chrono::{DateTime, Utc};

impl Dynamo {
    /// The session of an item, with what keeps its people from being texted.
    pub(super) async fn with_barred(&self, item: &Item) -> Result<Session> {
        let session = item.session([None, None])?;
        let found = self.calls.get_all(&keys_of_barred(&session)).await?;
        bar(session, &found)
    }

    pub(super) async fn do_session(&self, id: SessionId, now: DateTime<Utc>) -> Result<Option<Session>> {
        let item = self.calls.get(table::session(id)).await?;
        let Some(item) = item.filter(|item| !item.0.contains_key("ended_at")) else { return Ok(None) };
        let session = self.with_barred(&item).await?;
        Ok(Some(session).filter(|session| !session.is_expired(now)))
    }

    pub(super) async fn do_sessions(&self, page: Page, now: DateTime<Utc>) -> Result<(Part<Session>, u64)> {
        let after = page.after.as_deref().and_then(|mark| {
            let (time, id) = mark.split_once('-')?;
            Some(format!("{:015}-{id}", time.parse::<i64>().ok()?))
        });
        let mut live = Vec::new();
        let mut total = 0;
        for shard in table::LIVE_SHARDS.chars() {
            let query = Query { hash: ("pk", format!("LIVE#{shard}")), ..Query::default() };
            for item in self.calls.query(query).await? {
                let session = item.session([None, None])?;
                if !session.is_expired(now) {
                    total += 1;
                    live.push((item.text("sk")?.to_owned(), session));
                }
            }
        }
        live.retain(|(sk, _)| after.as_ref().is_none_or(|after| sk > after));
        live.sort_by(|(one, _), (other, _)| one.cmp(other));
        let sessions = live.into_iter().map(|(_, session)| session).collect();
        let mark = |session: &Session| format!("{}-{}", session.created_at.timestamp_millis(), session.id);
        Ok((cut(sessions, page.limit, mark), total))
    }

    pub(super) async fn do_expired(&self, limit: u32, now: DateTime<Utc>) -> Result<Vec<Session>> {
        let entries = self.open(table::EXPIRY, None, Some(now), limit).await?;
        let mut over = Vec::new();
        // The index may still show some that have been ended.
        for entries in entries.chunks(limit.max(1) as usize) {
            let ids: Vec<Option<SessionId>> =
                entries.iter().map(|entry| readable(entry.parsed("session_id"))).collect::<Result<_>>()?;
            let keys: Vec<Key> = ids.into_iter().flatten().map(table::session).collect();
            let items = self.all_readable(&keys).await?.into_iter();
            let open = items.filter(|item| !item.0.contains_key("ended_at"));
            over.extend(open.take(limit as usize - over.len()));
            if over.len() >= limit as usize {
                break;
            }
        }
        let mut sessions = Vec::new();
        for item in &over {
            sessions.extend(readable(item.session([None, None]))?);
        }
        let keys: Vec<Key> = sessions.iter().flat_map(keys_of_barred).collect();
        let found = self.calls.get_all(&keys).await?;
        sessions.into_iter().zip(found.chunks(4)).map(|(session, found)| bar(session, found)).collect()
    }

    pub(super) async fn do_route(&self, tn: Number, sender: Number, now: DateTime<Utc>) -> Result<Route> {
        let route = self.calls.get(table::route(tn, sender)).await?;
        let mut keys = vec![table::tn(tn)];
        let mut over = None;
        match &route {
            Some(item) => {
                let opted_out = |name| item.flag(name).then_some(Barred::OptedOut);
                let session = item.session([opted_out("a_opted_out"), opted_out("b_opted_out")])?;
                if !session.is_expired(now) {
                    return Ok(Route::Live(session));
                }
                keys.extend(keys_of_barred(&session));
                over = Some(session);
            }
            None => {
                keys.extend([table::tn(sender), table::opt_outs(sender)]);
                keys.extend(keys_of_answers(tn, sender));
            }
        }
        let found = self.calls.get_all(&keys).await?;
        let Some(item) = &found[0] else { return Ok(Route::NotOurTn) };
        if keys.iter().zip(&found).any(|(key, found)| *key == table::tn(sender) && found.is_some()) {
            return Ok(Route::SenderIsTn);
        }
        if let Some(session) = over {
            return Ok(Route::Expired(bar(session, &found[1..])?));
        }
        let live = item.some_time("expires_at")?.is_none_or(|expiry| expiry > now);
        Ok(Route::Stranger {
            barred: barred(tn, None, found[2].as_ref()),
            in_use_since: item.some_time("in_use_since")?.filter(|_| live),
            answers: AnswersSeen(Some(counters(&found[3..])?)),
        })
    }
}

/// The items that tell what keeps a session's people from being texted.
fn keys_of_barred(session: &Session) -> [Key; 4] {
    let [a, b] = session.participants.map(|participant| participant.number);
    [table::tn(a), table::opt_outs(a), table::tn(b), table::opt_outs(b)]
}

/// The session with what these items tell about its people.
fn bar(mut session: Session, found: &[Option<Item>]) -> Result<Session> {
    for (participant, found) in session.participants.iter_mut().zip(found.chunks(2)) {
        let [tn, opt_outs] = found else { break };
        participant.barred = barred(session.tn, tn.as_ref(), opt_outs.as_ref());
    }
    Ok(session)
}

/// Whether the item is that of a session that is live.
pub(super) fn is_live(item: Option<&Item>, now: DateTime<Utc>) -> Result<bool> {
    let Some(item) = item.filter(|item| !item.0.contains_key("ended_at")) else { return Ok(false) };
    Ok(item.some_time("expires_at")?.is_none_or(|expiry| expiry > now))
}

/// The condition that a session is live.
pub(super) fn live_at(session: SessionId, now: DateTime<Utc>) -> Change {
    Change::check(table::session(session))
        .when(
            "attribute_exists(pk) AND attribute_not_exists(ended_at) AND \
             (attribute_not_exists(expires_at) OR expires_at > :now)",
        )
        .with("now", at(now))
}

/// Why no text from this TN may go to somebody, given the TN item and the opt-outs of that number.
pub(super) fn barred(from: Number, tn: Option<&Item>, opt_outs: Option<&Item>) -> Option<Barred> {
    if tn.is_some() {
        return Some(Barred::IsTn);
    }
    let opted_out = opt_outs.is_some_and(|item| item.texts("opted_out").contains(&from.digits()));
    opted_out.then_some(Barred::OptedOut)
}
