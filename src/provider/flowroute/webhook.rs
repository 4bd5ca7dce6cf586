//! Reads what Flowroute posts to us: texts in both shapes, and delivery receipts (FLOWROUTE.md 2, 3, 8).

use super::surrogates::mend;
use crate::domain::{Content, Inbound, InvalidNumber, Number, Receipt};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

/// The longest id, status or code that is kept, in characters.
const LONGEST_WORD: usize = 64;

/// A word of Flowroute's, in a length that every store can find it by: its ids have 37 characters.
pub(super) fn short(word: &str) -> String {
    word.chars().filter(|c| !c.is_control()).take(LONGEST_WORD).collect()
}

/// What was posted.
#[derive(Debug, Clone)]
pub enum Event {
    /// A text to one of our numbers.
    Text(Inbound),
    /// What became of a text of ours.
    Receipt(Receipt),
    /// Nothing that we could act on.
    Ignored(Ignored),
}

/// Why a readable post leads to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// The sender has a number that can't be answered: a short code or a foreign number.
    UnanswerableSender,
    /// The number it was sent to can't be one of ours.
    ForeignTn,
    /// Neither text nor media.
    Empty,
    /// A `data.type` that we don't know, or a receipt of a level that there is not.
    OtherType,
}

/// Why a post can't be read. The text names what is missing, and repeats nothing of the post.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The body is no JSON.
    #[error("the body is not JSON")]
    NotJson,
    /// The body is JSON, but no object, or `data` or `attributes` is none.
    #[error("{0} is not a JSON object")]
    NotObject(&'static str),
    /// A field is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field holds no phone number of any kind.
    #[error("{0} is not a phone number")]
    NoNumber(&'static str),
    /// The text is something else than a text.
    #[error("{0} is not a string")]
    NoText(&'static str),
}

/// Reads a post. Unknown fields are ignored: Flowroute adds some without notice (FLOWROUTE.md 1.1).
///
/// # Errors
/// When what is needed to act on it is missing or is something else.
pub fn read(body: &[u8]) -> Result<Event, Unreadable> {
    let body = String::from_utf8_lossy(body);
    let post: Value = serde_json::from_str(&mend(&body)).map_err(|_| Unreadable::NotJson)?;
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
        Value::String(kind) if kind == "delivery_receipt" => Ok(receipt(data)),
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
        // A text such as "5", unquoted on its way, as numbers were seen to be (FLOWROUTE.md 8.4).
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

/// A number of ours or of a participant; `None` for another kind of phone number.
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

/// The addresses of a message's pictures: `included` at top level (FLOWROUTE.md 2.3, 8.5).
fn media(post: &Map<String, Value>) -> Vec<String> {
    let included = post.get("included").and_then(Value::as_array).into_iter().flatten();
    included
        .filter(|item| item.get("type").and_then(Value::as_str) == Some("media"))
        .filter_map(|item| item.pointer("/attributes/url")?.as_str())
        .map(str::to_owned)
        .collect()
}

fn receipt(data: &Map<String, Value>) -> Event {
    let attribute = |key| data.get("attributes").and_then(|attributes| attributes.get(key));
    let word = |key| attribute(key).and_then(text_or_number);
    let level = word("level").and_then(|level| level.parse().ok());
    let Some(level) = level.filter(|level| (1..=2).contains(level)) else {
        return Event::Ignored(Ignored::OtherType);
    };
    let short = |text: String| short(&text);
    Event::Receipt(Receipt {
        message: None,
        provider_id: data.get("id").and_then(text_or_number).map(short).unwrap_or_default(),
        level,
        status: word("status").map(short).unwrap_or_default(),
        code: word("status_code").map(short),
        at: attribute("timestamp").and_then(time),
    })
}
