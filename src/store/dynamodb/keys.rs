//! The key layout of the table: primary keys, indexes and their shards.

use crate::domain::{MessageId, Number, PersonHash, Session, SessionId};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use std::{collections::HashMap, fmt::Display};

/// The table or an index of it: its name, and the attributes of its keys.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) name: Option<&'static str>,
    pub(super) pk: &'static str,
    pub(super) sk: &'static str,
}

pub(super) const TABLE: Index = Index { name: None, pk: "pk", sk: "sk" };
/// Finds pending records (sessions that will expire, messages that are not settled) by their kind ([`EXPIRY`], or a
/// message's state) and by when they are due. A message that was settled while it was being sent keeps its entry.
pub(super) const BY_PENDING: Index = Index { name: Some("by_pending"), pk: "pending_pk", sk: "pending_sk" };
/// Finds messages by sender and recipient, in the order of their creation.
pub(super) const BY_PAIR: Index = Index { name: Some("by_pair"), pk: "pair_pk", sk: "pair_sk" };
/// Finds messages by the provider's id, if receipts may name nothing else. It has no sort key.
pub(super) const BY_PROVIDER: Index = Index { name: Some("by_provider"), pk: "provider_id", sk: "" };

/// The attributes that [`BY_PENDING`] projects besides the keys.
pub(super) const PENDING_ATTRIBUTES: [&str; 4] = ["item_version", "session_id", "has_media", "created_at"];

pub(super) const FREE_SHARDS: u32 = 8;
/// Few, since a round of maintenance looks into each: together they take 4,000 writes a second, one for each text.
pub(super) const PENDING_SHARDS: u32 = 4;
/// The kind of sessions that will expire, in [`BY_PENDING`]. It sorts before the states of messages.
pub(super) const EXPIRY: &str = "EXPIRY";
/// The list of live sessions is sharded by the first digit of their ids.
pub(super) const LIVE_SHARDS: &str = "0123456789abcdef";
/// The pool is sharded by the last digit of its numbers.
pub(super) const TN_SHARDS: &str = "0123456789";

/// A primary key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) pk: String,
    pub(super) sk: String,
}

impl Key {
    fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }

    pub(super) fn attributes(&self) -> HashMap<String, AttributeValue> {
        [("pk", &self.pk), ("sk", &self.sk)]
            .map(|(name, value)| (name.to_owned(), AttributeValue::S(value.clone())))
            .into()
    }
}

pub(super) fn tn(tn: Number) -> Key {
    let digits = tn.digits();
    Key::new(format!("TN#{}", &digits[digits.len() - 1..]), digits)
}

pub(super) fn free(shard: u32, sort_key: &str) -> Key {
    Key::new(free_shard(shard), sort_key)
}

pub(super) fn free_shard(shard: u32) -> String {
    format!("FREE#{shard}")
}

pub(super) fn pool() -> Key {
    Key::new("POOL", "POOL")
}

pub(super) fn session(id: SessionId) -> Key {
    Key::new(format!("S#{id}"), "S")
}

pub(super) fn live(session: &Session) -> Key {
    let id = session.id.to_string();
    Key::new(format!("LIVE#{}", &id[..1]), format!("{}-{id}", sortable(session.created_at)))
}

pub(super) fn route(tn: Number, sender: Number) -> Key {
    Key::new(person(sender), format!("R#{}", tn.digits()))
}

/// The TN of a route, if the key is one of a route.
pub(super) fn tn_of_route(key: &Key) -> Option<Number> {
    key.sk.strip_prefix("R#")?.parse().ok()
}

/// The partition of a person's routes and reply counters.
pub(super) fn person(number: Number) -> String {
    format!("P#{}", number.digits())
}

pub(super) fn opt_outs(person: PersonHash) -> Key {
    Key::new(format!("P#{person}"), "OPT")
}

pub(super) fn opt_out_key() -> Key {
    Key::new("OPT_OUT_KEY", "OPT_OUT_KEY")
}

/// The counters of replies to this stranger from this TN, and to all strangers.
pub(super) fn reply_counters(tn: Number, stranger: Number) -> [Key; 2] {
    [Key::new(person(stranger), format!("A#{}", tn.digits())), Key::new("ANSWERS", "A")]
}

pub(super) fn message(id: MessageId) -> Key {
    Key::new(format!("M#{id}"), "M")
}

/// A row of the provider's message list that is credited to a message.
pub(super) fn credit(provider_id: &str) -> Key {
    Key::new(format!("C#{provider_id}"), "C")
}

pub(super) fn drain_lease() -> Key {
    Key::new("DRAIN", "DRAIN")
}

/// How far expired leases were looked for by programs that read items up to this version. A newer release has a cursor of
/// its own: it has to look at what this one has skipped.
pub(super) fn sweep_cursor(version: i64) -> Key {
    Key::new("SWEPT", format!("V{version}"))
}

/// An item that is written to find out whether the table can be written.
pub(super) fn test_write() -> Key {
    Key::new("TEST_WRITE", "TEST_WRITE")
}

pub(super) fn pair(from: Number, to: Number) -> String {
    format!("PAIR#{}#{}", from.digits(), to.digits())
}

/// A time as text that sorts like the time.
pub(super) fn sortable(time: DateTime<Utc>) -> String {
    format!("{:015}", time.timestamp_millis())
}

pub(super) fn pending_shard(shard: u32) -> String {
    format!("PENDING#{shard}")
}

/// The shard of [`BY_PENDING`] of a session and its messages, or of a message without a session.
pub(super) fn pending_of(id: &impl Display) -> String {
    pending_shard(u32::from_str_radix(&id.to_string()[..2], 16).unwrap_or(0) % PENDING_SHARDS)
}

/// A sort key in [`BY_PENDING`]: the kind, then when it is due.
pub(super) fn pending_sk(
    kind: &str,
    due: DateTime<Utc>,
    created_at: DateTime<Utc>,
    id: &impl Display,
) -> String {
    format!("{kind}#{}#{}#{id}", sortable(due), sortable(created_at))
}

/// When it is due, from a sort key in [`BY_PENDING`].
pub(super) fn pending_due(sk: &str) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(sk.split('#').nth(1)?.parse().ok()?)
}
