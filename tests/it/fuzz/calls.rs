//! Management calls: a line with method and path, then the body.

use super::{Subject, fuzz};
use crate::random_calls::KEY;
use axum::{body::Body, http::Request};

const SEEDS: [&str; 15] = [
    "POST /tn\n{\"value\": \"12062992130\"}",
    "POST /tn\n{\"value\": 12062992131}",
    "DELETE /tn\n{\"value\": \"12062992129\"}",
    "DELETE /tn/12062992130\n",
    "PATCH /tn/12062992129\n{\"draining\": true}",
    "POST /session\n{\"participant_a\": \"12065551214\", \"participant_b\": \"+12065551215\", \"expiry_window\": 60}",
    "POST /session\n{\"participant_a\": 12065551216, \"participant_b\": \"12065551217\", \"virtual_tn\": \"12062992130\"}",
    "DELETE /session\n{\"session_id\": \"00000000000000000000000000000000\"}",
    "DELETE /session/00000000000000000000000000000000\n",
    "PATCH /session/00000000000000000000000000000000\n{\"expiry_window\": null}",
    "GET /session?limit=2&participant=12065551212\n",
    "GET /message?session_id=00000000000000000000000000000000&limit=1\n",
    "GET /tn?limit=1&after=12062992128\n",
    "GET /opt-out?number=12065551212\n",
    "DELETE /opt-out\n{\"number\": \"12065551212\", \"virtual_tn\": \"12062992129\"}",
];

async fn check(subject: &Subject, input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (line, body) = (String::from_utf8_lossy(&input[..end]), input.get(end + 1..).unwrap_or_default());
    // Inputs do not know the session's id; zeros stand for it.
    let line = line.replace(&"0".repeat(32), &subject.session);
    let (method, path) = line.split_once(' ').unwrap_or((&line, "/"));
    let request = Request::builder().method(method).uri(path).header("x-api-key", KEY);
    let request = request.header("content-type", "application/json");
    // What is no HTTP does not reach the router.
    let Ok(request) = request.body(Body::from(body.to_vec())) else { return };
    subject.send(request).await;
}

#[test]
fn no_management_call_fails_or_changes_the_store_unless_accepted() {
    fuzz("calls", SEEDS.map(|seed| seed.as_bytes().to_vec()).into(), check);
}
