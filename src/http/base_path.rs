//! The base path under which others reach the service.

use super::routes::ROUTES;
use axum::{Router, extract::Request, http::Uri};
use tower::util::MapRequest;

/// The same router, also below this base path, such as `/sms`.
pub(super) fn below(base: String, router: Router) -> Router {
    // Around the router, because a path that is changed inside has found its route already.
    let without_base = move |mut request: Request| {
        let uri = request.uri();
        if let Some(path) = without(&base, uri.path()) {
            let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            if let Ok(uri) = format!("{path}{query}").parse::<Uri>() {
                *request.uri_mut() = uri;
            }
        }
        request
    };
    Router::new().fallback_service(MapRequest::new(router, without_base))
}

/// The path after this base path, which is taken off once. `None`: the path does not begin with it.
#[must_use]
pub fn after<'a>(base: &str, path: &'a str) -> Option<&'a str> {
    let base = Some(base.trim_matches('/')).filter(|base| !base.is_empty())?;
    match path.strip_prefix('/')?.strip_prefix(base)? {
        "" => Some("/"),
        rest => rest.starts_with('/').then_some(rest),
    }
}

/// The same, unless the base path is the word of a route, and the path is that route.
#[must_use]
pub fn without<'a>(base: &str, path: &'a str) -> Option<&'a str> {
    let is_of_route =
        |rest: &str| is_route(first_segment(base)) && !is_route(first_segment(rest)) && !path.ends_with('/');
    after(base, path).filter(|rest| !is_of_route(rest))
}

fn first_segment(path: &str) -> &str {
    path.trim_start_matches('/').split('/').next().unwrap_or_default()
}

/// Whether one of the router's paths begins with this word.
fn is_route(word: &str) -> bool {
    !word.is_empty() && ROUTES.iter().any(|route| first_segment(route.path) == word)
}
