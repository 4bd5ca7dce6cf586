//! Erases a person.

use super::{
    body::{self, Payload},
    error::ApiError,
    fields::Fields,
};
use crate::{
    domain::{Erased, Number},
    service::Service,
};
use axum::{Json, extract::State};
use serde::Serialize;

/// What an erasure does not reach.
const NOT_ERASED: [&str; 5] = [
    "opt-outs, which are kept under a keyed hash of the number",
    "a virtual TN of the pool, if the number is one",
    "backups and exports",
    "the provider's records",
    "the last four digits in logs",
];

/// The body of `POST /participant/erase`. In the body, since proxies log URLs.
pub(super) struct EraseRequest {
    number: Number,
}

impl Payload for EraseRequest {
    const FIELDS: &[&str] = &["number"];

    fn read(fields: &Fields) -> Result<Self, ApiError> {
        Ok(Self { number: fields.number("number")? })
    }
}

#[derive(Serialize)]
pub(super) struct Report {
    message: &'static str,
    sessions_ended: usize,
    sessions_erased: usize,
    messages_erased: usize,
    other_records_erased: usize,
    not_erased: [&'static str; 5],
}

impl From<Erased> for Report {
    fn from(erased: Erased) -> Self {
        Self {
            message: "successfully erased number",
            sessions_ended: erased.sessions_ended,
            sessions_erased: erased.sessions,
            messages_erased: erased.messages,
            other_records_erased: erased.others,
            not_erased: NOT_ERASED,
        }
    }
}

pub(super) async fn erase(
    State(service): State<Service>,
    body::Json(EraseRequest { number }): body::Json<EraseRequest>,
) -> Result<Json<Report>, ApiError> {
    Ok(Json(service.erase(number).await?.into()))
}
