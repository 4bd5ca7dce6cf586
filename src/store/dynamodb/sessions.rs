//! Sessions: opening on a free TN, ending, listing.

use super::{
    Dynamo,
    calls::{Committed, Patience},
    change::Change,
    item::{Item, at, int, text},
    table::{self, Key},
};
use crate::{
    domain::{Kind, NewSession, Outbound, Role, Session, SessionId},
    store::{EndCause, Leased, OpenSession, Result, State},
};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use std::collections::HashSet;

/// How many messages one transaction may cancel, besides what else it holds.
const CANCELLED_AT_ONCE: usize = 80;
/// How large these may be together, in bytes: a transaction is refused if its items have more than 4 MB, cancelled texts
/// included.
const CANCELLED_SIZE: usize = 3_000_000;
/// How many of them are read together: the largest that the webhook takes are 4 MB then.
const READ_AT_ONCE: usize = 16;

impl Dynamo {
    pub(super) async fn do_open(&self, new: NewSession, lease_until: DateTime<Utc>) -> Result<OpenSession> {
        let [a, b] = new.participants;
        let keys = [table::tn(a), table::tn(b), table::opt_outs(a), table::opt_outs(b), table::pool()];
        let found = self.calls.get_all(&keys).await?;
        for (role, item) in [(Role::A, &found[0]), (Role::B, &found[1])] {
            if item.is_some() {
                return Ok(OpenSession::ParticipantIsTn(role));
            }
        }
        let opted_out: HashSet<String> =
            found[2..4].iter().flatten().flat_map(|item| item.texts("opted_out")).collect();
        let pool_size = self.learn_pool_size(found[4].as_ref())?;
        let mut patience = Patience::new(self.calls.patience);
        loop {
            let Some((tn, place)) = self.draw(pool_size, &opted_out).await? else {
                return Ok(OpenSession::NoFreeTn);
            };
            let (session, notices) = new.on(tn);
            let mut changes = opening(&session, &notices, place);
            let (puts, notices) = self.leased(notices.into(), Some(lease_until));
            changes.extend(puts);
            let committed = match self.calls.transact(changes).await {
                Ok(committed) => committed,
                Err(error) => match self.calls.get(table::session(new.id)).await? {
                    // It happened, and nobody said so.
                    Some(_) => Committed::Done,
                    None => return Err(error),
                },
            };
            if committed.is_done() {
                return Ok(OpenSession::Opened { session, notices });
            }
            // The session is there already: an earlier try of ours succeeded, and its answer got lost.
            if let Some(item) = committed.stood_at(0) {
                let (session, notices) = new.on(item.parsed("tn_number")?);
                let (_, notices) = self.leased(notices.into(), Some(lease_until));
                return Ok(OpenSession::Opened { session, notices });
            }
            patience.wait("contention").await?;
        }
    }

    pub(super) async fn do_end(
        &self,
        id: SessionId,
        cause: EndCause,
        notices: Vec<Outbound>,
        now: DateTime<Utc>,
        lease_until: Option<DateTime<Utc>>,
    ) -> Result<Option<Vec<Leased>>> {
        let first = notices.first().map(|notice| table::message(notice.id));
        let (puts, leased) = self.leased(notices, lease_until);
        let mut patience = Patience::new(self.calls.patience);
        loop {
            let found = self.calls.get_all(&[table::session(id), table::pool()]).await?;
            self.learn_pool_size(found[1].as_ref())?;
            let Some(item) = &found[0] else {
                if cause == EndCause::Undone && !self.refuse_opening(id, now).await? {
                    continue;
                }
                return Ok(None);
            };
            if item.0.contains_key("ended_at") {
                // An earlier try of ours, whose answer got lost, if its notices are on record.
                let own = match &first {
                    Some(first) => self.calls.get(first.clone()).await?.is_some(),
                    None => false,
                };
                return Ok(own.then_some(leased));
            }
            let session = item.session([None, None])?;
            let may = match cause {
                EndCause::Deleted => !session.is_expired(now),
                EndCause::Expired => session.is_expired(now),
                EndCause::Undone => true,
            };
            if !may {
                return Ok(None);
            }
            let mut changes = self.ending(&session, cause, now);
            changes.extend(puts.clone());
            changes.extend(self.cancelling(id, cause, &item.texts("notices"), now).await?);
            match self.calls.transact(changes).await {
                Ok(Committed::Done) => return Ok(Some(leased)),
                // Somebody else ended it, or a message of it changed just now: look again.
                Ok(Committed::Refused(_)) => patience.wait("contention").await?,
                // It may have happened, and nobody said so.
                Err(error) => match self.calls.get(table::session(id)).await? {
                    Some(item) if item.0.contains_key("ended_at") => {}
                    _ => return Err(error),
                },
            }
        }
    }

