//! Lists and lifts opt-outs.

use super::{
    body::{self, Payload},
    error::ApiError,
    fields::Fields,
    page::required_in_query,
};
use crate::{domain::Number, service::Service};
use axum::{
    Json,
    extract::{RawQuery, State},
};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct OptOuts {
    number: String,
    virtual_tns: Vec<String>,
}

/// The body of `DELETE /opt-out`.
pub(super) struct LiftRequest {
    number: Number,
    virtual_tn: Number,
}

impl Payload for LiftRequest {
    const FIELDS: &[&str] = &["number", "virtual_tn"];

    fn read(fields: &Fields) -> Result<Self, ApiError> {
        Ok(Self { number: fields.number("number")?, virtual_tn: fields.number("virtual_tn")? })
    }
}

#[derive(Serialize)]
pub(super) struct Lifted {
    message: &'static str,
    number: String,
    virtual_tn: String,
}

pub(super) async fn list(
    State(service): State<Service>,
    RawQuery(query): RawQuery,
) -> Result<Json<OptOuts>, ApiError> {
    let number = required_in_query(query.as_deref(), "number")?;
    let number: Number =
        number.trim().parse().map_err(|problem| ApiError::invalid_number("number", problem))?;
    let tns = service.opt_outs(number).await?;
    Ok(Json(OptOuts { number: number.digits(), virtual_tns: tns.into_iter().map(Number::digits).collect() }))
}

pub(super) async fn lift(
    State(service): State<Service>,
    body::Json(LiftRequest { number, virtual_tn }): body::Json<LiftRequest>,
) -> Result<Json<Lifted>, ApiError> {
    service.lift_opt_out(number, virtual_tn).await?;
    Ok(Json(Lifted {
        message: "successfully lifted opt-out",
        number: number.digits(),
        virtual_tn: virtual_tn.digits(),
    }))
}
