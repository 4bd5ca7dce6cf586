//! Reads Flowroute's posts: texts in both shapes, and delivery receipts (docs/flowroute.md#webhook, #receipts).

use super::surrogates::replace_lone;
use crate::{
    domain::{Content, Delivery, Inbound, InvalidNumber, MessageId, Number, Receipt},
    limits,
};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

/// The query parameter of a receipt's callback URL that has our id of the message.
pub(super) const MESSAGE_PARAMETER: &str = "m";

/// An id, status or code, cut to a length that every store can index.
pub(super) fn short(word: &str) -> String {
    word.chars().filter(|c| !c.is_control()).take(limits::STORED_WORD).collect()
}

/// What was posted.
#[derive(Debug, Clone)]
pub enum Event {
    /// A text to one of our numbers.
    Text(Inbound),
    /// A receipt of a message of ours.
    Receipt(Receipt),
    /// Something that needs no action.
    Ignored(Ignored),
}

/// Why a post needs no action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// The sender's number cannot be texted: a short code or a foreign number.
    UnanswerableSender,
    /// The number that it was sent to cannot be one of ours.
    ForeignTn,
    /// Neither text nor media.
    Empty,
    /// An unknown `data.type`.
    OtherType,
}

/// Why a post cannot be read. The text names the field, and quotes nothing of the post.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The body is not JSON.
    #[error("the body is not JSON")]
    NotJson,
    /// The body, `data` or `attributes` is not an object.
    #[error("{0} is not a JSON object")]
    NotObject(&'static str),
    /// A field is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field is not a phone number of any kind.
    #[error("{0} is not a phone number")]
    NoNumber(&'static str),
    /// The body is not a string.
    #[error("{0} is not a string")]
    NoText(&'static str),
}

/// Reads a post with this query and body. Unknown fields are ignored: Flowroute adds some without notice
/// (docs/flowroute.md#sending).
///
/// # Errors
/// When a needed field is missing or has the wrong type.
pub fn read(query: Option<&str>, body: &[u8]) -> Result<Event, Unreadable> {
    let body = String::from_utf8_lossy(body);
    let post: Value = serde_json::from_str(&replace_lone(&body)).map_err(|_| Unreadable::NotJson)?;
    let post = post.as_object().ok_or(Unreadable::NotObject("the body"))?;
    let Some(data) = post.get("data") else {
        let text = post.get("body").ok_or(Unreadable::Missing("body"))?;
        return text_event(post, post.get("id"), Some(text), Vec::new());
    };
    let data = data.as_object().ok_or(Unreadable::NotObject("data"))?;
    let attributes = || match data.get("attributes") {
        None => Err(Unreadable::Missing("data.attributes")),
        Some(attributes) => attributes.as_object().ok_or(Unreadable::NotObject("data.attributes")),
    };
    match data.get("type").unwrap_or(&Value::Null) {
        Value::String(kind) if kind == "delivery_receipt" => Ok(receipt(data, message_id(query))),
        Value::String(kind) if kind != "message" => Ok(Event::Ignored(Ignored::OtherType)),
        Value::Null | Value::String(_) => {
            let attributes = attributes()?;
            text_event(attributes, data.get("id"), attributes.get("body"), media(post))
        }
        _ => Ok(Event::Ignored(Ignored::OtherType)),
    }
}

fn text_event(
    fields: &Map<String, Value>,
    id: Option<&Value>,
    body: Option<&Value>,
    media_urls: Vec<String>,
) -> Result<Event, Unreadable> {
    let to = number(fields, "to")?;
    let from = number(fields, "from")?;
    let body = match body {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        // A text such as "5" may arrive as a JSON number (docs/flowroute.md#payloads).
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => return Err(Unreadable::NoText("body")),
    };
    let content = Content { body, media_urls };
    let Some(from) = from else { return Ok(Event::Ignored(Ignored::UnanswerableSender)) };
    let Some(to) = to else { return Ok(Event::Ignored(Ignored::ForeignTn)) };
    if content.is_empty() {
        return Ok(Event::Ignored(Ignored::Empty));
    }
    let id = id.and_then(text_or_number).filter(|id| !id.is_empty());
    let sent_at = fields.get("timestamp").and_then(time);
    Ok(Event::Text(Inbound { id, from, to, content, sent_at }))
}

/// Reads a phone number; `None` for one that is not in the North American plan.
fn number(fields: &Map<String, Value>, key: &'static str) -> Result<Option<Number>, Unreadable> {
    let text = match fields.get(key) {
        None | Some(Value::Null) => return Err(Unreadable::Missing(key)),
        Some(value) => text_or_number(value).ok_or(Unreadable::NoNumber(key))?,
    };
    match text.parse() {
        Ok(number) => Ok(Some(number)),
        Err(InvalidNumber::NotDigits | InvalidNumber::Length(0)) => Err(Unreadable::NoNumber(key)),
        Err(InvalidNumber::Length(_) | InvalidNumber::Country) => Ok(None),
    }
}

fn text_or_number(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn time(value: &Value) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(value.as_str()?).ok().map(|time| time.to_utc())
}

/// The addresses of a message's pictures: `included` at top level (docs/flowroute.md#payloads).
fn media(post: &Map<String, Value>) -> Vec<String> {
    let included = post.get("included").and_then(Value::as_array).into_iter().flatten();
    included
        .filter(|item| item.get("type").and_then(Value::as_str) == Some("media"))
        .filter_map(|item| item.pointer("/attributes/url")?.as_str())
        .map(str::to_owned)
        .collect()
}

/// Our id of the message of a receipt.
fn message_id(query: Option<&str>) -> Option<MessageId> {
    let mut query = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    query.find(|(name, _)| name == MESSAGE_PARAMETER)?.1.parse().ok()
}

fn receipt(data: &Map<String, Value>, message: Option<MessageId>) -> Event {
    let attribute = |key| data.get("attributes").and_then(|attributes| attributes.get(key));
    let word = |key| attribute(key).and_then(text_or_number);
    let short = |text: String| short(text.trim());
    Event::Receipt(Receipt {
        message,
        provider_id: data.get("id").and_then(text_or_number).map(short).unwrap_or_default(),
        delivery: Delivery {
            level: word("level").and_then(|level| level.trim().parse().ok()),
            status: word("status").map(short).unwrap_or_default(),
            code: word("status_code").map(short).filter(|code| !code.is_empty()),
            at: attribute("timestamp").and_then(time),
        },
    })
}
