//! What the service holds, and its metrics.

use super::error::ApiError;
use crate::{
    domain::Failed,
    service::{self, Service},
    telemetry::prometheus::Prometheus,
};
use axum::{
    Json,
    extract::State,
    http::{HeaderName, header},
};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Status {
    version: &'static str,
    storage: &'static str,
    provider: &'static str,
    pool: Pool,
    sessions: Sessions,
    outbox: Outbox,
    counted_up_to: u32,
    /// The counts that may be higher in truth.
    at_least: Vec<&'static str>,
}

#[derive(Serialize)]
struct Pool {
    tns: u32,
    in_use: u32,
    free: u32,
    draining: u32,
}

#[derive(Serialize)]
struct Sessions {
    live: u32,
}

#[derive(Serialize)]
struct Outbox {
    waiting: u32,
    oldest_seconds: Option<i64>,
    unknown: u32,
    failed_last_hour: u32,
    failed_counted_by: &'static str,
}

impl From<service::Status> for Status {
    fn from(status: service::Status) -> Self {
        let service::Status { gauges, census, failed: Failed { count: failed, at_least }, .. } = status;
        let is_full = |count: u32| count >= status.counted_up_to;
        let whole_pool = is_full(census.tns);
        let counts = [
            ("pool.tns", whole_pool),
            ("pool.in_use", whole_pool),
            ("pool.free", is_full(gauges.free_tns)),
            ("pool.draining", whole_pool),
            ("sessions.live", is_full(census.sessions)),
            ("outbox.waiting", is_full(gauges.waiting)),
            ("outbox.oldest_seconds", is_full(gauges.waiting)),
            ("outbox.unknown", is_full(gauges.unknown)),
            ("outbox.failed_last_hour", at_least),
        ];
        Self {
            version: env!("CARGO_PKG_VERSION"),
            storage: status.storage,
            provider: status.provider,
            pool: Pool {
                tns: census.tns,
                in_use: census.in_use,
                free: gauges.free_tns,
                draining: census.draining,
            },
            sessions: Sessions { live: census.sessions },
            outbox: Outbox {
                waiting: gauges.waiting,
                oldest_seconds: status.oldest_seconds,
                unknown: gauges.unknown,
                failed_last_hour: failed,
                failed_counted_by: if status.failed_in_store { "store" } else { "process" },
            },
            counted_up_to: status.counted_up_to,
            at_least: counts.into_iter().filter_map(|(name, is)| is.then_some(name)).collect(),
        }
    }
}

pub(super) async fn show(State(service): State<Service>) -> Result<Json<Status>, ApiError> {
    Ok(Json(service.status().await?.into()))
}

/// The metrics in Prometheus' text format. The gauges are read for each answer.
pub(super) async fn metrics(
    State(service): State<Service>,
    State(prometheus): State<Option<Prometheus>>,
) -> Result<([(HeaderName, &'static str); 1], String), ApiError> {
    let prometheus = prometheus.ok_or_else(ApiError::not_found)?;
    service.sample().await;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], prometheus.render()))
}
