//! One id and one log line for every request.

use super::{
    body::TIME_LIMIT,
    error::{ApiError, Reason},
};
use crate::{
    metrics::{Event, count},
    service::Service,
};
use axum::{
    body::HttpBody,
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, StatusCode},
    middleware::Next,
    response::Response,
};
use std::time::{Duration, Instant};
use tracing::Instrument;
use uuid::Uuid;

/// The id that a request came with; without one it gets a fresh id.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Ends a request that takes too long. Work that must not be lost goes on in a task of its own.
///
/// The service's time begins when it knows what is asked for, so a body that is still to come has its own time besides.
pub(super) async fn in_time(
    State(service): State<Service>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let for_body = if request.body().is_end_stream() { Duration::ZERO } else { TIME_LIMIT };
    let answer = tokio::time::timeout(service.request_limit() + for_body, next.run(request)).await;
    answer.map_err(|_| ApiError::late())
}

/// Puts the request's id on its answer and on every log line of it. Paths and queries are not logged: they hold
/// numbers and tokens.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    let RequestId(id) = request
        .extensions()
        .get::<RequestId>()
        .cloned()
        .unwrap_or_else(|| RequestId(Uuid::new_v4().simple().to_string()));
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let span = tracing::info_span!("request", id);
    let header = HeaderValue::from_str(&id);
    async move {
        let start = Instant::now();
        let mut response = next.run(request).await;
        if let Ok(header) = header {
            response.headers_mut().insert("x-request-id", header);
        }
        let reason = response.extensions().get::<Reason>().map(|reason| reason.0);
        match response.status() {
            StatusCode::UNAUTHORIZED => count(Event::Unauthorized),
            // Nothing else than the store is ever unavailable, nor waited for until the time is up: what is sent has
            // its own limit, and the answer is known by then.
            StatusCode::SERVICE_UNAVAILABLE => count(Event::StoreErrors),
            _ => {}
        }
        let milliseconds = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(%method, route, status = response.status().as_u16(), reason, milliseconds, "answered");
        response
    }
    .instrument(span)
    .await
}
