//! The HTTP contract: one router, whichever runtime receives the requests.

mod app;
mod auth;
pub mod base_path;
mod body;
mod encoding;
mod error;
mod fields;
mod health;
mod message;
mod observe;
mod opt_out;
mod page;
mod reason;
mod routes;
mod sandbox;
mod session;
mod tn;
mod webhook;

pub use auth::Auth;
pub use observe::RequestId;
pub use reason::Reason;
pub use routes::{ROUTES, Route, SANDBOX_ROUTE};

use crate::{provider::Sandbox, service::Service};
use app::App;
use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
};
use error::ApiError;
use std::sync::Arc;

/// The parts of the router.
pub struct Parts {
    /// The service behind the routes.
    pub service: Service,
    /// The secrets that callers must send.
    pub auth: Auth,
    /// The sandbox, if it is the provider; adds [`SANDBOX_ROUTE`].
    pub sandbox: Option<Arc<Sandbox>>,
    /// The base path that others put before each path, such as `/sms`; paths without it work too.
    pub base_path: Option<String>,
    /// The size limit of a response, in bytes, if the runtime has one; a longer list is refused.
    pub response_limit: Option<usize>,
}

/// The router of [`ROUTES`], also below the base path.
pub fn router(parts: Parts) -> Router {
    let app = App {
        service: parts.service,
        auth: Arc::new(parts.auth),
        refusals: Arc::default(),
        health: Arc::default(),
        lists: page::Lists { response_limit: parts.response_limit },
        sandbox: parts.sandbox,
    };
    let sandbox = app.sandbox.as_ref().map(|_| &SANDBOX_ROUTE);
    let (guarded, unguarded): (Vec<_>, Vec<_>) =
        ROUTES.iter().chain(sandbox).partition(|route| route.guarded);
    let router = routes::router(unguarded)
        .merge(routes::router(guarded).route_layer(from_fn_with_state(app.clone(), auth::require_api_key)))
        .fallback(async || ApiError::not_found())
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(from_fn_with_state(app.clone(), observe::limit_time))
        .layer(from_fn(observe::observe))
        .with_state(app);
    match parts.base_path {
        Some(base) => base_path::below(base, router),
        None => router,
    }
}
