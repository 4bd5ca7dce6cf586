//! `/tn`: the pool of virtual TNs.

use super::{
    body::Fields,
    error::ApiError,
    page::{Asked, Lists, Named, Next, known_mark},
};
use crate::{domain::Number, service::Service, store};
use axum::{Json, extract::State, response::Response};
use serde::Serialize;

/// A change of the pool, done.
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

impl From<store::VirtualTn> for VirtualTn {
    fn from(tn: store::VirtualTn) -> Self {
        Self { session_id: tn.session.map(|id| id.to_string()), value: tn.number.digits() }
    }
}

fn parse(value: &str) -> Result<Number, ApiError> {
    value.parse().map_err(|problem| ApiError::invalid_number("value", problem))
}

/// `POST /tn`
pub(super) async fn add(State(service): State<Service>, fields: Fields) -> Result<Json<Changed>, ApiError> {
    let tn = fields.allow(&["value"])?.number("value")?;
    service.add_tn(tn).await?;
    Ok(Json(Changed { message: "successfully added TN to pool", value: tn.digits() }))
}

/// `GET /tn`
pub(super) async fn list(
    State(service): State<Service>,
    State(lists): State<Lists>,
    Asked(page): Asked,
) -> Result<Response, ApiError> {
    let page = known_mark(page, |mark| mark.parse::<Number>().is_ok())?;
    let limit = page.limit;
    let (part, size) = service.tns(page).await?;
    lists.answer(&Pool {
        available: size.total.saturating_sub(size.in_use),
        in_use: size.in_use,
        pool_size: size.total,
        virtual_tns: part.items.into_iter().map(VirtualTn::from).collect(),
        next: Next::of(limit, part.next),
    })
}

/// `GET /tn/{value}`
pub(super) async fn show(
    State(service): State<Service>,
    Named(value): Named<String>,
) -> Result<Json<VirtualTn>, ApiError> {
    Ok(Json(service.tn(parse(&value)?).await?.into()))
}

/// `DELETE /tn`
pub(super) async fn remove_named(
    State(service): State<Service>,
    fields: Fields,
) -> Result<Json<Changed>, ApiError> {
    let tn = fields.allow(&["value"])?.number("value")?;
    remove_tn(&service, tn).await
}

/// `DELETE /tn/{value}`
pub(super) async fn remove(
    State(service): State<Service>,
    Named(value): Named<String>,
) -> Result<Json<Changed>, ApiError> {
    remove_tn(&service, parse(&value)?).await
}

async fn remove_tn(service: &Service, tn: Number) -> Result<Json<Changed>, ApiError> {
    service.remove_tn(tn).await?;
    Ok(Json(Changed { message: "successfully removed TN from pool", value: tn.digits() }))
}
