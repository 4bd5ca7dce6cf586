//! What the log says of callers with a key, and of strangers.

use crate::guards::{HASHED_KEY, KEY, NAMED_KEY, guarded};
use axum::{body::Body, http::Request};
use serde_json::json;
use sms_proxy::http::Hash;
use test_support::{TN, logged, pair};

#[tokio::test]
async fn the_log_says_which_key_did_what() {
    let app = guarded();
    let plain = &Hash::of(KEY).to_string()[..8];
    for (key, label) in [(KEY, plain), (NAMED_KEY, "dispatch"), (HASHED_KEY, "night-shift")] {
        let request = Request::get("/tn").header("x-api-key", key).body(Body::empty()).unwrap();
        assert_eq!(app.send(request).await.status, 200);
        let log = logged();
        let line = log.lines().rfind(|line| line.contains("answered")).unwrap();
        assert!(line.contains(&format!("key=\"{label}\"")), "{line}");
        assert!(!log.contains(key), "{log}");
    }
    let manage = async |method: &str, path: &str, body: serde_json::Value| {
        let request = Request::builder().method(method).uri(path).header("x-api-key", NAMED_KEY);
        let request = request.header("content-type", "application/json").body(body.to_string().into());
        let answer = app.send(request.unwrap()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    manage("POST", "/tn", json!({"value": TN})).await;
    let session = manage("POST", "/session", pair()).await["session_id"].as_str().unwrap().to_owned();
    manage("PATCH", &format!("/session/{session}"), json!({"expiry_window": 5})).await;
    manage("DELETE", "/session", json!({"session_id": session})).await;
    let log = logged();
    for what in ["session created", "expiry changed", "session ended"] {
        let line = log.lines().find(|line| line.contains(what)).unwrap();
        assert!(line.contains("key=\"dispatch\"") && line.contains(&session), "{line}");
    }
}

#[tokio::test]
async fn refused_strangers_get_one_line_a_second_and_cannot_write_into_it() {
    let app = guarded();
    let method = "X".repeat(1000);
    for n in 0..500 {
        let (method, path) =
            [("GET", "/tn"), ("POST", "/"), (&method, "/tn/secret"), ("GET", "/made-up")][n % 4];
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        assert!(app.send(request).await.status >= 400);
    }
    drop(app);
    let log = logged();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("answered")).collect();
    assert!(lines.len() < 50, "{} lines", lines.len());
    assert!(lines.len() >= 2, "{log}");
    assert!(lines[0].contains("route=\"/tn\" status=401"), "{log}");
    let counted: u64 = lines
        .iter()
        .filter_map(|line| line.split_once("calls=\"")?.1.split_once('"'))
        .flat_map(|(calls, _)| {
            calls.split(", ").map(|call| call.split_once(": ").unwrap().1.parse::<u64>().unwrap())
        })
        .sum();
    let own_lines = lines.iter().filter(|line| !line.contains("calls=")).count() as u64;
    assert_eq!(counted + own_lines, 500, "{log}");
    assert!(!log.contains("XXX") && !log.contains("made-up") && !log.contains("secret"), "{log}");
}

#[tokio::test]
async fn a_made_up_method_and_path_are_logged_as_other_and_unknown() {
    let app = guarded();
    let request = Request::builder().method("SECRETS").uri("/made-up").body(Body::empty()).unwrap();
    app.send(request).await.assert_error(404, "not_found");
    let log = logged();
    assert!(log.contains("method=other route=\"unknown\" status=404"), "{log}");
}
