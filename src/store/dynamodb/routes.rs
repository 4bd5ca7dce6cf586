//! Who a sender is to a TN.

use super::{
    Dynamo, keys,
    opt_outs::{blocked, blocked_keys, fill_blocked, read_route},
    quota::{Counter, counters},
    session_items::has_session,
};
use crate::{
    domain::{Blocked, Number, Route, Session},
    store::Result,
};
use chrono::{DateTime, Utc};

/// A route, and the counters of replies to the sender, if the sender is a stranger.
pub(super) type Found = (Route, Option<[Counter; 2]>);

impl Dynamo {
    /// The route from this sender to this TN: a consistent read of its item, and of the items that it depends on.
    pub(super) async fn route(&self, tn: Number, sender: Number, now: DateTime<Utc>) -> Result<Found> {
        let Some(item) = self.calls.get(keys::route(tn, sender)).await?.filter(has_session) else {
            return self.stranger(tn, sender).await;
        };
        let session = read_route(&item)?;
        let route = match session.is_expired(now) {
            true => self.expired(session, sender).await?,
            false => Route::live(session, item.get("previous_end")?, now),
        };
        Ok((route, None))
    }

    async fn expired(&self, session: Session, sender: Number) -> Result<Route> {
        let mut keys = vec![keys::tn(session.tn), keys::pool()];
        keys.extend(blocked_keys(&session, &self.opt_out_key().await?));
        let found = self.calls.get_all(&keys).await?;
        if found[0].is_none() {
            return Ok(Route::NotOurTn);
        }
        // For the caller, which ends the session: its TN becomes free.
        self.pool_item(found[1].as_ref())?;
        let session = fill_blocked(session, &found[2..])?;
        let is_tn = session.sides(sender).is_some_and(|(own, _)| own.blocked == Some(Blocked::IsTn));
        Ok(if is_tn { Route::SenderIsTn } else { Route::Expired(session) })
    }

    async fn stranger(&self, tn: Number, sender: Number) -> Result<Found> {
        let [replies, all_replies] = keys::reply_counters(tn, sender);
        let keys = [keys::tn(tn), keys::tn(sender), self.opt_outs_of(sender).await?, replies, all_replies];
        let found = self.calls.get_all(&keys).await?;
        let route = match (&found[0], &found[1]) {
            (None, _) => Route::NotOurTn,
            (_, Some(_)) => Route::SenderIsTn,
            (Some(_), None) => Route::Stranger { blocked: blocked(tn, None, found[2].as_ref())? },
        };
        Ok((route, Some(counters(&found[3..])?)))
    }
}
