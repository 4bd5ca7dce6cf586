//! Receives texts: route, decide and store, in one optimistic write.

use super::{
    Dynamo,
    change::Change,
    keys,
    messages::leased,
    quota::{Counter, counters},
};
use crate::{
    domain::{Decision, EndCause, Kind, Message, Route, Text, Turn},
    store::{Arrival, Decide, Received, Result},
};

impl Dynamo {
    /// Makes one attempt to receive a text. `None`: what was read had changed, and nothing was stored.
    pub(super) async fn try_receive(&self, arrival: &Arrival, decide: &Decide) -> Result<Option<Received>> {
        let Arrival { inbound, now, lease_until, sender_limit, .. } = arrival;
        let (route, counters) = self.route(inbound.to, inbound.from, *now).await?;
        let (session, mut also) = (route.live_session().cloned(), Vec::new());
        let mut texts = match (decide(&route), route) {
            (Decision::Ignore(reason), route) => return self.ignore(arrival, &route, reason).await,
            (Decision::Expire(notices), Route::Expired(session)) => {
                also.extend(self.ending(&session, EndCause::Expired, *now).await?);
                also.extend(self.withdrawing(&session, EndCause::Expired, &[], *now).await?);
                // A transaction must not have an item twice.
                let own = inbound.dedupe_key().map(keys::message);
                if own.is_some_and(|own| also.iter().any(|change| change.updates() == Some(&own))) {
                    return Ok(Some(Received::Duplicate));
                }
                notices
            }
            (Decision::Send(texts) | Decision::Expire(texts), _) => texts,
            (Decision::Opt(change), _) => {
                also.extend(self.opting(change).await?);
                Vec::new()
            }
        };
        also.extend(self.apply_quota(&mut texts, arrival, counters).await?);
        let turn = self.turn(session.as_ref(), &texts, *sender_limit, *now).await?;
        let caused = inbound.cause(texts, *now);
        let new = |outbound| Message::in_turn(outbound, *lease_until, turn);
        let messages: Vec<Message> = caused.messages.into_iter().map(new).collect();
        let undelivered = messages.iter().find_map(|message| message.undelivered(None));
        also.extend(self.telling(undelivered, *now).await?);
        // The first part has the dedupe key: it is refused if the text is a duplicate.
        let mut changes = Vec::from_iter(caused.tombstone.map(|id| self.tombstone(id, *now)));
        changes.extend(messages.iter().map(|message| self.insert(message)));
        changes.extend(also);
        Ok(match self.calls.write(changes).await? {
            Ok(()) if turn != Turn::Now => Some(Received::Limited(turn)),
            Ok(()) => Some(Received::Stored(leased(messages))),
            Err(refused) => (inbound.id.is_some() && refused.contains(&0)).then_some(Received::Duplicate),
        })
    }

    /// Counts a reply to a stranger, or drops it if the quota is used up.
    async fn apply_quota(
        &self,
        texts: &mut Vec<Text>,
        arrival: &Arrival,
        counted: Option<[Counter; 2]>,
    ) -> Result<Vec<Change>> {
        let is_reply = |text: &Text| text.kind == Kind::NoSession;
        if !texts.iter().any(is_reply) {
            return Ok(Vec::new());
        }
        let (tn, stranger) = (arrival.inbound.to, arrival.inbound.from);
        let counted = match counted {
            Some(counted) => counted,
            None => counters(&self.calls.get_all(&keys::reply_counters(tn, stranger)).await?)?,
        };
        let changes = self.count_reply([tn, stranger], counted, arrival.quota, arrival.now);
        if changes.is_none() {
            texts.retain(|text| !is_reply(text));
        }
        Ok(changes.unwrap_or_default())
    }
}