    /// Leaves a mark where a session would stand whose opening may still be on its way, so that it is refused. `false`:
    /// it stands there by now.
    async fn refuse_opening(&self, id: SessionId, now: DateTime<Utc>) -> Result<bool> {
        let mut mark = Item::new(table::session(id));
        mark.set("ended_at", at(now));
        mark.set("ttl_at", int(self.ttl(now)));
        Ok(self.calls.transact(vec![Change::insert(mark)]).await?.is_done())
    }

    /// What ends a session, apart from its messages. The first of these holds only if the session has not ended and may
    /// end so.
    pub(super) fn ending(&self, session: &Session, cause: EndCause, now: DateTime<Utc>) -> Vec<Change> {
        let may = match cause {
            EndCause::Deleted => " AND (attribute_not_exists(expires_at) OR expires_at > :now)",
            EndCause::Expired => " AND expires_at <= :now",
            EndCause::Undone => "",
        };
        let place = self.place_again();
        let mut changes = vec![
            Change::update(table::session(session.id), "SET ended_at = :now, ttl_at = :ttl")
                .when(format!("attribute_exists(pk) AND attribute_not_exists(ended_at){may}"))
                .with("now", at(now))
                .with("ttl", int(self.ttl(now))),
            Change::delete(table::live(session.id, session.created_at)),
            Change::update(
                table::tn(session.tn),
                "SET free_place = :place REMOVE session_id, in_use_since, expires_at",
            )
            .when("session_id = :session")
            .with("place", text(place.to_string()))
            .with("session", text(session.id.to_string())),
            Change::put(place.item(session.tn)),
        ];
        for participant in session.participants {
            changes.push(Change::delete(table::route(session.tn, participant.number)));
        }
        changes
    }

