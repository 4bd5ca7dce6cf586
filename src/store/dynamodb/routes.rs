//! Reading sessions: one, all, the expired ones, and who a sender is to a number.

use super::{
    Dynamo,
    change::Change,
    item::{Item, VERSION, at, int},
    query::Query,
    table::{self, Key},
    texts::{counters, keys_of_answers},
};
use crate::{
    domain::{Barred, Number, Session, SessionId},
    store::{AnswersSeen, Page, Part, Result, Route, cut, readable},
};
use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;
use tokio::time::Instant;

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
        let parts = table::LIVE_SHARDS.chars();
        let parts = parts.map(|shard| self.live_sessions(shard, after.clone(), page.limit, now));
        let (mut live, mut total) = (Vec::new(), 0);
        for (sessions, of_part) in try_join_all(parts).await? {
            live.extend(sessions);
            total += of_part;
        }
        live.sort_by(|(one, _), (other, _)| one.cmp(other));
        let sessions = live.into_iter().map(|(_, session)| session).collect();
        let mark = |session: &Session| format!("{}-{}", session.created_at.timestamp_millis(), session.id);
        Ok((cut(sessions, page.limit, mark), total))
    }

    /// The live sessions of a part of the list after this mark, as many as a page may need, and how many there are in
    /// all. The others are counted and not transferred.
    async fn live_sessions(
        &self,
        shard: char,
        after: Option<String>,
        limit: Option<u32>,
        now: DateTime<Utc>,
    ) -> Result<(Vec<(String, Session)>, u64)> {
        // What a newer release has written must not be left out unseen.
        let live = "attribute_not_exists(expires_at) OR expires_at > :now OR item_version > :program_version";
        let values = [(":now".to_owned(), at(now)), (":program_version".to_owned(), int(VERSION))];
        let all = Query {
            hash: ("pk", format!("LIVE#{shard}")),
            filter: Some((live, values.into())),
            ..Query::default()
        };
        let range = |condition, sk: String| Query { range: Some((condition, sk)), ..all.clone() };
        let mut sessions = Vec::new();
        let limit = limit.map(|limit| i32::try_from(limit).unwrap_or(i32::MAX - 1) + 1);
        let (page, before) = match after {
            None => (all.clone(), 0),
            Some(mark) => {
                (range("sk > :range", mark.clone()), self.calls.count(range("sk <= :range", mark)).await?)
            }
        };
        self.calls
            .each(Query { limit, ..page }, |item| {
                sessions.push((item.text("sk")?.to_owned(), item.session([None, None])?));
                Ok(())
            })
            .await?;
        let read = sessions.len() as u64;
        let rest = match sessions.last() {
            Some((last, _)) if limit.is_some_and(|limit| read >= limit.unsigned_abs().into()) => {
                self.calls.count(range("sk > :range", last.clone())).await?
            }
            _ => 0,
        };
        Ok((sessions, before + read + rest))
    }

    /// Goes on past what it has to leave out, for as long as there is time: what it has by then is worth having.
    pub(super) async fn do_expired(&self, limit: u32, now: DateTime<Utc>) -> Result<Vec<Session>> {
        let (enough, late) = (limit as usize, self.half_of_a_list());
        let mut sessions = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut entries = self.open(table::EXPIRY, after.as_deref(), Some(now), limit).await?;
            // Only among the first of them no other is missing.
            let more = entries.len() >= enough;
            entries.truncate(enough);
            after = entries.last().map(|last| last.text("open_sk").map(str::to_owned)).transpose()?;
            sessions.extend(self.over(&entries).await?);
            if !more || sessions.len() >= enough || Instant::now() >= late {
                sessions.truncate(enough);
                return Ok(sessions);
            }
        }
    }

    /// The sessions of these entries that nobody has ended: the index may still show some that have been.
    async fn over(&self, entries: &[Item]) -> Result<Vec<Session>> {
        let ids: Vec<Option<SessionId>> =
            entries.iter().map(|entry| readable(entry.parsed("session_id"))).collect::<Result<_>>()?;
        let keys: Vec<Key> = ids.into_iter().flatten().map(table::session).collect();
        let mut sessions = Vec::new();
        for item in self.calls.get_readable(&keys).await? {
            if !item.0.contains_key("ended_at") {
                sessions.extend(readable(item.session([None, None]))?);
            }
        }
        let keys: Vec<Key> = sessions.iter().flat_map(keys_of_barred).collect();
        let found = self.calls.get_each(&keys).await?;
        let mut over = Vec::new();
        for (session, found) in sessions.into_iter().zip(found.chunks(4)) {
            let found: Result<Vec<Option<Item>>> = found.iter().cloned().collect();
            over.extend(readable(found.and_then(|found| bar(session, &found)))?);
        }
        Ok(over)
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
                keys.push(table::pool());
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
            // Whoever reads this is about to end the session, and its TN becomes free.
            self.learn_pool_size(found[5].as_ref())?;
            return Ok(Route::Expired(bar(session, &found[1..5])?));
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
