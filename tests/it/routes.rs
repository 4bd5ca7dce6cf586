//! The tables of routes and of error reasons.

use axum::http::StatusCode;
use sms_proxy::http::{Auth, Guard, ROUTES, Reason};
use std::collections::HashSet;
use test_support::{App, unpaced};

#[tokio::test]
async fn every_route_exists_and_is_guarded_unless_its_row_says_otherwise() {
    let auth = Auth { api_keys: vec!["an-api-key-0123456789".into()], ..Auth::default() };
    let app = App::with(unpaced(), auth);
    for route in ROUTES {
        let path = route.path.replace("{value}", "12062992129").replace("{id}", "x");
        let status = app.call(route.method, &path, None).await.status;
        assert_eq!(status == 401, route.guard == Guard::ApiKey, "{} {path}: {status}", route.method);
        assert!(![404, 405].contains(&status), "{} {path}: {status}", route.method);
    }
    let unguarded: Vec<_> =
        ROUTES.iter().filter(|route| route.guard != Guard::ApiKey).map(|route| route.path).collect();
    assert_eq!(unguarded, ["/", "/health", "/openapi.json"]);
}

#[test]
fn every_reason_has_a_name_of_its_own_and_the_status_of_an_error() {
    let mut names = HashSet::new();
    for reason in Reason::ALL {
        let name = reason.as_str();
        assert!(names.insert(name) && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
        assert!(reason.status() >= StatusCode::BAD_REQUEST, "{name}");
    }
}