    /// Cancels what waits and revokes what is on its way; with a session that is undone, its start notices too. Of more
    /// than is looked at or fits into one transaction, and of what the index does not show yet, the rest is withdrawn
    /// when somebody is about to send it.
    pub(super) async fn cancelling(
        &self,
        session: SessionId,
        cause: EndCause,
        notices: &[String],
        now: DateTime<Utc>,
    ) -> Result<Vec<Change>> {
        let undone = cause == EndCause::Undone;
        let mut keys = Vec::new();
        for id in notices.iter().filter(|_| undone) {
            keys.push(table::message(id.parse()?));
        }
        for entry in self.open_in(session).await? {
            let key = entry.key()?;
            if (undone || entry.kind()? == Kind::Relay) && !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys.truncate(CANCELLED_AT_ONCE);
        // The index lags behind: what the messages themselves say counts.
        let (mut changes, mut size) = (Vec::new(), 0);
        for keys in keys.chunks(READ_AT_ONCE) {
            for item in self.calls.get_all(keys).await?.into_iter().flatten() {
                if item.0.contains_key("settled_at") {
                    continue;
                }
                size += item.size()?;
                if size > CANCELLED_SIZE {
                    return Ok(changes);
                }
                changes.push(self.cancel(&item, now)?);
            }
        }
        Ok(changes)
    }

    fn cancel(&self, item: &Item, now: DateTime<Utc>) -> Result<Change> {
        let state = item.state()?;
        let change = if state == State::Waiting {
            let close = "SET message_state = :state, settled_at = :now, ttl_at = :ttl, reason_text = :reason \
                         REMOVE body_text, media_urls, open_pk, open_sk, unknown_sk";
            Change::update(item.key()?, close)
                .with("state", text(State::Cancelled.as_str()))
                .with("reason", text("the session has ended"))
                .with("now", at(now))
                .with("ttl", int(self.ttl(now)))
        } else {
            Change::update(item.key()?, "SET revoked = :yes").with("yes", AttributeValue::Bool(true))
        };
        let same = "attribute_not_exists(settled_at) AND message_state = :was AND lease_number = :lease";
        Ok(change.when(same).with("was", text(state.as_str())).with("lease", int(item.int("lease_number")?)))
    }
}

/// Whether this stands for a session that never was.
pub(super) fn is_mark(item: &Item) -> bool {
    !item.0.contains_key("tn_number")
}

/// What opens a session on its TN, which has this place in the draw; first comes the session itself.
pub(super) fn opening(session: &Session, notices: &[Outbound], place: Key) -> Vec<Change> {
    let mut changes = vec![
        Change::insert(session_item(session, notices)),
        take_tn(session),
        Change::delete(place).when("attribute_exists(pk)"),
        Change::put(live_item(session)),
    ];
    for participant in session.participants {
        let mut route = Item::new(table::route(session.tn, participant.number));
        route.set_session(session);
        changes.push(Change::insert(route));
    }
    changes
}

/// Binds the session's TN to it, if it is in the pool and free.
fn take_tn(session: &Session) -> Change {
    let take = match session.expires_at {
        Some(_) => "SET session_id = :session, in_use_since = :since, expires_at = :expiry REMOVE free_place",
        None => "SET session_id = :session, in_use_since = :since REMOVE free_place, expires_at",
    };
    let change = Change::update(table::tn(session.tn), take)
        .when("attribute_exists(pk) AND attribute_not_exists(session_id)")
        .with("session", text(session.id.to_string()))
        .with("since", at(session.created_at));
    match session.expires_at {
        Some(expiry) => change.with("expiry", at(expiry)),
        None => change,
    }
}

pub(super) fn session_item(session: &Session, notices: &[Outbound]) -> Item {
    let mut item = Item::new(table::session(session.id));
    item.set_session(session);
    // If the start is undone, these are found without an index.
    item.set(
        "notices",
        AttributeValue::L(notices.iter().map(|notice| text(notice.id.to_string())).collect()),
    );
    item
}

fn live_item(session: &Session) -> Item {
    let mut item = Item::new(table::live(session.id, session.created_at));
    item.set_session(session);
    if let Some(expiry) = session.expires_at {
        let place = table::open_place(table::EXPIRY, expiry, session.created_at, &session.id);
        item.set("open_pk", text(table::open_of(session.id)));
        item.set("open_sk", text(place));
    }
    item
}

impl Dynamo {
    /// Puts messages on record: leased until `lease_until`, or due at once without it; those to somebody who is barred as
    /// failed.
    pub(super) fn leased(
        &self,
        messages: Vec<Outbound>,
        lease_until: Option<DateTime<Utc>>,
    ) -> (Vec<Change>, Vec<Leased>) {
        let mut changes = Vec::new();
        let mut leased = Vec::new();
        for outbound in messages {
            let (state, attention) = match (outbound.text.barred, lease_until) {
                (Some(_), _) => (State::Failed, outbound.created_at),
                (None, Some(until)) => (State::Sending, until),
                (None, None) => (State::Waiting, outbound.created_at),
            };
            let taken = i64::from(state == State::Sending);
            let mut item = Item::message(&outbound, state, attention);
            item.set("lease_number", int(taken));
            item.set("attempts", int(taken));
            if state == State::Failed {
                item.set("ttl_at", int(self.ttl(outbound.created_at)));
            }
            if taken == 1 {
                item.set("lease_until", at(attention));
                item.set("attempted_at", at(outbound.created_at));
                leased.push(Leased { outbound, lease: 1 });
            }
            changes.push(Change::insert(item));
        }
        (changes, leased)
    }
}
