//! The table of routes.

use super::{
    app::App, auth::Guard, console, document, health, message, opt_out, participant, sandbox, session,
    status, tn, webhook,
};
use axum::{
    Router,
    routing::{MethodFilter, MethodRouter, on},
};

/// A method and a path.
#[derive(Debug)]
pub struct Route {
    /// The HTTP method.
    pub method: &'static str,
    /// The path, with parameters in braces, as the router and API Gateway write it.
    pub path: &'static str,
    /// What a caller needs.
    pub guard: Guard,
    handler: fn() -> MethodRouter<App>,
}

impl Route {
    const fn with(self, guard: Guard) -> Self {
        Self { guard, ..self }
    }
}

macro_rules! route {
    ($method:ident $path:literal, $handler:path) => {
        Route {
            method: stringify!($method),
            path: $path,
            guard: Guard::ApiKey,
            handler: || on(MethodFilter::$method, $handler),
        }
    };
}

/// The routes of every server; a route that names no guard asks for an API key.
pub const ROUTES: &[Route] = &[
    route!(POST "/", webhook::receive).with(Guard::WebhookToken),
    route!(GET "/health", health::show).with(Guard::Open),
    route!(GET "/openapi.json", document::show).with(Guard::Open),
    route!(GET "/message", message::list),
    route!(GET "/opt-out", opt_out::list),
    route!(DELETE "/opt-out", opt_out::lift),
    route!(POST "/participant/erase", participant::erase),
    route!(GET "/status", status::show),
    route!(GET "/tn", tn::list),
    route!(POST "/tn", tn::add),
    route!(DELETE "/tn", tn::remove_named),
    route!(GET "/tn/{value}", tn::show),
    route!(PATCH "/tn/{value}", tn::change),
    route!(DELETE "/tn/{value}", tn::remove),
    route!(GET "/session", session::list),
    route!(POST "/session", session::open),
    route!(DELETE "/session", session::end_named),
    route!(GET "/session/{id}", session::show),
    route!(PATCH "/session/{id}", session::change),
    route!(DELETE "/session/{id}", session::end),
];

/// An additional route of a local server with the sandbox.
pub const SANDBOX_ROUTE: Route = route!(GET "/sandbox/messages", sandbox::show);

/// An additional route of a local server.
pub const METRICS_ROUTE: Route = route!(GET "/metrics", status::metrics);

/// The additional routes of a service with a console. They need no key, for they have no data.
pub const CONSOLE_ROUTES: &[Route] = &[
    route!(GET "/console", console::page).with(Guard::Open),
    route!(GET "/console/{file}", console::file).with(Guard::Open),
];

pub(super) fn router<'a>(routes: impl IntoIterator<Item = &'a Route>) -> Router<App> {
    routes.into_iter().fold(Router::new(), |router, route| router.route(route.path, (route.handler)()))
}
