//! Whether the store answers and can be written.

use super::error::{ApiError, store_failed};
use crate::{limits, service::Service};
use axum::{Json, extract::State};
use serde::Serialize;
use std::{sync::Arc, time::Instant};
use tokio::sync::Mutex;

/// When the store was last checked, and whether it was healthy.
#[derive(Default)]
pub(super) struct Health(Mutex<Option<(Instant, bool)>>);

#[derive(Serialize)]
pub(super) struct Healthy {
    status: &'static str,
}

/// Checks the store at most once per [`limits::HEALTH_CHECK`], whatever the number of requests.
pub(super) async fn show(
    State(service): State<Service>,
    State(health): State<Arc<Health>>,
) -> Result<Json<Healthy>, ApiError> {
    let mut last = health.0.lock().await;
    let healthy = match *last {
        Some((when, healthy)) if when.elapsed() < limits::HEALTH_CHECK => healthy,
        _ => {
            let healthy = check(&service).await;
            *last = Some((Instant::now(), healthy));
            healthy
        }
    };
    if healthy { Ok(Json(Healthy { status: "ok" })) } else { Err(ApiError::unavailable()) }
}

async fn check(service: &Service) -> bool {
    match tokio::time::timeout(limits::HEALTH_CHECK, service.check_health()).await {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => store_failed(error),
        Err(_) => store_failed("no response to the health check"),
    }
    false
}
