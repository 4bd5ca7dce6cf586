//! The messages of a session and their outcomes.

use super::{
    error::ApiError,
    page::{Ascii, Lists, Next, PageQuery, date, known_cursor, required_in_query},
};
use crate::{
    domain::{self, Kind, MessageId, Role},
    service::{Error, Service},
};
use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use serde::Serialize;

#[derive(Serialize)]
struct Messages {
    session_id: String,
    messages: Vec<Message>,
    #[serde(flatten)]
    next: Next,
}

/// A message without its text and numbers.
#[derive(Serialize)]
struct Message {
    id: Ascii<32>,
    kind: &'static str,
    from: &'static str,
    to: &'static str,
    state: &'static str,
    attempts: u32,
    date_created: Ascii<19>,
    date_attempted: Option<Ascii<19>>,
    date_settled: Option<Ascii<19>>,
    provider_id: Option<String>,
    reason: Option<String>,
    delivery: Option<Delivery>,
}

#[derive(Serialize)]
struct Delivery {
    status: String,
    code: Option<String>,
    date: Option<Ascii<19>>,
}

impl From<domain::Message> for Message {
    fn from(domain::Message { outbound, status }: domain::Message) -> Self {
        let kind = outbound.text.kind;
        let (to, other) = match outbound.text.to_role {
            Some(Role::A) => ("participant_a", "participant_b"),
            _ => ("participant_b", "participant_a"),
        };
        Self {
            id: outbound.id.bytes().into(),
            kind: kind.as_str(),
            from: if kind == Kind::Relay { other } else { "service" },
            to,
            state: status.state.as_str(),
            attempts: status.attempts,
            date_created: date(outbound.created_at),
            date_attempted: status.attempted_at.map(date),
            date_settled: status.settled_at.map(date),
            provider_id: status.provider_id,
            reason: status.reason,
            delivery: status.delivery.map(|delivery| Delivery {
                status: delivery.status,
                code: delivery.code,
                date: delivery.at.map(date),
            }),
        }
    }
}

pub(super) async fn list(
    State(service): State<Service>,
    State(lists): State<Lists>,
    RawQuery(query): RawQuery,
    PageQuery(page): PageQuery,
) -> Result<Response, ApiError> {
    let id = required_in_query(query.as_deref(), "session_id")?;
    let id = id.parse().map_err(|_| ApiError::from(Error::SessionNotStored))?;
    let page = known_cursor(page, is_cursor)?;
    let limit = page.limit;
    let part = service.messages(id, page).await?;
    lists.respond(&Messages {
        session_id: id.to_string(),
        messages: part.items.into_iter().map(Message::from).collect(),
        next: Next::of(limit, part.next),
    })
}

/// Whether this is a cursor of either store: a time and a number, on DynamoDB also an id.
fn is_cursor(cursor: &str) -> bool {
    let mut parts = cursor.split('-');
    let mut is_next_number = || parts.next().is_some_and(|part| part.parse::<u64>().is_ok());
    let starts_with_numbers = is_next_number() && is_next_number();
    starts_with_numbers
        && parts.next().is_none_or(|id| id.parse::<MessageId>().is_ok())
        && parts.next().is_none()
}
