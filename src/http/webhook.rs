//! `POST /`: what Flowroute posts.

use super::{
    auth::Auth,
    body::{media_type, read},
    error::ApiError,
};
use crate::{
    domain::{MessageId, Receipt},
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

/// Our id of the message that a receipt is about, as we asked Flowroute to give it back.
fn named_message(query: Option<&str>) -> Option<MessageId> {
    let mut query = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    query.find(|(name, _)| name == "m")?.1.parse().ok()
}

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
            let message = named_message(head.uri.query());
            service.receive_receipt(Receipt { message, ..receipt }).await?;
        }
        Event::Ignored(reason) => tracing::info!(?reason, "nothing is sent for this post"),
    }
    Ok(StatusCode::OK)
}
