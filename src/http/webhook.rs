//! Receives what Flowroute posts.

use super::{
    auth::Auth,
    body::{media_type, read},
    encoding::text,
    error::ApiError,
    reason::Reason,
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
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

/// When the operator was last warned of refused posts.
#[derive(Default)]
pub(super) struct Refusals(Mutex<Option<Instant>>);

impl Refusals {
    /// Warns of a refused post, at most once per [`limits::WARNING`]: Flowroute gives a text up after some tries.
    fn warn(&self, refused: &ApiError) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= limits::WARNING) {
            *last = Some(Instant::now());
            tracing::warn!(
                reason = refused.reason().as_str(),
                "posts to the webhook are refused; if they are Flowroute's, texts are lost: {}",
                refused.message()
            );
        }
    }
}

/// `POST /`, which warns of refusals.
pub(super) async fn receive(
    service: State<Service>,
    auth: State<Arc<Auth>>,
    State(refusals): State<Arc<[Refusals; 2]>>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let received = receive_post(service, auth, request).await;
    if let Err(refused) = &received
        && refused.reason().status().is_client_error()
    {
        // Strangers without a token do not hide what is refused of Flowroute's posts.
        refusals[usize::from(refused.reason() == Reason::Unauthorized)].warn(refused);
    }
    received
}

/// 200 means: do not resend. The text and what it causes are stored, or it causes nothing.
async fn receive_post(
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
    let body = read(body, limits::WEBHOOK_BODY).await?;
    match flowroute::read(head.uri.query(), text(&head.headers, body, limits::WEBHOOK_BODY)?.as_bytes())? {
        Event::Texts(texts) => service.receive(texts).await?,
        Event::Receipt(receipt) => service.receive_receipt(receipt).await?,
        Event::Ignored(reason) => tracing::info!(?reason, "post ignored"),
    }
    Ok(StatusCode::OK)
}
