//! Receives what Flowroute posts.

use super::{
    body::{media_type, read},
    encoding::text,
    error::ApiError,
    refusals::Refusals,
};
use crate::{
    limits,
    provider::flowroute::{self, Event},
    service::Service,
};
use axum::{
    extract::{Request, State},
    http::StatusCode,
};
use std::sync::Arc;

/// `POST /`, which warns of refusals.
pub(super) async fn receive(
    service: State<Service>,
    State(refusals): State<Arc<Refusals>>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let received = receive_post(service, request).await;
    if let Err(refused) = &received
        && refused.reason().status().is_client_error()
    {
        refusals.warn(refused);
    }
    received
}

/// 200 means: do not resend. The text and what it causes are stored, or it causes nothing.
async fn receive_post(State(service): State<Service>, request: Request) -> Result<StatusCode, ApiError> {
    let (head, body) = request.into_parts();
    if !matches!(
        media_type(&head.headers).as_deref(),
        None | Some("application/json" | "application/vnd.api+json")
    ) {
        return Err(ApiError::unsupported_media_type("application/json or application/vnd.api+json"));
    }
    let body = read(body, limits::WEBHOOK_BODY).await?;
    match flowroute::read(head.uri.query(), text(&head.headers, body, limits::WEBHOOK_BODY)?.as_bytes())? {
        Event::Texts(texts) => service.receive(texts).await?,
        Event::Receipt(receipt) => service.receive_receipt(receipt).await?,
        Event::Ignored(reason) => tracing::info!(?reason, "post ignored"),
    }
    Ok(StatusCode::OK)
}
