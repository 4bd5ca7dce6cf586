//! Lists and changes the pool of virtual TNs.

use super::{
    body::{self, Payload},
    error::ApiError,
    fields::Fields,
    page::{Lists, Next, PageQuery, PathParameter, known_cursor},
};
use crate::{
    domain::{self, Number},
    service::Service,
};
use axum::{Json, extract::State, response::Response};
use serde::Serialize;

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

#[derive(Serialize)]
pub(super) struct VirtualTn {
    session_id: Option<String>,
    value: String,
}

#[derive(Serialize)]
struct Pool {
    available: u64,
    in_use: u64,
    pool_size: u64,
    virtual_tns: Vec<VirtualTn>,
    #[serde(flatten)]
    next: Next,
}

impl From<domain::VirtualTn> for VirtualTn {
    fn from(tn: domain::VirtualTn) -> Self {
        Self { session_id: tn.session.map(|id| id.to_string()), value: tn.number.digits() }
    }
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
    lists.respond(&Pool {
        available: size.total.saturating_sub(size.in_use),
        in_use: size.in_use,
        pool_size: size.total,
        virtual_tns: part.items.into_iter().map(VirtualTn::from).collect(),
        next: Next::of(limit, part.next),
    })
}

pub(super) async fn show(
    State(service): State<Service>,
    PathParameter(value): PathParameter<String>,
) -> Result<Json<VirtualTn>, ApiError> {
    Ok(Json(service.tn(parse(&value)?).await?.into()))
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
