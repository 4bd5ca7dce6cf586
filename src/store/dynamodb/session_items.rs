//! Sessions as items: the session itself, its entry in the list of live sessions, and its two routes.

use super::{
    Dynamo,
    change::Change,
    item::{Attribute, Item},
    keys::{self, Key},
    tn_item::TnItem,
};
use crate::{
    domain::{Blocked, EndCause, MessageId, Number, Participant, Role, Session, SessionId},
    store::Result,
};
use chrono::{DateTime, Utc};

/// The attribute of a route that says that this participant has opted out.
pub(super) fn route_flag(role: Role) -> &'static str {
    match role {
        Role::A => "a_opted_out",
        Role::B => "b_opted_out",
    }
}

/// The attributes of a route that are those of its session.
const OF_SESSION: [&str; 8] = [
    "session_id",
    "tn_number",
    "person_a",
    "person_b",
    "created_at",
    "expires_at",
    "a_opted_out",
    "b_opted_out",
];

/// An item with the attributes of a session, which all its items have.
fn session_item(key: &Key, session: &Session) -> Item {
    let [a, b] = session.participants;
    Item::new(key)
        .with("session_id", session.id)
        .with("tn_number", session.tn)
        .with("person_a", a.number)
        .with("person_b", b.number)
        .with("created_at", session.created_at)
        .with("expires_at", session.expires_at)
}

/// Reads the session from any of its items, without who is blocked.
pub(super) fn read(item: &Item) -> Result<Session> {
    let participant = |role, name| -> Result<Participant> {
        Ok(Participant { role, number: item.get(name)?, blocked: None })
    };
    Ok(Session {
        id: item.get("session_id")?,
        tn: item.get("tn_number")?,
        participants: [participant(Role::A, "person_a")?, participant(Role::B, "person_b")?],
        created_at: item.get("created_at")?,
        expires_at: item.get("expires_at")?,
    })
}

/// Whether the session of the item has ended. Tombstones count as ended.
pub(super) fn is_ended(item: &Item) -> bool {
    item.has("ended_at")
}

/// Whether the item is the tombstone of a session that was rolled back before it was stored.
pub(super) fn is_tombstone(item: &Item) -> bool {
    !item.has("tn_number")
}

/// Whether the item, a route, is that of a session, and not only of the end of one.
pub(super) fn has_session(item: &Item) -> bool {
    item.has("session_id")
}

/// Whether the item is that of a live session.
pub(super) fn is_live(item: Option<&Item>, now: DateTime<Utc>) -> Result<bool> {
    item.filter(|item| !is_ended(item)).map_or(Ok(false), |item| item.is_unexpired(now))
}

/// Requires that the session has not ended.
pub(super) fn while_not_ended(change: Change) -> Change {
    change.when("attribute_exists(pk)").when_absent("ended_at")
}

pub(super) fn not_ended(id: SessionId) -> Change {
    while_not_ended(Change::check(keys::session(id)))
}

/// The place of the TN's change among those of [`opening`].
pub(super) const TN_PART: usize = 2;

/// The entry in the list of live sessions.
fn live_entry(session: &Session) -> Item {
    let live = session_item(&keys::live(session), session);
    let Some(expiry) = session.expires_at else { return live };
    let sk = keys::pending_sk(keys::EXPIRY, expiry, session.created_at, &session.id);
    live.with("pending_pk", keys::pending_of(&session.id)).with("pending_sk", sk)
}

/// Changes when a session expires, if it has not ended and its expiry is still that of `from`.
pub(super) fn expiring(from: &Session, to: &Session, tn: &TnItem) -> Vec<Change> {
    let route = |participant: Participant| {
        let route = Change::update(keys::route(from.tn, participant.number));
        route.when_equal("session_id", Some(from.id)).set("expires_at", to.expires_at)
    };
    let mut changes = vec![
        while_not_ended(Change::update(keys::session(from.id)))
            .when_equal("expires_at", from.expires_at)
            .set("expires_at", to.expires_at),
        Change::put(live_entry(to)),
    ];
    changes.extend(tn.becoming(&tn.expiring(to.expires_at)));
    changes.extend(from.participants.map(route));
    changes
}

