//! `GET /message`: what was sent in a session and what became of it.

use super::{
    error::ApiError,
    page::{Asked, Lists, Next, date},
};
use crate::{
    domain::{Kind, Role},
    service::{Error, Service},
    store,
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

/// All but the text and the numbers.
#[derive(Serialize)]
struct Message {
    id: String,
    kind: &'static str,
    from: &'static str,
    to: &'static str,
    state: &'static str,
    attempts: u32,
    date_created: String,
    date_attempted: Option<String>,
    date_settled: Option<String>,
    provider_id: Option<String>,
    reason: Option<String>,
    delivery: Option<Delivery>,
}

#[derive(Serialize)]
struct Delivery {
    status: String,
    code: Option<String>,
    date: Option<String>,
}

impl From<store::Message> for Message {
    fn from(message: store::Message) -> Self {
        let (to, other) = match message.to {
            Some(Role::A) => ("participant_a", "participant_b"),
            _ => ("participant_b", "participant_a"),
        };
        Self {
            id: message.id.to_string(),
            kind: message.kind.as_str(),
            from: if message.kind == Kind::Relay { other } else { "service" },
            to,
            state: message.state.as_str(),
            attempts: message.attempts,
            date_created: date(message.created_at),
            date_attempted: message.attempted_at.map(date),
            date_settled: message.settled_at.map(date),
            provider_id: message.provider_id,
            reason: message.reason,
            delivery: message.delivery.map(|delivery| Delivery {
                status: delivery.status,
                code: delivery.code,
                date: delivery.at.map(date),
            }),
        }
    }
}

/// `GET /message?session_id=…`
pub(super) async fn list(
    State(service): State<Service>,
    State(lists): State<Lists>,
    RawQuery(query): RawQuery,
    Asked(page): Asked,
) -> Result<Response, ApiError> {
    let query = query.unwrap_or_default();
    let id = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "session_id");
    let (_, id) =
        id.ok_or_else(|| ApiError::bad_request("missing_field", "session_id is missing in the query"))?;
    let id = id.parse().map_err(|_| ApiError::from(Error::SessionNotOnRecord))?;
    let limit = page.limit;
    let part = service.messages(id, page).await?;
    lists.answer(&Messages {
        session_id: id.to_string(),
        messages: part.items.into_iter().map(Message::from).collect(),
        next: Next::of(limit, part.next),
    })
}
