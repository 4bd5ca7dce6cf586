//! `/session`: opening, listing and ending sessions.

use super::{
    body::Fields,
    error::ApiError,
    page::{Asked, Lists, Named, Next, date, known_mark},
};
use crate::{
    domain::{self, SessionId},
    service::{Error, Service},
};
use axum::{Json, extract::State, response::Response};
use chrono::TimeDelta;
use serde::Serialize;
use serde_json::Value;

/// The longest expiry window: ten years, in minutes.
const LONGEST_WINDOW: i64 = 5_256_000;

#[derive(Serialize)]
pub(super) struct Opened {
    message: &'static str,
    session_id: String,
    virtual_tn: String,
    participant_a: String,
    participant_b: String,
    expiry_date: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Session {
    id: String,
    date_created: String,
    expiry_date: Option<String>,
    virtual_tn: String,
    participant_a: String,
    participant_b: String,
}

#[derive(Serialize)]
struct Sessions {
    total_sessions: u64,
    sessions: Vec<Session>,
    #[serde(flatten)]
    next: Next,
}

#[derive(Serialize)]
pub(super) struct Ended {
    message: &'static str,
    session_id: String,
}

impl From<domain::Session> for Session {
    fn from(session: domain::Session) -> Self {
        let [participant_a, participant_b] =
            session.participants.map(|participant| participant.number.digits());
        Self {
            id: session.id.to_string(),
            date_created: date(session.created_at),
            expiry_date: session.expires_at.map(date),
            virtual_tn: session.tn.digits(),
            participant_a,
            participant_b,
        }
    }
}

/// `POST /session`
pub(super) async fn open(State(service): State<Service>, fields: Fields) -> Result<Json<Opened>, ApiError> {
    let fields = fields.allow(&["participant_a", "participant_b", "expiry_window"])?;
    let participants = [fields.number("participant_a")?, fields.number("participant_b")?];
    let window = expiry_window(fields.get("expiry_window"))?;
    let session = Session::from(service.open_session(participants, window).await?);
    Ok(Json(Opened {
        message: "created session",
        session_id: session.id,
        virtual_tn: session.virtual_tn,
        participant_a: session.participant_a,
        participant_b: session.participant_b,
        expiry_date: session.expiry_date,
    }))
}

fn expiry_window(value: Option<&Value>) -> Result<Option<TimeDelta>, ApiError> {
    let minutes = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_i64().filter(|minutes| (1..=LONGEST_WINDOW).contains(minutes)),
    };
    let message = format!("expiry_window must be a whole number of minutes, 1 to {LONGEST_WINDOW}");
    let wrong = || ApiError::bad_request("invalid_expiry_window", message);
    minutes.map(TimeDelta::minutes).ok_or_else(wrong).map(Some)
}

/// `GET /session`
pub(super) async fn list(
    State(service): State<Service>,
    State(lists): State<Lists>,
    Asked(page): Asked,
) -> Result<Response, ApiError> {
    let is_mark = |mark: &str| {
        mark.split_once('-')
            .is_some_and(|(time, id)| time.parse::<u64>().is_ok() && id.parse::<SessionId>().is_ok())
    };
    let page = known_mark(page, is_mark)?;
    let limit = page.limit;
    let (part, total_sessions) = service.sessions(page).await?;
    let sessions = part.items.into_iter().map(Session::from).collect();
    lists.answer(&Sessions { total_sessions, sessions, next: Next::of(limit, part.next) })
}

/// `GET /session/{id}`
pub(super) async fn show(
    State(service): State<Service>,
    Named(id): Named<String>,
) -> Result<Json<Session>, ApiError> {
    Ok(Json(service.session(parse(&id)?).await?.into()))
}

/// `DELETE /session`
pub(super) async fn end_named(
    State(service): State<Service>,
    fields: Fields,
) -> Result<Json<Ended>, ApiError> {
    let fields = fields.allow(&["session_id"])?;
    end_session(&service, fields.string("session_id")?).await
}

/// `DELETE /session/{id}`
pub(super) async fn end(
    State(service): State<Service>,
    Named(id): Named<String>,
) -> Result<Json<Ended>, ApiError> {
    end_session(&service, &id).await
}

async fn end_session(service: &Service, id: &str) -> Result<Json<Ended>, ApiError> {
    let id = parse(id)?;
    service.end_session(id).await?;
    Ok(Json(Ended { message: "successfully ended session", session_id: id.to_string() }))
}

/// What is no id is no session's id.
fn parse(id: &str) -> Result<SessionId, ApiError> {
    id.parse().map_err(|_| Error::SessionNotFound.into())
}
