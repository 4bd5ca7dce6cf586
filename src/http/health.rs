//! `GET /health`.

use super::error::ApiError;
use crate::service::Service;
use axum::{Json, extract::State};
use serde::Serialize;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// How long what the store said is good for, and how long it may take to say it.
const PERIOD: Duration = Duration::from_secs(2);

/// What the store said last, and when.
#[derive(Default)]
pub(super) struct Health(Mutex<Option<(Instant, bool)>>);

#[derive(Serialize)]
pub(super) struct Healthy {
    status: &'static str,
}

/// `GET /health`. However many ask, the store is asked at most every two seconds.
pub(super) async fn show(
    State(service): State<Service>,
    State(health): State<Arc<Health>>,
) -> Result<Json<Healthy>, ApiError> {
    let mut last = health.0.lock().await;
    let answers = match *last {
        Some((when, answers)) if when.elapsed() < PERIOD => answers,
        _ => {
            let answers = matches!(tokio::time::timeout(PERIOD, service.ping()).await, Ok(Ok(())));
            *last = Some((Instant::now(), answers));
            answers
        }
    };
    if answers { Ok(Json(Healthy { status: "ok" })) } else { Err(ApiError::unavailable()) }
}
