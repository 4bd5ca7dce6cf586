//! The one table: its keys, its indexes, and how it is made.
//!
//! | item | `pk` | `sk` |
//! |---|---|---|
//! | virtual TN | `TN#` last digit | the number |
//! | free TN | `FREE#` shard | random, new each time it becomes free |
//! | about how many TNs there are | `POOL` | `POOL` |
//! | session | `S#` id | `S` |
//! | live session, for lists | `LIVE#` shard | creation time and id |
//! | route | `P#` sender | `R#` TN |
//! | opt-outs of a person | `P#` person | `OPT` |
//! | answers to a stranger, and to all | `P#` person, or `ANSWERS` | `A#` TN, or `A` |
//! | message, or inbound text that led to none | `M#` id | `M` |
//! | a row of the provider's list that is credited | `C#` its id | `C` |
//! | delivery receipt | `M#` id | `L#` level |
//! | the one who drains the outbox | `DRAIN` | `DRAIN` |
//!
//! # What operations cost
//!
//! Calls, and the read and write units that AWS charges for them, whatever the size of the pool. `tests/it/budgets.rs`
//! holds the service to this.
//!
//! | what happens | GetItem | BatchGetItem | Query | TransactWriteItems | UpdateItem | read units | write units |
//! |---|---|---|---|---|---|---|---|
//! | a participant's text is relayed | 1 | | | 1 | 1 | 1 | 9 |
//! | a text comes again | 1 | | | 1 | | 1 | see below |
//! | a stranger is answered | 1 | 1 | | 1 | 1 | 6 | 11 |
//! | a stranger is answered no more | 1 | 1 | | 1 | | 6 | 2 |
//! | a text from a TN, or to none of ours | 1 | 1 | | | | 6 | 0 |
//! | a late text ends its session | 1 | 1 | 1 | 1 | 2 | 7.5 | 27 |
//! | a session opens | | 1 | 1 | 1 | 2 | 6 | 27, or 26 without an expiry |
//! | a session is ended by its users | 1 | 2 | 1 | 1 | 2 | 7.5 | 27, or 26 |
//! | a text is too old | 1 | | | | | 1 | 0 |
//! | a participant opts out, or in again | 2 | | | 1 | | 2 | 8 |
//! | a delivery receipt comes | 1 | | 1 | 1 | | 1.5 | 4 |
//! | a session is shown | 1 | 1 | | | | 5 | 0 |
//! | a TN is added | 1 | | 1 | 1 | | 2 | 4, or 6 if it counts (see `place`) |
//! | a TN is removed | 1 | | | 1 | | 1 | 4, or 6 if it counts |
//! | a round of maintenance finds nothing | | | 128 | | | 64 | 0 |
//! | a round sends one text | 1 | 1 | 192 | 2 | 3 | 100 | 13 |
//!
//! - In Lambda a round also counts what is open and free, for the operator: 72 queries, 40 read units or more. Of each it
//!   reads about 1,000 entries at most, however much there is.
//! - Items under 1 KB are counted, which a text of up to 400 bytes leads to. Each further KB of it costs a participant's
//!   text 3 write units more.
//! - Opening a session takes another query when no free TN is on the larger side of a random place: with ten free ones in
//!   a small pool, one time in a thousand; with three, one in twenty. A pool that is large, or was, and has few free
//!   ones takes up to sixteen.
//! - Ending a session that has texts in the outbox takes a BatchGetItem more for each 16 of them, and 2 write units for
//!   each and those of its index entries.
//! - AWS charges for the transaction that a repeated text is refused with too, which no engine of the tests says: 4 write
//!   units, if it is what the items alone would have cost.
//!
//! Of a participant's 9 write units, 4 are for the message and its entries in [`BY_OPEN`] and [`BY_PAIR`], 2 for the
//! check that the session is live, and 3 for settling it: the message, the entry that goes and the one in
//! [`BY_PROVIDER`].

use crate::domain::{MessageId, Number, SessionId};
use aws_sdk_dynamodb::{
    Client,
    error::ProvideErrorMetadata,
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
        ProjectionType, ScalarAttributeType,
    },
};
use chrono::{DateTime, Utc};
use std::fmt::Display;

/// Finds what is open by its kind ([`EXPIRY`], or a message's state) and when it needs attention: sessions that will
/// expire, and messages that are being sent, are unknown or wait. What is settled is not in it.
pub(super) const BY_OPEN: &str = "by_open";
/// Finds messages by who sent them to whom, in the order of their creation.
pub(super) const BY_PAIR: &str = "by_pair";
/// Finds messages by the provider's id.
pub(super) const BY_PROVIDER: &str = "by_provider";

/// How many parts the free numbers of a large pool are spread over: none of them gets hot.
pub(super) const SHARDS: u32 = 8;
/// How many parts of [`BY_OPEN`] there are: none of them gets hot.
pub(super) const OPEN_SHARDS: u32 = 32;
/// What sessions that will expire are called in [`BY_OPEN`]. It sorts before the states of messages.
pub(super) const EXPIRY: &str = "EXPIRY";
/// The live sessions are listed by the first digit of their ids.
pub(super) const LIVE_SHARDS: &str = "0123456789abcdef";
/// The pool is listed by the last digit of its numbers.
pub(super) const TN_SHARDS: &str = "0123456789";

/// A primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) pk: String,
    pub(super) sk: String,
}

fn key(pk: impl Into<String>, sk: impl Into<String>) -> Key {
    Key { pk: pk.into(), sk: sk.into() }
}

