//! Messages as items: every attribute of a message, and every expression on one.

use super::{
    Dynamo,
    change::Change,
    item::{Attribute, Item, Values},
    keys,
};
use crate::{
    domain::{
        Content, Delivery, EarlierText, Kind, Message, MessageId, Number, Outbound, Role, State, Status,
        Text, is_beyond_limit,
    },
    store::{Result, StoreError},
};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use std::collections::HashSet;

/// Converts the fields of a type to attributes and back.
macro_rules! fields {
    ($type:ident, $attributes:ident, $read:ident { $($field:ident: $name:literal),* $(,)? }) => {
        fn $attributes(of: &$type) -> Vec<(&'static str, Option<AttributeValue>)> {
            vec![$(($name, of.$field.write())),*]
        }

        fn $read(item: &Item) -> Result<$type> {
            Ok($type { $($field: item.get($name)?),* })
        }
    };
}

fields!(
    Status,
    status,
    read_status {
        state: "message_state",
        lease: "lease_number",
        lease_until: "lease_until",
        due_at: "due_at",
        attempts: "attempts",
        attempted_at: "attempted_at",
        absent_at: "absent_at",
        revoked: "revoked",
        provider_id: "sent_as",
        reason: "reason_text",
        delivery: "delivery_receipt",
        settled_at: "settled_at",
    }
);
fields!(Delivery, delivery, read_delivery { level: "level", status: "status", code: "code", at: "at" });

impl Attribute for Delivery {
    fn write(&self) -> Option<AttributeValue> {
        Some(AttributeValue::M(Item(Values::new()).with_all(delivery(self)).0))
    }

    fn read(value: Option<&AttributeValue>) -> Option<Self> {
        read_delivery(&Item(value?.as_m().ok()?.clone())).ok()
    }
}

pub(super) fn read(item: &Item) -> Result<Message> {
    let text = Text {
        kind: item.get("message_kind")?,
        session: item.get("session_id")?,
        from: item.get("from_tn")?,
        to: item.get("recipient")?,
        to_role: item.get("to_role")?,
        blocked: None,
        content: Content {
            body: item.get::<Option<String>>("body_text")?.unwrap_or_default(),
            media_urls: item.get("media_urls")?,
        },
    };
    let outbound = Outbound { id: item.get("message_id")?, created_at: item.get("created_at")?, text };
    let message = Message { outbound, status: read_status(item)? };
    if message.is_settled() || pending_since(&message).is_some() {
        Ok(message)
    } else {
        Err(StoreError::Unreadable("a message's state and times contradict each other".into()))
    }
}

/// Reads a message, if the item is one and not a tombstone.
pub(super) fn read_stored(item: Option<&Item>) -> Result<Option<Message>> {
    item.filter(|item| !is_tombstone(item)).map(read).transpose()
}

/// Whether the item is the tombstone of a text that caused no message.
pub(super) fn is_tombstone(item: &Item) -> bool {
    !item.has("message_state")
}

/// The attributes that [`keys::BY_PENDING`] has of a message, and that differ when it is settled.
const PENDING: [&str; 3] = ["pending_pk", "pending_sk", "has_media"];

/// The rank of relays in [`pair_sk`]. Replies to strangers have it too; they are to nobody who is in a session.
const RELAY: u8 = 1;
/// What is added in [`pair_sk`] for a relay that is beyond the limit of its sender.
const BEYOND: u8 = 2;

/// The sort key in [`keys::BY_PAIR`]: of messages created together starts are before ends, A's before B's, and a relay
/// before the notice that it failed. It tells which relays are beyond the limit of their sender: [`earlier_text`].
pub(super) fn pair_sk(message: &Message) -> String {
    let Outbound { id, created_at, text } = &message.outbound;
    let rank = match text.kind {
        Kind::Start => 0,
        Kind::Relay | Kind::NoSession => RELAY,
        Kind::NotDelivered => 2,
        Kind::End | Kind::Expired => 3,
    };
    let side = u8::from(text.to_role == Some(Role::B));
    let beyond = if is_beyond_limit(message.status.reason.as_deref()) { BEYOND } else { 0 };
    format!("{}-{:02}-{id}", keys::sortable(*created_at), 10 * rank + side + beyond)
}

/// The relay that has this sort key in [`keys::BY_PAIR`]; `None`: it is that of something else.
pub(super) fn earlier_text(pair_sk: &str) -> Option<EarlierText> {
    let [at, order, id] = pair_sk.split('-').collect::<Vec<_>>().try_into().ok()?;
    let order: u8 = order.parse().ok()?;
    let at = DateTime::from_timestamp_millis(at.parse().ok()?)?;
    (order / 10 == RELAY).then_some(EarlierText { id: id.parse().ok()?, at, is_beyond: order % 10 >= BEYOND })
}

