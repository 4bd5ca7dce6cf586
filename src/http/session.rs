//! Opens, lists and ends sessions.

use super::{
    body::{self, Payload},
    error::ApiError,
    fields::{Fields, whole},
    page::{Ascii, Elements, Lists, Next, PageQuery, PathParameter, date, known_cursor},
    reason::Reason,
};
use crate::{
    domain::{self, Number, SessionFilter, SessionId},
    service::{Error, Service},
};
use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::request::Parts,
    response::Response,
};
use chrono::TimeDelta;
use serde::Serialize;
use serde_json::Value;

/// The longest expiry window: ten years, in minutes.
const LONGEST_WINDOW: i64 = 5_256_000;

/// The body of `POST /session`.
pub(super) struct OpenRequest {
    participants: [Number; 2],
    expiry_window: Option<TimeDelta>,
    virtual_tn: Option<Number>,
}

impl Payload for OpenRequest {
    const FIELDS: &[&str] = &["participant_a", "participant_b", "expiry_window", "virtual_tn"];

    fn read(fields: &Fields) -> Result<Self, ApiError> {
        Ok(Self {
            participants: [fields.number("participant_a")?, fields.number("participant_b")?],
            expiry_window: expiry_window(fields.get("expiry_window"))?,
            virtual_tn: match fields.get("virtual_tn") {
                None | Some(Value::Null) => None,
                Some(_) => Some(fields.number("virtual_tn")?),
            },
        })
    }
}

/// The body of `PATCH /session/{id}`.
pub(super) struct ExpiryRequest {
    expiry_window: Option<TimeDelta>,
}

impl Payload for ExpiryRequest {
    const FIELDS: &[&str] = &["expiry_window"];

    fn read(fields: &Fields) -> Result<Self, ApiError> {
        let missing = || {
            ApiError::new(Reason::MissingField, "expiry_window is missing; null: the session does not expire")
        };
        let window = fields.get("expiry_window").ok_or_else(missing)?;
        Ok(Self { expiry_window: expiry_window(Some(window))? })
    }
}

/// The body of `DELETE /session`.
pub(super) struct EndRequest {
    session_id: String,
}

impl Payload for EndRequest {
    const FIELDS: &[&str] = &["session_id"];

    fn read(fields: &Fields) -> Result<Self, ApiError> {
        Ok(Self { session_id: fields.string("session_id")? })
    }
}

#[derive(Serialize)]
pub(super) struct Opened {
    message: &'static str,
    session_id: Ascii<32>,
    virtual_tn: Ascii<11>,
    participant_a: Ascii<11>,
    participant_b: Ascii<11>,
    expiry_date: Option<Ascii<19>>,
}

#[derive(Serialize)]
pub(super) struct Session {
    id: Ascii<32>,
    date_created: Ascii<19>,
    expiry_date: Option<Ascii<19>>,
    virtual_tn: Ascii<11>,
    participant_a: Ascii<11>,
    participant_b: Ascii<11>,
}

#[derive(Serialize)]
struct Sessions<Each> {
    total_sessions: u64,
    sessions: Each,
    #[serde(flatten)]
    next: Next,
}

#[derive(Serialize)]
pub(super) struct Ended {
    message: &'static str,
    session_id: String,
}

impl From<&domain::Session> for Session {
    fn from(session: &domain::Session) -> Self {
        let [participant_a, participant_b] =
            session.participants.each_ref().map(|participant| participant.number.into());
        Self {
            id: session.id.bytes().into(),
            date_created: date(session.created_at),
            expiry_date: session.expires_at.map(date),
            virtual_tn: session.tn.into(),
            participant_a,
            participant_b,
        }
    }
}

/// The longest `Idempotency-Key`, in characters.
const LONGEST_KEY: usize = 255;

