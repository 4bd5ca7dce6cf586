//! What the log must not contain at its most verbose level.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::{
    ALICE, BOB, EVE, TN,
    binary::{Binary, read},
    flat,
    flowroute_standin::{ACCESS_KEY, FlowrouteStandin, Mode, SECRET_KEY},
    fresh_id, pair,
};

const API_KEY: &str = "right-key-of-the-test";
const WRONG_KEY: &str = "wrong-key-of-the-test";
const TOKEN: &str = "right-token-of-the-test";
const WRONG_TOKEN: &str = "wrong-token-of-the-test";
const FOREIGN: &str = "447700900123";
const WORDS: &str = "meet me at the fountain";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_contains_no_number_text_or_secret() {
    let folder = TempDir::new().unwrap();
    let flowroute = FlowrouteStandin::start().await;
    let settings = [("LOG_LEVEL", "trace"), ("API_KEYS", API_KEY), ("WEBHOOK_TOKEN", TOKEN)];
    let server = Binary::serve(folder.path(), &flowroute.settings(&settings)).await;
    let manage = async |method: &str, path: &str, body: Value| {
        read(server.request(method, path).header("x-api-key", API_KEY).json(&body)).await
    };
    let post = async |token: &str, body: String| {
        let request = server.request("POST", &format!("/?token={token}")).body(body);
        read(request.header("content-type", "application/json")).await.status
    };
    let text = |from: &str, to: &str| flat(&fresh_id(), from, to, WORDS).to_string();
    let pair = pair();

    assert_eq!(manage("POST", "/tn", json!({"value": TN})).await.status, 200);
    assert_eq!(manage("POST", "/tn", json!({"value": TN})).await.status, 400);
    assert_eq!(manage("POST", "/session", pair.clone()).await.status, 200);
    assert_eq!(manage("POST", "/session", pair.clone()).await.status, 400);
    let twice = text(ALICE, TN);
    let named = text(WORDS, TN);
    let odd =
        json!({"to": [TN], "from": ALICE, "body": WORDS, "timestamp": WORDS, "is_mms": true}).to_string();
    for payload in
        [twice.clone(), twice, text(EVE, TN), text(ALICE, EVE), text(FOREIGN, TN), text(TN, TN), named, odd]
    {
        assert_eq!(post(TOKEN, payload).await, 200);
    }
    for (token, payload) in [
        (WRONG_TOKEN, text(ALICE, TN)),
        (TOKEN, format!("{{{WORDS}")),
        (TOKEN, json!({"to": TN, "from": ALICE, "note": WORDS}).to_string()),
        (TOKEN, json!({"to": WORDS, "from": ALICE, "body": WORDS}).to_string()),
    ] {
        assert!(post(token, payload).await >= 400);
    }
    flowroute.mode(Mode::Refuse);
    assert_eq!(post(TOKEN, text(BOB, TN)).await, 200);
    assert_eq!(manage("POST", "/tn", json!({"value": "12062992130"})).await.status, 200);
    let others = json!({"participant_a": EVE, "participant_b": "12065558888"});
    assert_eq!(manage("POST", "/session", others).await.status, 502);
    for request in [
        server.request("GET", &format!("/tn/{TN}")).header("x-api-key", WRONG_KEY),
        server.request("GET", &format!("/tn/{FOREIGN}")).bearer_auth(API_KEY),
        server.request("GET", &format!("/nowhere/{ALICE}?key={WRONG_KEY}")).bearer_auth(WRONG_KEY),
        server.request("DELETE", &format!("/tn/{TN}")).header("x-api-key", API_KEY),
        server.request("POST", "/tn").header("x-api-key", API_KEY).json(&json!({ WRONG_KEY: ALICE })),
    ] {
        assert!(read(request).await.status >= 400);
    }

    let log = server.stop().await;
    let lines = log.lines().filter(|line| line.contains("answered")).count();
    assert!(lines >= 20, "the requests are in the log: {log}");
    assert!(log.contains("***1212"), "numbers are masked: {log}");
    let basic = BASE64_STANDARD.encode(format!("{ACCESS_KEY}:{SECRET_KEY}"));
    let numbers = [TN, ALICE, BOB, EVE, FOREIGN, "12062992130", "12065558888"];
    let secrets = [API_KEY, WRONG_KEY, TOKEN, WRONG_TOKEN, ACCESS_KEY, SECRET_KEY, &basic];
    let notices = ["Your new session has started", "An active session was not found"];
    for forbidden in numbers.into_iter().chain(secrets).chain(notices).chain([WORDS, "fountain"]) {
        let line = log.lines().find(|line| line.contains(forbidden) || line.contains(&forbidden[1..]));
        assert!(line.is_none(), "{forbidden} is in the log: {line:?}");
    }
}

/// The lines of a log at level WARN.
fn warnings(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("WARN")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_without_the_webhooks_token_are_warned_of_once_a_minute_with_what_to_mend() {
    let folder = TempDir::new().unwrap();
    let server = Binary::serve(folder.path(), &[("WEBHOOK_TOKEN", TOKEN)]).await;
    for path in ["/", "/?token=", &format!("/?token={WRONG_TOKEN}"), &format!("/?token={TOKEN}x")] {
        let text = flat(&fresh_id(), ALICE, TN, WORDS);
        assert_eq!(server.call("POST", path, Some(text)).await.status, 401);
    }
    // Of Flowroute's own posts that are refused there is another warning.
    for body in ["{", "[]", "{\"to\": 1}"] {
        let request = server.request("POST", &format!("/?token={TOKEN}")).body(body);
        assert_eq!(read(request.header("content-type", "application/json")).await.status, 400);
    }
    let log = server.stop().await;
    let (malformed, warnings): (Vec<_>, Vec<_>) =
        warnings(&log).into_iter().partition(|line| line.contains("malformed_json"));
    assert_eq!((malformed.len(), warnings.len()), (1, 1), "{log}");
    assert!(warnings[0].contains("?token=") && warnings[0].contains("WEBHOOK_TOKEN"), "{log}");
    assert!(!log.contains(TOKEN) && !log.contains(WRONG_TOKEN), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_in_quotes_is_warned_of_at_the_start() {
    let folder = TempDir::new().unwrap();
    let server = Binary::serve(folder.path(), &[("ORG_NAME", "\"CABS & CO\"")]).await;
    let log = server.stop().await;
    let warnings = warnings(&log);
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(warnings[0].contains("ORG_NAME: the quotes around the value are part of it"), "{log}");
}
