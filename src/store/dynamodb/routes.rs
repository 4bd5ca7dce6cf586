//! Reading sessions: one, all, the expired ones, and who a sender is to a number.

use super::{
    Dynamo,
    calls::Query,
    change::Change,
    item::{Item, at},
    table,
};
use crate::{
    domain::{Barred, Number, Session, SessionId},
    store::{Page, Part, Result, Route, cut},
};
use chrono::{DateTime, Utc};

/// How many entries of expired sessions are read at least: some may have been ended.
const EXPIRED_READ: u32 = 100;

impl Dynamo {
    /// The session of an item, with what keeps its people from being texted.
    pub(super) async fn with_barred(&self, item: &Item) -> Result<Session> {
        let session = item.session([None, None])?;
        let [a, b] = session.participants.map(|participant| participant.number);
        let keys = [table::tn(a), table::opt_outs(a), table::tn(b), table::opt_outs(b)];
        let found = self.calls.get_all(&keys).await?;
        let barred = |tn: &Option<Item>, out: &Option<Item>| barred(session.tn, tn.as_ref(), out.as_ref());
        item.session([barred(&found[0], &found[1]), barred(&found[2], &found[3])])
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
        let mut due = Vec::new();
        for shard in 0..table::SHARDS {
            let query = Query {
                index: Some(table::BY_OPEN),
                hash: ("open_pk", format!("EXPIRY#{shard}")),
                range: Some(("open_sk <= :range", format!("{}~", table::sortable(now)))),
                limit: i32::try_from(limit.max(EXPIRED_READ)).ok(),
                ..Query::default()
            };
            for item in self.calls.query(query).await? {
                due.push((item.text("open_sk")?.to_owned(), item.parsed::<SessionId>("session_id")?));
            }
        }
        due.sort();
        let mut sessions = Vec::new();
        // The index may still show some that have been ended.
        for due in due.chunks(limit.max(1) as usize) {
            let keys: Vec<table::Key> = due.iter().map(|(_, id)| table::session(*id)).collect();
            for item in self.calls.get_all(&keys).await?.into_iter().flatten() {
                if sessions.len() < limit as usize && !item.0.contains_key("ended_at") {
                    sessions.push(self.with_barred(&item).await?);
                }
            }
            if sessions.len() >= limit as usize {
                break;
            }
        }
        Ok(sessions)
    }

    pub(super) async fn do_route(&self, tn: Number, sender: Number, now: DateTime<Utc>) -> Result<Route> {
        let route = self.calls.get(table::route(tn, sender)).await?;
        if let Some(item) = &route {
            let opted_out = |name| item.flag(name).then_some(Barred::OptedOut);
            let session = item.session([opted_out("a_opted_out"), opted_out("b_opted_out")])?;
            if !session.is_expired(now) {
                return Ok(Route::Live(session));
            }
        }
        let keys = [table::tn(tn), table::tn(sender), table::opt_outs(sender)];
        let found = self.calls.get_all(&keys).await?;
        Ok(match (&found[0], &found[1], route) {
            (None, ..) => Route::NotOurTn,
            (_, Some(_), _) => Route::SenderIsTn,
            (_, _, Some(item)) => Route::Expired(self.with_barred(&item).await?),
            (Some(item), _, None) => {
                let live = item.some_time("expires_at")?.is_none_or(|expiry| expiry > now);
                let in_use_since = item.some_time("in_use_since")?.filter(|_| live);
                Route::Stranger { barred: barred(tn, None, found[2].as_ref()), in_use_since }
            }
        })
    }
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
