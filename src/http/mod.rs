//! The HTTP contract: one router, whichever runtime receives the requests.

mod anonymous;
mod app;
mod attempts;
mod auth;
pub mod base_path;
mod body;
mod console;
mod document;
mod encoding;
mod error;
mod fields;
mod health;
mod keys;
mod message;
mod observe;
mod openapi;
mod opt_out;
mod origin;
mod page;
mod participant;
mod reason;
mod refusals;
mod routes;
mod sandbox;
mod session;
mod source;
mod status;
mod tn;
mod webhook;

pub use auth::{Auth, Guard};
pub use keys::{ApiKey, Hash, InvalidKey, SHORTEST_KEY, check_secret};
pub use observe::RequestId;
pub use openapi::openapi;
pub use reason::Reason;
pub use routes::{CONSOLE_ROUTES, METRICS_ROUTE, ROUTES, Route, SANDBOX_ROUTE};
pub use source::{InvalidNetworks, Networks, Peer};

use crate::{provider::Sandbox, service::Service, telemetry::prometheus::Prometheus};
use app::{App, Shared};
use axum::{
    Router,
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
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
    /// The metrics, if they are recorded for Prometheus; adds [`METRICS_ROUTE`].
    pub metrics: Option<Prometheus>,
    /// Whether there is a console; adds [`CONSOLE_ROUTES`].
    pub console: bool,
    /// The base path that others put before each path, such as `/sms`; paths without it work too.
    pub base_path: Option<String>,
    /// The size limit of a response, in bytes, if the runtime has one; a longer list is refused.
    pub response_limit: Option<usize>,
}

/// The response to an event that cannot become a request because of this flaw.
#[must_use]
pub fn unreadable_event(flaw: &str) -> Response {
    ApiError::unreadable_event(flaw).into_response()
}

/// The router of [`ROUTES`], also below the base path.
pub fn router(parts: Parts) -> Router {
    let app = Arc::new(Shared {
        service: parts.service,
        access: Arc::new((&parts.auth).into()),
        refusals: Arc::default(),
        health: Arc::default(),
        document: openapi,
        lists: page::Lists { response_limit: parts.response_limit },
        sandbox: parts.sandbox,
        metrics: parts.metrics,
    });
    let sandbox = app.sandbox.as_ref().map(|_| &SANDBOX_ROUTE);
    let metrics = app.metrics.as_ref().map(|_| &METRICS_ROUTE);
    let console = parts.console.then_some(CONSOLE_ROUTES).into_iter().flatten();
    let all: Vec<&Route> = ROUTES.iter().chain(sandbox).chain(metrics).chain(console).collect();
    let behind = |guard: Guard| {
        let routes = all.iter().copied().filter(|route| route.guard == guard);
        let admit = (Arc::clone(&app.access), Arc::clone(&app.refusals), guard);
        routes::router(routes).route_layer(from_fn_with_state(admit, auth::admit))
    };
    let router = Guard::ALL
        .into_iter()
        .fold(Router::new(), |router, guard| router.merge(behind(guard)))
        .fallback(async || ApiError::not_found())
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(from_fn_with_state((Arc::default(), app.service.request_limit()), observe::observe))
        .with_state(App(app));
    match parts.base_path {
        Some(base) => base_path::below(base, router),
        None => router,
    }
}