/// The `Idempotency-Key` of a request, if it has one.
pub(super) struct IdempotencyKey(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut keys = parts.headers.get_all("idempotency-key").iter();
        let (Some(key), more) = (keys.next(), keys.next()) else { return Ok(Self(None)) };
        let key = key.as_bytes();
        let is_key = (1..=LONGEST_KEY).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
        match String::from_utf8(key.to_vec()) {
            Ok(key) if is_key && more.is_none() => Ok(Self(Some(key))),
            _ => {
                let message = format!(
                    "Idempotency-Key must be sent once, with 1 to {LONGEST_KEY} visible ASCII characters"
                );
                Err(ApiError::new(Reason::InvalidIdempotencyKey, message))
            }
        }
    }
}

pub(super) async fn open(
    State(service): State<Service>,
    IdempotencyKey(key): IdempotencyKey,
    body::Json(request): body::Json<OpenRequest>,
) -> Result<Json<Opened>, ApiError> {
    let OpenRequest { participants, expiry_window, virtual_tn } = request;
    let session = service.open_session(participants, expiry_window, virtual_tn, key.as_deref()).await?;
    let session = Session::from(&session);
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
        Some(value) => whole(value)
            .and_then(|minutes| i64::try_from(minutes).ok())
            .filter(|minutes| (1..=LONGEST_WINDOW).contains(minutes)),
    };
    let message = format!("expiry_window must be a whole number of minutes, 1 to {LONGEST_WINDOW}");
    let wrong = || ApiError::new(Reason::InvalidExpiryWindow, message);
    minutes.map(TimeDelta::minutes).ok_or_else(wrong).map(Some)
}

/// Which sessions the query asks for: `participant` and `virtual_tn`.
pub(super) struct FilterQuery(SessionFilter);

impl<S: Send + Sync> FromRequestParts<S> for FilterQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut filter = SessionFilter::default();
        for (name, value) in url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            let number = || value.trim().parse().map_err(|problem| ApiError::invalid_number(&name, problem));
            match name.as_ref() {
                "participant" => filter.participant = Some(number()?),
                "virtual_tn" => filter.virtual_tn = Some(number()?),
                _ => {}
            }
        }
        Ok(Self(filter))
    }
}

pub(super) async fn list(
    State(service): State<Service>,
    State(lists): State<Lists>,
    PageQuery(page): PageQuery,
    FilterQuery(filter): FilterQuery,
) -> Result<Response, ApiError> {
    let is_cursor = |cursor: &str| {
        cursor
            .split_once('-')
            .is_some_and(|(time, id)| time.parse::<u64>().is_ok() && id.parse::<SessionId>().is_ok())
    };
    let page = known_cursor(page, is_cursor)?;
    let limit = page.limit;
    let (part, total_sessions) = service.sessions(filter, page).await?;
    let sessions = Elements(part.items, |session: &domain::Session| Session::from(session));
    lists.respond(&Sessions { total_sessions, sessions, next: Next::of(limit, part.next) })
}

pub(super) async fn show(
    State(service): State<Service>,
    PathParameter(id): PathParameter<String>,
) -> Result<Json<Session>, ApiError> {
    Ok(Json((&service.session(parse(&id)?).await?).into()))
}

pub(super) async fn change(
    State(service): State<Service>,
    PathParameter(id): PathParameter<String>,
    body::Json(request): body::Json<ExpiryRequest>,
) -> Result<Json<Session>, ApiError> {
    Ok(Json((&service.set_expiry(parse(&id)?, request.expiry_window).await?).into()))
}

pub(super) async fn end_named(
    State(service): State<Service>,
    body::Json(request): body::Json<EndRequest>,
) -> Result<Json<Ended>, ApiError> {
    end_session(&service, &request.session_id).await
}

pub(super) async fn end(
    State(service): State<Service>,
    PathParameter(id): PathParameter<String>,
) -> Result<Json<Ended>, ApiError> {
    end_session(&service, &id).await
}

async fn end_session(service: &Service, id: &str) -> Result<Json<Ended>, ApiError> {
    let id = parse(id)?;
    service.end_session(id).await?;
    Ok(Json(Ended { message: "successfully ended session", session_id: id.to_string() }))
}

/// Reads a session id. A text that is not an id is the id of no session.
fn parse(id: &str) -> Result<SessionId, ApiError> {
    id.parse().map_err(|_| Error::SessionNotFound.into())
}
