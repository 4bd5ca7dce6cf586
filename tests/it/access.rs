//! Access control, and what all responses have in common.

use axum::{body::Body, http::Request};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;
use sms_proxy::{
    http::{Auth, Parts, router},
    provider::Sandbox,
    service::Service,
};
use std::{collections::HashSet, sync::Arc};
use test_support::{ALICE, App, BOB, TN, flat, fresh_id, pair, parts, unpaced};

const KEY: &str = "0123456789abcdef";
const OTHER_KEY: &str = "fedcba9876543210";
const TOKEN: &str = "webhook-token-of-ours";

fn locked() -> App {
    let auth = Auth {
        api_keys: vec![KEY.into(), OTHER_KEY.into()],
        webhook_token: Some(TOKEN.into()),
        ..Auth::default()
    };
    App::with(unpaced(), auth)
}

async fn call_with(app: &App, method: &str, path: &str, header: Option<(&str, &str)>) -> u16 {
    let mut request = Request::builder().method(method).uri(path);
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    app.send(request.body(Body::empty()).unwrap()).await.status
}

#[tokio::test]
async fn management_calls_need_one_of_the_keys() {
    let app = locked();
    for (method, path) in [
        ("GET", "/tn"),
        ("POST", "/tn"),
        ("DELETE", "/tn"),
        ("GET", "/tn/12062992129"),
        ("DELETE", "/tn/12062992129"),
        ("GET", "/session"),
        ("POST", "/session"),
        ("DELETE", "/session"),
        ("GET", "/session/x"),
        ("DELETE", "/session/x"),
    ] {
        let answer = app.call(method, path, Some(json!({"value": TN}))).await;
        answer.assert_error(401, "unauthorized");
        assert!(answer.headers.contains_key("www-authenticate"));
    }
    let bearer = format!("Bearer {KEY}");
    let lower = format!("bearer {OTHER_KEY}");
    for header in
        [("x-api-key", KEY), ("x-api-key", OTHER_KEY), ("authorization", &bearer), ("authorization", &lower)]
    {
        assert_eq!(call_with(&app, "GET", "/tn", Some(header)).await, 200, "{header:?}");
    }
    let longer = format!("{KEY}0");
    let both = format!("{KEY},{OTHER_KEY}");
    let basic = format!("Basic {KEY}");
    for header in [
        ("x-api-key", ""),
        ("x-api-key", &KEY[1..]),
        ("x-api-key", &longer),
        ("x-api-key", &both),
        ("x-api-key", TOKEN),
        ("authorization", KEY),
        ("authorization", &basic),
    ] {
        assert_eq!(call_with(&app, "GET", "/tn", Some(header)).await, 401, "{header:?}");
    }
    assert_eq!(call_with(&app, "GET", "/health", None).await, 200);
}