/// Opens a session on its TN, which is full with `limit` of them. The first change is that of the session.
pub(super) fn opening(
    session: &Session,
    notices: Vec<MessageId>,
    request: Option<String>,
    tn: &TnItem,
    limit: u32,
) -> Vec<Change> {
    // The route keeps when the participant's previous session on the TN ended.
    let route = |participant: Participant| {
        let key = keys::route(session.tn, participant.number);
        // Only an imported session may have a participant who has opted out.
        let opted_out = session.participants.iter().filter(|who| who.blocked == Some(Blocked::OptedOut));
        let flags = opted_out.map(|who| (route_flag(who.role), true.write()));
        let item = session_item(&key, session).with_all(flags);
        Change::update(key).when_absent("session_id").set_all(item).remove("ttl_at")
    };
    let key = keys::session(session.id);
    let mut changes = vec![
        // The start notices, so that a rollback finds them without an index.
        Change::insert(
            key.clone(),
            session_item(&key, session).with("notices", notices).with("request_hash", request),
        ),
        Change::put(live_entry(session)),
    ];
    changes.extend(tn.becoming(&tn.with(session, limit)));
    changes.extend(session.participants.map(route));
    changes
}

/// The item of a session that has ended.
pub(super) fn ended(session: &Session, request: Option<String>, ended_at: DateTime<Utc>) -> Item {
    session_item(&keys::session(session.id), session).with("ended_at", ended_at).with("request_hash", request)
}

impl Dynamo {
    /// Ends a session, without its messages. The first change requires that it has not ended, and expires when it did.
    pub(super) async fn ending(
        &self,
        session: &Session,
        cause: EndCause,
        now: DateTime<Utc>,
    ) -> Result<Vec<Change>> {
        let mut changes = vec![
            while_not_ended(Change::update(keys::session(session.id)))
                .when_equal("expires_at", session.expires_at)
                .set("ended_at", now)
                .set("ttl_at", self.ttl(now)),
            Change::delete(keys::live(session)),
        ];
        if let Some(tn) = self.tn_item(session.tn).await? {
            changes.extend(tn.becoming(&tn.without(session.id, self.slot_of_freed())));
        }
        let [a, b] = session.participants.map(|participant| participant.number);
        let ended_route = |[person, partner]: [Number; 2]| {
            let key = keys::route(session.tn, person);
            if cause.is_past() {
                let route = Item::new(&key).with("previous_end", now).with("previous_partner", partner);
                return Change::put(route.with("ttl_at", self.ttl(now)));
            }
            // What it has of an earlier session stays.
            let route = Change::update(key).when_equal("session_id", Some(session.id));
            OF_SESSION.iter().fold(route, |route, name| route.remove(name)).set("ttl_at", self.ttl(now))
        };
        changes.extend([[a, b], [b, a]].map(ended_route));
        Ok(changes)
    }

    /// Keeps the end of a session in its routes, unless they have a later one.
    pub(super) async fn keep_end(&self, session: &Session, ended_at: DateTime<Utc>) -> Result<()> {
        let [a, b] = session.participants.map(|participant| participant.number);
        for [person, partner] in [[a, b], [b, a]] {
            let route = Change::upsert(keys::route(session.tn, person))
                .when("attribute_not_exists(previous_end) OR previous_end < :previous_end")
                .set("previous_end", ended_at)
                .set("previous_partner", partner);
            let without_session = route.clone().when_absent("session_id").set("ttl_at", self.ttl(ended_at));
            if self.calls.write(vec![without_session]).await?.is_err() {
                let _has_a_later_one = self.calls.write(vec![route]).await?;
            }
        }
        Ok(())
    }

    /// Stores a tombstone, so that a late write cannot open the session. `false`: the session is already stored.
    pub(super) async fn refuse_opening(&self, id: SessionId, now: DateTime<Utc>) -> Result<bool> {
        let key = keys::session(id);
        let tombstone = Item::new(&key).with("ended_at", now).with("ttl_at", self.ttl(now));
        Ok(self.calls.write(vec![Change::insert(key, tombstone)]).await?.is_ok())
    }
}
