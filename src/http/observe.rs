//! Gives every request an id, a time limit and a log line.

use super::{anonymous::Anonymous, auth::Admitted, error::ApiError, reason::Reason};
use crate::{
    limits,
    telemetry::{
        logging::ANSWERED,
        metrics::{Event, UNKNOWN_ROUTE, answered, count},
    },
};
use axum::{
    body::HttpBody,
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, Method},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::Instrument;
use uuid::Uuid;

/// The id of a request, set by the runtime that received it; a request without one gets a random id.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Adds the request's id to its response and its log lines, and ends it at its time limit: work that must not be lost goes on
/// all the same. Paths and queries are not logged: they hold numbers and tokens.
pub(super) async fn observe(
    State((anonymous, limit)): State<(Arc<Anonymous>, Duration)>,
    request: Request,
    next: Next,
) -> Response {
    let RequestId(id) = request
        .extensions()
        .get::<RequestId>()
        .cloned()
        .unwrap_or_else(|| RequestId(Uuid::new_v4().simple().to_string()));
    let route =
        request.extensions().get::<MatchedPath>().map_or(UNKNOWN_ROUTE, MatchedPath::as_str).to_owned();
    let method = known(request.method());
    let span = tracing::info_span!("request", id, key = tracing::field::Empty);
    let header = HeaderValue::from_str(&id);
    // A body that has not arrived yet has a time limit of its own on top.
    let for_body = if request.body().is_end_stream() { Duration::ZERO } else { limits::REQUEST_BODY };
    async move {
        let start = Instant::now();
        let answer = tokio::time::timeout(limit + for_body, next.run(request));
        let mut response = answer.await.unwrap_or_else(|_| ApiError::timed_out().into_response());
        if let Ok(header) = header {
            response.headers_mut().insert("x-request-id", header);
        }
        let reason = response.extensions().get::<Reason>().copied();
        if matches!(reason, Some(Reason::Unauthorized | Reason::TooManyAttempts)) {
            count(Event::Unauthorized);
        }
        let reason = reason.map(Reason::as_str);
        let (status, took) = (response.status(), start.elapsed());
        answered(method, &route, status.as_u16(), took);
        let is_anonymous = response.extensions().get::<Admitted>().is_none();
        if is_anonymous
            && !status.is_server_error()
            && !anonymous.has_own_line(reason.unwrap_or("not_refused"))
        {
            return response;
        }
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let status = status.as_u16();
        tracing::info!(target: ANSWERED, %method, route, status, reason, milliseconds, "answered");
        response
    }
    .instrument(span)
    .await
}

/// The method as the log shows it. A client can make up others, of any length.
fn known(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}
