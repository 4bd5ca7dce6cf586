//! The tables of routes and of error reasons.

use axum::http::StatusCode;
use sms_proxy::http::{Auth, Guard, ROUTES, Reason};
use std::{collections::HashSet, fs, path::Path};
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

/// So the walks over the tables see all routes.
#[test]
fn the_router_has_routes_of_the_tables_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut calls = Vec::new();
    for folder in ["http", "runtime"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let text = if path.is_file() { fs::read_to_string(&path).unwrap() } else { String::new() };
            let adders = [".route(", ".route_service(", ".nest(", ".nest_service("];
            let found = adders.iter().map(|adder| text.matches(adder).count()).sum::<usize>();
            calls.extend((found > 0).then(|| (path.file_name().unwrap().to_owned(), found)));
        }
    }
    assert_eq!(calls, [("routes.rs".into(), 1)]);
}