pub(super) fn tn(tn: Number) -> Key {
    let digits = tn.digits();
    key(format!("TN#{}", &digits[digits.len() - 1..]), digits)
}

pub(super) fn free(shard: u32, place: &str) -> Key {
    key(free_shard(shard), place)
}

pub(super) fn free_shard(shard: u32) -> String {
    format!("FREE#{shard}")
}

pub(super) fn pool() -> Key {
    key("POOL", "POOL")
}

pub(super) fn session(id: SessionId) -> Key {
    key(format!("S#{id}"), "S")
}

pub(super) fn live(id: SessionId, created_at: DateTime<Utc>) -> Key {
    let id = id.to_string();
    key(format!("LIVE#{}", &id[..1]), format!("{}-{id}", sortable(created_at)))
}

pub(super) fn route(tn: Number, sender: Number) -> Key {
    key(format!("P#{}", sender.digits()), format!("R#{}", tn.digits()))
}

pub(super) fn opt_outs(person: Number) -> Key {
    key(format!("P#{}", person.digits()), "OPT")
}

pub(super) fn answers(tn: Number, person: Number) -> Key {
    key(format!("P#{}", person.digits()), format!("A#{}", tn.digits()))
}

pub(super) fn all_answers() -> Key {
    key("ANSWERS", "A")
}

pub(super) fn message(id: MessageId) -> Key {
    key(format!("M#{id}"), "M")
}

pub(super) fn receipt(id: MessageId, level: i64) -> Key {
    key(format!("M#{id}"), format!("L#{level}"))
}

pub(super) fn credit(provider_id: &str) -> Key {
    key(format!("C#{provider_id}"), "C")
}

pub(super) fn drainer() -> Key {
    key("DRAIN", "DRAIN")
}

/// A time as text that sorts like the time.
pub(super) fn sortable(time: DateTime<Utc>) -> String {
    format!("{:015}", time.timestamp_millis())
}

/// A part of [`BY_OPEN`].
pub(super) fn open(shard: u32) -> String {
    format!("OPEN#{shard}")
}

/// The part of [`BY_OPEN`] that a session is in, with all its messages.
pub(super) fn open_of(session: SessionId) -> String {
    open(open_shard(&session.to_string()))
}

/// The part of [`BY_OPEN`] that a message is in.
pub(super) fn open_of_message(session: Option<SessionId>, message: MessageId) -> String {
    session.map_or_else(|| open(open_shard(&message.to_string())), open_of)
}

fn open_shard(id: &str) -> u32 {
    u32::from_str_radix(&id[..2], 16).unwrap_or(0) % OPEN_SHARDS
}

/// Where something stands in its part of [`BY_OPEN`]: with its kind, by when it needs attention.
pub(super) fn open_place(
    kind: &str,
    attention: DateTime<Utc>,
    created_at: DateTime<Utc>,
    id: &impl Display,
) -> String {
    format!("{kind}#{}#{}#{id}", sortable(attention), sortable(created_at))
}

/// The attributes that keys and indexes are made of.
pub(super) const KEY_ATTRIBUTES: [&str; 7] =
    ["pk", "sk", "open_pk", "open_sk", "pair_pk", "pair_sk", "provider_id"];

/// What [`BY_OPEN`] shows besides the keys.
pub(super) const OPEN_ATTRIBUTES: [&str; 5] =
    ["item_version", "session_id", "message_kind", "has_media", "created_at"];

/// Makes the table. For emulators: in AWS the template does.
///
/// # Errors
/// With what the engine says, for example that the table exists.
pub async fn create_table(client: &Client, table: &str) -> Result<(), String> {
    let mut request = client.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
    for name in KEY_ATTRIBUTES {
        let attribute =
            AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
        request = request.attribute_definitions(attribute.build().map_err(|e| e.to_string())?);
    }
    for element in schema("pk", Some("sk"))? {
        request = request.key_schema(element);
    }
    let open = Projection::builder()
        .projection_type(ProjectionType::Include)
        .set_non_key_attributes(Some(OPEN_ATTRIBUTES.map(String::from).into()))
        .build();
    let keys_only = Projection::builder().projection_type(ProjectionType::KeysOnly).build();
    for (name, hash, range, projection) in [
        (BY_OPEN, "open_pk", Some("open_sk"), open),
        (BY_PAIR, "pair_pk", Some("pair_sk"), keys_only.clone()),
        (BY_PROVIDER, "provider_id", None, keys_only),
    ] {
        let index = GlobalSecondaryIndex::builder()
            .index_name(name)
            .set_key_schema(Some(schema(hash, range)?))
            .projection(projection)
            .build()
            .map_err(|e| e.to_string())?;
        request = request.global_secondary_indexes(index);
    }
    let error = match request.send().await {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    Err(match error.message() {
        Some(message) => message.to_owned(),
        None => format!(
            "{}; check AWS_REGION, the AWS credentials and AWS_ENDPOINT_URL_DYNAMODB",
            super::calls::unavailable(error)
        ),
    })
}

fn schema(hash: &str, range: Option<&str>) -> Result<Vec<KeySchemaElement>, String> {
    let element = |name: &str, kind| {
        KeySchemaElement::builder().attribute_name(name).key_type(kind).build().map_err(|e| e.to_string())
    };
    let mut schema = vec![element(hash, KeyType::Hash)?];
    if let Some(range) = range {
        schema.push(element(range, KeyType::Range)?);
    }
    Ok(schema)
}
