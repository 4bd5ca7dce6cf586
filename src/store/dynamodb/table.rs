//! The one table: its keys, its indexes, and how it is made.
//!
//! | item | `pk` | `sk` |
//! |---|---|---|
//! | virtual TN | `TN#` last digit | the number |
//! | free TN | `FREE#` shard | random, new each time it becomes free |
//! | session | `S#` id | `S` |
//! | live session, for lists | `LIVE#` shard | creation time and id |
//! | route | `P#` sender | `R#` TN |
//! | opt-outs of a person | `P#` person | `OPT` |
//! | answers to a stranger, and to all | `P#` person, or `ANSWERS` | `A#` TN, or `A` |
//! | message, or inbound text that led to none | `M#` id | `M` |
//! | a row of the provider's list that is credited | `C#` its id | `C` |
//! | delivery receipt | `M#` id | `L#` level |
//! | the one who drains the outbox | `DRAIN` | `DRAIN` |

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

/// Finds what is open by when it needs attention: messages that wait, are being sent or are unknown, and sessions
/// that will expire. What is settled is not in it.
pub(super) const BY_OPEN: &str = "by_open";
/// Finds messages by who sent them to whom, in the order of their creation.
pub(super) const BY_PAIR: &str = "by_pair";
/// Finds messages by the provider's id.
pub(super) const BY_PROVIDER: &str = "by_provider";

/// How many parts the pool's free numbers, and what is open, are spread over: none of them gets hot.
pub(super) const SHARDS: u32 = 8;
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
    key(format!("FREE#{shard}"), place)
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

/// In which part of the index of what is open a message is: with all messages of its session.
pub(super) fn open_shard(session: Option<SessionId>, message: MessageId) -> u32 {
    let id = session.map_or_else(|| message.to_string(), |session| session.to_string());
    u32::from_str_radix(&id[..2], 16).unwrap_or(0) % SHARDS
}

/// The attributes that keys and indexes are made of.
pub(super) const KEY_ATTRIBUTES: [&str; 7] =
    ["pk", "sk", "open_pk", "open_sk", "pair_pk", "pair_sk", "provider_id"];

/// What [`BY_OPEN`] shows besides the keys.
pub(super) const OPEN_ATTRIBUTES: [&str; 5] =
    ["session_id", "message_kind", "lease_number", "has_media", "created_at"];

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
