//! Reads Flowroute's posts: texts in both shapes, and delivery receipts (docs/flowroute.md#webhook, #receipts).

use super::{
    json::{Fields, Json},
    media::Media,
    phone::{Phone, phones},
    repair::repair,
    stamp::time,
    surrogates::replace_lone,
};
use crate::domain::{Content, Delivery, Inbound, MessageId, Number, Receipt, kept_id};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The query parameter of a receipt's callback URL that has our id of the message.
pub(super) const MESSAGE_PARAMETER: &str = "m";

/// What was posted.
#[derive(Debug, Clone)]
pub enum Event {
    /// A text, once for each number that it was sent to.
    Texts(Vec<Inbound>),
    /// A receipt of a message of ours.
    Receipt(Receipt),
    /// Something that needs no action.
    Ignored(Ignored),
}

/// Why a post needs no action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// The sender cannot be texted: a short code, a foreign number, a name, or an e-mail address.
    UnanswerableSender,
    /// The number that it was sent to cannot be one of ours.
    ForeignTn,
    /// Neither text nor media, and none is announced.
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
    let body = replace_lone(body.trim_start_matches('\u{FEFF}'));
    match Json::parse(&body) {
        Some(post) => read_post(query, post),
        None => read_post(query, Json::parse(&repair(&body)).ok_or(Unreadable::NotJson)?),
    }
}

fn read_post(query: Option<&str>, post: Json<'_>) -> Result<Event, Unreadable> {
    let post = post.fields().ok_or(Unreadable::NotObject("the body"))?;
    if !post.has("data") {
        if !post.has("body") {
            return Err(Unreadable::Missing("body"));
        }
        return text_event(&post, post.get("id"), &Media::read(&[&post]));
    }
    let data = post.get("data").and_then(Json::fields).ok_or(Unreadable::NotObject("data"))?;
    let kind = data.get("type").map(|kind| kind.string().unwrap_or_default());
    match kind.as_deref().unwrap_or("message") {
        "delivery_receipt" => Ok(receipt(&data.values("attributes"), message_id(query))),
        "message" => {
            let attributes = data.get("attributes").ok_or(Unreadable::Missing("data.attributes"))?;
            let attributes = attributes.fields().ok_or(Unreadable::NotObject("data.attributes"))?;
            text_event(&attributes, data.get("id"), &Media::read(&[&post, &data, &attributes]))
        }
        _ => Ok(Event::Ignored(Ignored::OtherType)),
    }
}

fn text_event(fields: &Fields<'_>, id: Option<Json<'_>>, media: &Media) -> Result<Event, Unreadable> {
    let recipients = recipients(fields)?;
    let sender = sender(fields)?;
    let body = match fields.get("body") {
        None => String::new(),
        // A text such as "5" may arrive as a JSON number (docs/flowroute.md#payloads).
        Some(body) => body.text_or_number().ok_or(Unreadable::NoText("body"))?,
    };
    let content = Content { body, media_urls: media.urls.clone() };
    let media_missing = media.is_missing();
    let Some(from) = sender else { return Ok(Event::Ignored(Ignored::UnanswerableSender)) };
    if recipients.is_empty() {
        return Ok(Event::Ignored(Ignored::ForeignTn));
    }
    if content.is_empty() && !media_missing {
        return Ok(Event::Ignored(Ignored::Empty));
    }
    let id = id.and_then(Json::text_or_number).filter(|id| !id.is_empty());
    let shown = id.as_deref().map(kept_id);
    if media_missing {
        tracing::warn!(id = shown, "the post announces a picture without a usable address");
    }
    let sent_at = sent_at(fields, shown.as_deref());
    let to_each = recipients.into_iter().map(|to| Inbound {
        id: id.clone(),
        from,
        to,
        content: content.clone(),
        sent_at,
        media_missing,
    });
    Ok(Event::Texts(to_each.collect()))
}

/// When a text was sent. A stamp that cannot be read is logged, and counts as none.
fn sent_at(fields: &Fields<'_>, id: Option<&str>) -> Option<DateTime<Utc>> {
    let is_blank = |stamp: &Json<'_>| stamp.string().is_some_and(|stamp| stamp.trim().is_empty());
    let stamp = fields.get("timestamp").filter(|stamp| !is_blank(stamp))?;
    let sent_at = time(&stamp.value());
    if sent_at.is_none() {
        tracing::warn!(id, "unreadable timestamp; expected one such as 2024-10-19T01:21:21Z");
    }
    sent_at
}

/// The numbers that a text was sent to, each once; none if none of them can be ours.
fn recipients(fields: &Fields<'_>) -> Result<BTreeSet<Number>, Unreadable> {
    let phones = phones(fields.get("to").ok_or(Unreadable::Missing("to"))?);
    if phones.iter().all(|phone| *phone == Phone::Name) {
        return Err(Unreadable::NoNumber("to"));
    }
    let number = |phone| if let Phone::Number(number) = phone { Some(number) } else { None };
    Ok(phones.into_iter().filter_map(number).collect())
}

/// The number of the sender; `None` if it cannot be texted.
fn sender(fields: &Fields<'_>) -> Result<Option<Number>, Unreadable> {
    match phones(fields.get("from").ok_or(Unreadable::Missing("from"))?)[..] {
        [] => Err(Unreadable::NoNumber("from")),
        [Phone::Number(number)] => Ok(Some(number)),
        _ => Ok(None),
    }
}

fn text_or_number(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Our id of the message of a receipt.
fn message_id(query: Option<&str>) -> Option<MessageId> {
    let mut query = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    query.find(|(name, _)| name == MESSAGE_PARAMETER)?.1.parse().ok()
}

fn receipt(data: &Map<String, Value>, message: Option<MessageId>) -> Event {
    let attribute = |key| data.get("attributes").and_then(|attributes| attributes.get(key));
    let word = |key| attribute(key).and_then(text_or_number);
    Event::Receipt(Receipt {
        message,
        provider_id: data.get("id").and_then(text_or_number).map(|id| kept_id(&id)).unwrap_or_default(),
        delivery: Delivery {
            level: word("level").and_then(|level| Delivery::kept_level(&level)),
            status: word("status").map(|status| Delivery::kept_status(&status)).unwrap_or_default(),
            code: word("status_code").and_then(|code| Delivery::kept_code(&code)),
            at: attribute("timestamp").and_then(time),
        },
    })
}
