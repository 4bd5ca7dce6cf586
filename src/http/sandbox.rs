//! What the sandbox recorded.

use super::{
    error::ApiError,
    page::{Ascii, date},
};
use crate::provider::{Sandbox, SandboxMessage};
use axum::{Json, extract::State};
use serde::Serialize;
use std::sync::Arc;

#[derive(Serialize)]
pub(super) struct Messages {
    messages: Vec<Message>,
}

#[derive(Serialize)]
struct Message {
    to: String,
    from: String,
    body: String,
    media_urls: Vec<String>,
    sent_at: Ascii<19>,
}

impl From<SandboxMessage> for Message {
    fn from(SandboxMessage { message, sent_at, .. }: SandboxMessage) -> Self {
        let text = message.text;
        Self {
            to: text.to.digits(),
            from: text.from.digits(),
            body: text.content.body,
            media_urls: text.content.media_urls,
            sent_at: date(sent_at),
        }
    }
}

/// Lists the messages, newest first.
pub(super) async fn show(State(sandbox): State<Option<Arc<Sandbox>>>) -> Result<Json<Messages>, ApiError> {
    let messages = sandbox.ok_or_else(ApiError::not_found)?.messages();
    Ok(Json(Messages { messages: messages.into_iter().map(Message::from).collect() }))
}
