//! `POST /`: what Flowroute posts.

use super::{
    auth::Auth,
    body::{media_type, read},
    error::ApiError,
};
use crate::{
    provider::flowroute::{self, Event},
    service::Service,
};
use axum::{
    extract::{Request, State},
    http::StatusCode,
};
use std::sync::Arc;

/// The largest post.
const LIMIT: usize = 256 * 1024;

/// `POST /`. 200: on record, nobody needs to post it again.
pub(super) async fn receive(
    State(service): State<Service>,
    State(auth): State<Arc<Auth>>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let (head, body) = request.into_parts();
    if !auth.admits_webhook(head.uri.query(), &head.headers) {
        return Err(ApiError::no_webhook_token());
    }
    if !matches!(
        media_type(&head.headers).as_deref(),
        None | Some("application/json" | "application/vnd.api+json")
    ) {
        return Err(ApiError::unsupported_media_type("application/json or application/vnd.api+json"));
    }
    match flowroute::read(&read(body, LIMIT).await?)? {
        Event::Text(inbound) => service.receive(inbound).await?,
        Event::Receipt(receipt) => {
            tracing::info!(id = receipt.provider_id, status = receipt.status, "delivery receipt");
        }
        Event::Ignored(reason) => tracing::info!(?reason, "nothing is sent for this post"),
    }
    Ok(StatusCode::OK)
}
