//! Lists and changes the pool of virtual TNs.

use super::{
    body::{self, Payload},
    error::ApiError,
    fields::Fields,
    page::{Ascii, Elements, Lists, Next, PageQuery, PathParameter, known_cursor},
    reason::Reason,
};
use crate::{
    domain::{self, Number},
    service::Service,
};
use axum::{Json, extract::State, response::Response};
use serde::Serialize;
use serde_json::Value;

/// The body of `POST /tn` and `DELETE /tn`.
pub(super) struct TnRequest {
    value: Number,
}

impl Payload for TnRequest {
    const FIELDS: &[&str] = &["value"];

    fn read(fields: &Fields) -> Result<Self, ApiError> {
        Ok(Self { value: fields.number("value")? })
    }
}

/// The response to a change of the pool.
#[derive(Serialize)]
pub(super) struct Changed {
    message: &'static str,
    value: String,
}

/// The body of `PATCH /tn/{value}`.
pub(super) struct TnChange {
    draining: bool,
}

impl Payload for TnChange {
    const FIELDS: &[&str] = &["draining"];

    fn read(fields: &Fields) -> Result<Self, ApiError> {
        let wrong = || ApiError::new(Reason::InvalidDraining, "draining must be true or false");
        let draining = fields.get("draining").and_then(Value::as_bool).ok_or_else(wrong)?;
        Ok(Self { draining })
    }
}

/// A TN. Its number of sessions is shown only if TNs are shared, so that clients that know nothing of that see what they
/// always saw.
#[derive(Serialize)]
pub(super) struct VirtualTn {
    #[serde(skip_serializing_if = "Option::is_none")]
    draining: Option<bool>,
    session_id: Option<Ascii<32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<u32>,
    value: Ascii<11>,
}

#[derive(Serialize)]
struct Pool<Tns> {
    available: u64,
    in_use: u64,
    pool_size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_sessions: Option<u64>,
    virtual_tns: Tns,
    #[serde(flatten)]
    next: Next,
}

impl VirtualTn {
    fn new(tn: &domain::VirtualTn, is_shared: bool) -> Self {
        Self {
            draining: Some(tn.draining).filter(|draining| is_shared || *draining),
            session_id: tn.session.map(|id| id.bytes().into()),
            sessions: is_shared.then_some(tn.sessions),
            value: tn.number.into(),
        }
    }
}

/// Whether a TN may have several sessions.
fn is_shared(service: &Service) -> bool {
    service.sharing().sessions_per_tn > 1
}

fn parse(value: &str) -> Result<Number, ApiError> {
    value.parse().map_err(|problem| ApiError::invalid_number("value", problem))
}

pub(super) async fn add(
    State(service): State<Service>,
    body::Json(request): body::Json<TnRequest>,
) -> Result<Json<Changed>, ApiError> {
    service.add_tn(request.value).await?;
    Ok(Json(Changed { message: "successfully added TN to pool", value: request.value.digits() }))
}

pub(super) async fn list(
    State(service): State<Service>,
    State(lists): State<Lists>,
    PageQuery(page): PageQuery,
) -> Result<Response, ApiError> {
    let page = known_cursor(page, |cursor| cursor.parse::<Number>().is_ok())?;
    let limit = page.limit;
    let (part, size) = service.tns(page).await?;
    let is_shared = is_shared(&service);
    lists.respond(&Pool {
        available: size.total.saturating_sub(size.in_use),
        in_use: size.in_use,
        pool_size: size.total,
        room: is_shared.then_some(size.room),
        total_sessions: is_shared.then_some(size.sessions),
        virtual_tns: Elements(part.items, |tn: &domain::VirtualTn| VirtualTn::new(tn, is_shared)),
        next: Next::of(limit, part.next),
    })
}

pub(super) async fn show(
    State(service): State<Service>,
    PathParameter(value): PathParameter<String>,
) -> Result<Json<VirtualTn>, ApiError> {
    Ok(Json(VirtualTn::new(&service.tn(parse(&value)?).await?, is_shared(&service))))
}

pub(super) async fn change(
    State(service): State<Service>,
    PathParameter(value): PathParameter<String>,
    body::Json(change): body::Json<TnChange>,
) -> Result<Json<VirtualTn>, ApiError> {
    let tn = service.drain_tn(parse(&value)?, change.draining).await?;
    Ok(Json(VirtualTn::new(&tn, is_shared(&service))))
}

pub(super) async fn remove_named(
    State(service): State<Service>,
    body::Json(request): body::Json<TnRequest>,
) -> Result<Json<Changed>, ApiError> {
    remove_tn(&service, request.value).await
}

pub(super) async fn remove(
    State(service): State<Service>,
    PathParameter(value): PathParameter<String>,
) -> Result<Json<Changed>, ApiError> {
    remove_tn(&service, parse(&value)?).await
}

async fn remove_tn(service: &Service, tn: Number) -> Result<Json<Changed>, ApiError> {
    service.remove_tn(tn).await?;
    Ok(Json(Changed { message: "successfully removed TN from pool", value: tn.digits() }))
}