#[tokio::test]
async fn the_webhook_needs_the_token_in_its_url() {
    let app = locked();
    let post = async |path: &str, basic: Option<&str>| {
        let mut request = Request::post(path);
        if let Some(pair) = basic {
            request = request.header("authorization", format!("Basic {}", BASE64_STANDARD.encode(pair)));
        }
        app.send(request.body(flat(&fresh_id(), ALICE, TN, "hi").to_string().into()).unwrap()).await
    };
    for path in ["/".to_owned(), format!("/?token={KEY}"), "/?token=".into(), format!("/?tokens={TOKEN}")] {
        post(&path, None).await.assert_error(401, "unauthorized");
    }
    post("/", Some(&format!("{TOKEN}:{KEY}"))).await.assert_error(401, "unauthorized");
    assert_eq!(post(&format!("/?token={TOKEN}"), None).await.status, 200);
    assert_eq!(post(&format!("/?m=1&token={TOKEN}"), None).await.status, 200);
    assert_eq!(post("/", Some(&format!("flowroute:{TOKEN}"))).await.status, 200);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused() {
    let app = App::new();
    for path in [
        "/nope",
        "/tn/",
        "/session/",
        "/tn/12062992129/x",
        "/health/",
        "//",
        "/TN",
        "/sandbox/messages",
        "/tn/%FF",
    ] {
        app.call("GET", path, None).await.assert_error(404, "not_found");
    }
    for (method, path, allowed) in [
        ("PUT", "/tn", "DELETE GET HEAD POST"),
        ("PATCH", "/session", "DELETE GET HEAD POST"),
        ("POST", "/tn/12062992129", "DELETE GET HEAD PATCH"),
        ("PUT", "/session/x", "DELETE GET HEAD PATCH"),
        ("GET", "/", "POST"),
        ("DELETE", "/health", "GET HEAD"),
    ] {
        let answer = app.call(method, path, None).await;
        answer.assert_error(405, "method_not_allowed");
        let allow = answer.headers["allow"].to_str().unwrap();
        let mut allow: Vec<&str> = allow.split(',').map(str::trim).collect();
        allow.sort_unstable();
        assert_eq!(allow.join(" "), allowed, "{path}");
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let app = App::new();
    app.conversation(None).await;
    for path in ["/tn", "/session", "/health"] {
        let (head, get) = (app.call("HEAD", path, None).await, app.call("GET", path, None).await);
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        assert_eq!(head.headers["content-type"], get.headers["content-type"]);
    }
}

#[tokio::test]
async fn every_response_has_its_own_request_id() {
    let app = locked();
    let mut ids = HashSet::new();
    for (method, path) in
        [("GET", "/health"), ("GET", "/nope"), ("PUT", "/tn"), ("GET", "/tn"), ("POST", "/")]
    {
        let answer = app.call(method, path, None).await;
        assert!(ids.insert(answer.headers["x-request-id"].clone()), "{path}");
    }
}

#[tokio::test]
async fn the_sandbox_lists_its_messages_newest_first_and_needs_a_key() {
    let (store, _folder) = test_support::sqlite();
    let sandbox = Arc::new(Sandbox::default());
    let service = Service::new(store, Arc::clone(&sandbox) as _, unpaced());
    let auth = Auth { api_keys: vec![KEY.into()], ..Auth::default() };
    let parts = Parts { auth, sandbox: Some(sandbox), ..parts(&service) };
    let app = App { router: router(parts), ..App::new() };
    let keyed = async |method: &str, path: &str, body: serde_json::Value| {
        let request = Request::builder().method(method).uri(path).header("x-api-key", KEY);
        let request = request.header("content-type", "application/json").body(body.to_string().into());
        app.send(request.unwrap()).await.json()
    };
    keyed("POST", "/tn", json!({"value": TN})).await;
    keyed("POST", "/session", pair()).await;
    app.text(ALICE, TN, "hi").await;
    app.call("GET", "/sandbox/messages", None).await.assert_error(401, "unauthorized");
    let shown = keyed("GET", "/sandbox/messages", json!({})).await;
    let messages = shown["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 3);
    let newest = messages[0].as_object().unwrap();
    let keys: Vec<&String> = newest.keys().collect();
    assert_eq!(keys.len(), 5, "{keys:?}");
    assert_eq!((&newest["to"], &newest["from"], &newest["body"]), (&json!(BOB), &json!(TN), &json!("hi")));
    assert_eq!(newest["media_urls"], json!([]));
    assert!(
        chrono::NaiveDateTime::parse_from_str(newest["sent_at"].as_str().unwrap(), "%Y-%m-%d %H:%M:%S")
            .is_ok()
    );
}

#[tokio::test]
async fn a_list_that_exceeds_the_response_limit_is_refused_and_names_limit() {
    let app = App::new();
    for n in 0..20 {
        app.add_tn(&test_support::number(n)).await;
    }
    let parts = Parts { response_limit: Some(500), ..parts(&app.service) };
    let narrow = App { router: router(parts), ..app };
    let answer = narrow.call("GET", "/tn", None).await;
    answer.assert_error(400, "list_too_long");
    assert!(answer.body.contains("limit"));
    assert_eq!(narrow.call("GET", "/tn?limit=3", None).await.status, 200);
}