/// The sort key in [`keys::BY_PENDING`] that the message has, or would have, while it is unknown.
pub(super) fn unknown_sk(message: &Message) -> String {
    pending_sk(message, State::Unknown, message.attempted_at())
}

fn pending_sk(message: &Message, state: State, since: DateTime<Utc>) -> String {
    let Outbound { id, created_at, .. } = &message.outbound;
    keys::pending_sk(state.as_str(), since, *created_at, id)
}

/// When a message that is not settled is due in [`keys::BY_PENDING`].
fn pending_since(message: &Message) -> Option<DateTime<Utc>> {
    let status = &message.status;
    match status.state {
        _ if message.is_settled() => None,
        State::Sending => status.lease_until,
        State::Waiting => status.due_at,
        State::Unknown => Some(message.attempted_at()),
        State::Sent | State::Failed | State::Cancelled => None,
    }
}

/// The estimated size of the message in a transaction, in bytes. All but its content is under 1 KB.
pub(super) fn size(message: &Message) -> usize {
    let Content { body, media_urls } = &message.outbound.text.content;
    1_000 + body.len() + media_urls.iter().map(String::len).sum::<usize>()
}

pub(super) fn leased(mut messages: Vec<Message>) -> Vec<Message> {
    messages.retain(|message| message.status.state == State::Sending);
    messages
}

impl Dynamo {
    /// A stored message, as it is now.
    pub(super) async fn message(&self, id: MessageId) -> Result<Option<Message>> {
        read_stored(self.calls.get(keys::message(id)).await?.as_ref())
    }

    /// The stored message with this id, if there is an id.
    pub(super) async fn some_message(&self, id: Option<MessageId>) -> Result<Option<Message>> {
        match id {
            Some(id) => self.message(id).await,
            None => Ok(None),
        }
    }

    pub(super) fn insert(&self, message: &Message) -> Change {
        Change::insert(keys::message(message.outbound.id), self.item(message))
    }

    /// Changes a stored message, if its status is still that of `from`. `None`: nothing differs.
    ///
    /// A message that is settled while it is being sent keeps its entry in the pending index: that saves a write unit.
    pub(super) fn transition(&self, from: &Message, to: &Message) -> Option<Change> {
        let (was, becomes) = (self.item(from).0, self.item(to).0);
        if was == becomes {
            return None;
        }
        let mut change = Change::update(keys::message(from.outbound.id));
        for (name, value) in status(&from.status) {
            change = change.when_equal(name, value);
        }
        let keeps_entry = from.status.state == State::Sending && to.is_settled();
        for name in was.keys().chain(becomes.keys()).collect::<HashSet<_>>() {
            let is_kept = keeps_entry && PENDING.contains(&name.as_str());
            if was.get(name) != becomes.get(name) && !is_kept {
                change = change.set(name, becomes.get(name).cloned());
            }
        }
        Some(change)
    }

    /// Inserts the tombstone of a text that caused no message.
    pub(super) fn tombstone(&self, id: MessageId, received_at: DateTime<Utc>) -> Change {
        Change::insert(keys::message(id), self.tombstone_item(id, received_at))
    }

    /// Puts such a tombstone in the place of a message, whatever its state, while its recipient is this person.
    pub(super) fn erasing(&self, id: MessageId, recipient: Number, now: DateTime<Utc>) -> Change {
        Change::put(self.tombstone_item(id, now)).when_equal("recipient", Some(recipient))
    }

    fn tombstone_item(&self, id: MessageId, received_at: DateTime<Utc>) -> Item {
        let item = Item::new(&keys::message(id)).with("received_at", received_at);
        item.with("ttl_at", self.ttl(received_at))
    }

    /// All attributes of a message.
    fn item(&self, message: &Message) -> Item {
        let Outbound { id, created_at, text } = &message.outbound;
        let provider_id =
            message.status.provider_id.clone().filter(|id| self.receipts_by_provider_id && !id.is_empty());
        let item = Item::new(&keys::message(*id))
            .with("message_id", *id)
            .with("message_kind", text.kind)
            .with("session_id", text.session)
            .with("from_tn", text.from)
            .with("recipient", text.to)
            .with("to_role", text.to_role)
            .with("created_at", *created_at)
            .with("pair_pk", keys::pair(text.from, text.to))
            .with("pair_sk", pair_sk(message))
            .with("provider_id", provider_id)
            .with("ttl_at", message.status.settled_at.map(|settled_at| self.ttl(settled_at)))
            .with_all(status(&message.status));
        let Some(since) = pending_since(message) else { return item };
        let Content { body, media_urls } = &text.content;
        item.with("pending_pk", text.session.map_or_else(|| keys::pending_of(id), |id| keys::pending_of(&id)))
            .with("pending_sk", pending_sk(message, message.status.state, since))
            .with("body_text", body.clone())
            .with("has_media", !media_urls.is_empty())
            .with("media_urls", media_urls.clone())
    }
}
