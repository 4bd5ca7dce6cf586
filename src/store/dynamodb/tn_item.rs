//! The item of a TN: how many sessions it has, and its place in the free list.

use super::{change::Change, free_slot::FreeSlot, item::Item, keys};
use crate::{
    domain::{Choice, Number, Session, SessionId, Sharing, Unavailable, VirtualTn},
    store::Result,
};
use chrono::{DateTime, Utc};

/// A TN of the pool, with its sessions that are not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TnItem {
    pub(super) number: Number,
    pub(super) sessions: u32,
    /// The exclusive or of the ids of the sessions: of a single session it is the id.
    ids: u128,
    /// No session expires earlier.
    next_expiry: Option<DateTime<Utc>>,
    pub(super) draining: bool,
    /// Its entry in the free list; a TN that is full, or draining, has none.
    pub(super) slot: Option<FreeSlot>,
}

impl TnItem {
    /// A TN without sessions.
    pub(super) fn new(number: Number, draining: bool, slot: FreeSlot) -> Self {
        let slot = (!draining).then_some(slot);
        Self { number, sessions: 0, ids: 0, next_expiry: None, draining, slot }
    }

    pub(super) fn read(item: &Item) -> Result<Self> {
        let ids = item.get::<Option<String>>("session_ids")?.unwrap_or_default();
        Ok(Self {
            number: item.get("tn_number")?,
            sessions: item.get::<Option<u32>>("sessions")?.unwrap_or(0),
            ids: u128::from_str_radix(&ids, 16).unwrap_or(0),
            next_expiry: item.get("next_expiry")?,
            draining: item.get("draining")?,
            slot: item.get("free_slot")?,
        })
    }

    /// The item of a new TN.
    pub(super) fn write(&self, added_at: DateTime<Utc>) -> Item {
        Item::new(&keys::tn(self.number))
            .with("tn_number", self.number)
            .with("added_at", added_at)
            .with("draining", self.draining)
            .with("free_slot", self.slot.clone())
    }

    /// With one more session; it is full with `limit` of them.
    pub(super) fn with(&self, session: &Session, limit: u32) -> Self {
        let sessions = self.sessions + 1;
        Self {
            sessions,
            ids: self.ids ^ session.id.as_u128(),
            next_expiry: [self.next_expiry, session.expires_at].into_iter().flatten().min(),
            slot: self.slot.clone().filter(|_| sessions < limit),
            ..self.clone()
        }
    }

    /// Without this session, and open again with this entry in the free list.
    pub(super) fn without(&self, session: SessionId, slot: FreeSlot) -> Self {
        let sessions = self.sessions.saturating_sub(1);
        let left = Self {
            sessions,
            ids: self.ids ^ session.as_u128(),
            next_expiry: self.next_expiry.filter(|_| sessions > 0),
            ..self.clone()
        };
        left.open(slot)
    }

    /// Open for new sessions with this entry in the free list, unless it has one or is draining.
    pub(super) fn open(&self, slot: FreeSlot) -> Self {
        let slot = self.slot.clone().or(Some(slot)).filter(|_| !self.draining);
        Self { slot, ..self.clone() }
    }

    /// Without an entry in the free list.
    pub(super) fn closed(&self) -> Self {
        Self { slot: None, ..self.clone() }
    }

    /// Taking no new sessions, or taking them again.
    pub(super) fn drained(&self, draining: bool, slot: FreeSlot) -> Self {
        Self { draining, ..self.clone() }.open(slot)
    }

    /// With a session that expires then.
    pub(super) fn expiring(&self, expiry: Option<DateTime<Utc>>) -> Self {
        Self { next_expiry: [self.next_expiry, expiry].into_iter().flatten().min(), ..self.clone() }
    }

    /// Why it will not do for a session, if so.
    pub(super) fn obstacle(&self, choice: &Choice, sharing: &Sharing) -> Option<Unavailable> {
        choice.obstacle(self.number, Some((self.sessions, self.draining)), sharing)
    }

    /// Whether a session on it may have expired.
    pub(super) fn may_have_expired(&self, now: DateTime<Utc>) -> bool {
        self.next_expiry.is_some_and(|expiry| expiry <= now)
    }

    /// The TN with its live sessions, given those that have expired and are not ended.
    pub(super) fn live(&self, expired: &[Session]) -> VirtualTn {
        let own = expired.iter().filter(|session| session.tn == self.number);
        let (sessions, ids) = own.fold((self.sessions, self.ids), |(sessions, ids), session| {
            (sessions.saturating_sub(1), ids ^ session.id.as_u128())
        });
        let session = (sessions == 1).then(|| SessionId::from_u128(ids));
        VirtualTn { number: self.number, session, sessions, draining: self.draining }
    }

    /// The changes that make this TN the other, if it still is this one.
    pub(super) fn becoming(&self, to: &Self) -> Vec<Change> {
        let mut changes = vec![
            self.unchanged(Change::update(keys::tn(self.number)))
                .set("sessions", to.count())
                .set("session_ids", to.ids())
                .set("next_expiry", to.next_expiry)
                .set("draining", to.draining)
                .set("free_slot", to.slot.clone()),
        ];
        if self.slot != to.slot {
            changes.extend(self.slot.as_ref().map(delete));
            changes.extend(to.slot.as_ref().map(|slot| Change::put(slot.item(self.number))));
        }
        changes
    }

    /// The changes that remove it from the pool, if it still is this one.
    pub(super) fn removing(&self) -> Vec<Change> {
        let mut changes = vec![self.unchanged(Change::delete(keys::tn(self.number)))];
        changes.extend(self.slot.as_ref().map(delete));
        changes
    }

    fn unchanged(&self, change: Change) -> Change {
        change
            .when("attribute_exists(pk)")
            .when_equal("sessions", self.count())
            .when_equal("session_ids", self.ids())
            .when_equal("next_expiry", self.next_expiry)
            .when_equal("draining", self.draining)
            .when_equal("free_slot", self.slot.clone())
    }

    fn count(&self) -> Option<u32> {
        Some(self.sessions).filter(|sessions| *sessions > 0)
    }

    fn ids(&self) -> Option<String> {
        self.count().map(|_| format!("{:032x}", self.ids))
    }
}

fn delete(slot: &FreeSlot) -> Change {
    Change::delete(slot.key()).when("attribute_exists(pk)")
}
