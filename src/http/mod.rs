//! The HTTP contract: one router, whichever way the requests come.

mod auth;
mod body;
mod error;
mod health;
mod message;
mod observe;
mod page;
mod sandbox;
mod session;
mod tn;
mod webhook;

pub use auth::Auth;
pub use observe::RequestId;

use crate::{provider::Sandbox, service::Service};
use axum::{
    Router,
    extract::FromRef,
    middleware::{from_fn, from_fn_with_state},
    routing::{get, post},
};
use error::ApiError;
use health::Health;
use std::sync::Arc;

/// What the router is made of.
pub struct Parts {
    /// The service behind the routes.
    pub service: Service,
    /// Who may call them.
    pub auth: Auth,
    /// The sandbox, if it is the provider and its texts are to be shown.
    pub sandbox: Option<Arc<Sandbox>>,
    /// The longest answer that the way back can carry, in bytes; a longer list is refused.
    pub answer_limit: Option<usize>,
}

#[derive(Clone, FromRef)]
struct App {
    service: Service,
    auth: Arc<Auth>,
    health: Arc<Health>,
    lists: page::Lists,
}

/// The paths that the router knows, in the form that the router and API Gateway share.
pub const PATHS: [&str; 7] = ["/", "/health", "/message", "/tn", "/tn/{value}", "/session", "/session/{id}"];

/// The router. What stands under `guarded` asks for an API key.
pub fn router(parts: Parts) -> Router {
    let app = App {
        service: parts.service,
        auth: Arc::new(parts.auth),
        health: Arc::default(),
        lists: page::Lists { answer_limit: parts.answer_limit },
    };
    let mut guarded = Router::new()
        .route("/tn", get(tn::list).post(tn::add).delete(tn::remove_named))
        .route("/tn/{value}", get(tn::show).delete(tn::remove))
        .route("/session", get(session::list).post(session::open).delete(session::end_named))
        .route("/session/{id}", get(session::show).delete(session::end))
        .route("/message", get(message::list));
    if let Some(sandbox) = parts.sandbox {
        guarded = guarded.merge(sandbox::routes(sandbox));
    }
    let guarded = guarded.route_layer(from_fn_with_state(app.clone(), auth::require_api_key));
    Router::new()
        .route("/", post(webhook::receive))
        .route("/health", get(health::show))
        .merge(guarded)
        .fallback(async || ApiError::not_found())
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(from_fn_with_state(app.clone(), observe::in_time))
        .layer(from_fn(observe::observe))
        .with_state(app)
}
