//! `GET /sandbox/messages`: what the sandbox keeps.

use super::{App, page::date};
use crate::provider::{Sandbox, SandboxMessage};
use axum::{Json, Router, extract::State, routing::get};
use serde::Serialize;
use std::sync::Arc;

#[derive(Serialize)]
struct Messages {
    messages: Vec<Message>,
}

#[derive(Serialize)]
struct Message {
    to: String,
    from: String,
    body: String,
    media_urls: Vec<String>,
    sent_at: String,
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

pub(super) fn routes(sandbox: Arc<Sandbox>) -> Router<App> {
    let show = async |State(sandbox): State<Arc<Sandbox>>| {
        Json(Messages { messages: sandbox.messages().into_iter().map(Message::from).collect() })
    };
    Router::new().route("/sandbox/messages", get(show).with_state(sandbox))
}
