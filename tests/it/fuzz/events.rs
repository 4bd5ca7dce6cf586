//! Events of API Gateway and function URLs, whole.

use super::{Subject, fuzz};
use crate::random_calls::{KEY, TOKEN};
use serde_json::{Value, json};
use sms_proxy::runtime::lambda::{self, Payload};
use test_support::{
    ALICE, TN,
    events::{Call, GATEWAYS},
    flat, fresh_id,
};

/// Who sends neither key nor token gets nothing but what is open to all.
async fn check(subject: &Subject, input: &[u8]) {
    let payload = serde_json::from_slice::<Payload>(input);
    let is_json = serde_json::from_slice::<Value>(input).is_ok();
    assert!(payload.is_ok() || !is_json, "no payload: {payload:?}");
    // What is flawed is answered without becoming a request.
    let Ok(Payload::Event(event)) = payload else { return };
    let request = lambda::request(event.into());
    let path = request.uri().path().to_owned();
    let answer = subject.send(request).await;
    let text = String::from_utf8_lossy(input);
    let is_open = ["/health", "/openapi.json"].contains(&path.as_str()) || path.starts_with("/console");
    let has_secret = text.contains(KEY) || text.contains(TOKEN);
    assert!(answer.status >= 300 || is_open || has_secret, "{path}: {answer:?}");
}

#[test]
fn no_event_fails_and_none_is_accepted_without_key_or_token() {
    let key = [("x-api-key", KEY), ("content-type", "application/json")];
    let no_key = &key[1..];
    let text = Some(flat(&fresh_id(), ALICE, TN, "hello").to_string());
    let tn = Some(json!({"value": "12062992130"}).to_string());
    let calls = [
        Call { method: "POST", path: "/", query: &[("token", TOKEN)], headers: no_key, body: text.clone() },
        Call { method: "POST", path: "/", query: &[], headers: no_key, body: text },
        Call { method: "POST", path: "/tn", query: &[], headers: &key, body: tn.clone() },
        Call { method: "POST", path: "/tn", query: &[], headers: no_key, body: tn },
        Call { method: "GET", path: "/session", query: &[("limit", "1")], headers: &key, body: None },
        Call { method: "DELETE", path: "/tn/12062992129", query: &[], headers: &key, body: None },
        Call { method: "GET", path: "/health", query: &[], headers: &[], body: None },
    ];
    let seeds = GATEWAYS.iter().flat_map(|gateway| calls.iter().map(|call| gateway.event(call)));
    fuzz("events", seeds.map(|event| event.to_string().into_bytes()).collect(), check);
}
