//! What the function does before its first event, and after it was frozen between two events.

use axum::Router;
use serde_json::{Value, json};
use std::{
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use test_support::{
    ALICE, Loopback, Reply, TN,
    binary::{Binary, eventually},
    events::{Call, HTTP_DEFAULT},
    fresh_id, pair,
    runtime_api::RuntimeApi,
};
use tokio::net::TcpListener;

const KEYS: [(&str, &str); 4] = [
    ("FLOWROUTE_ACCESS_KEY", "an-access-key"),
    ("FLOWROUTE_SECRET_KEY", "a-secret-key"),
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
];

/// Calls the function. Returns the status.
async fn call(runtime: &RuntimeApi, method: &str, path: &str, body: Option<Value>) -> u64 {
    let headers = &[("content-type", "application/json")];
    let call = Call { method, path, headers, body: body.map(|body| body.to_string()), ..Call::default() };
    let answer = runtime.invoke(&fresh_id(), &HTTP_DEFAULT.event(&call)).await;
    answer["statusCode"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_and_the_provider_are_connected_before_the_first_event() {
    let (runtime, folder) = (RuntimeApi::start().await, TempDir::new().unwrap());
    let flowroute = Loopback::always(Reply::answer(404, "")).await;
    let dynamodb = Loopback::always(Reply::answer(200, "{}")).await;
    let (flowroute_url, dynamodb_url) = (flowroute.url("http"), dynamodb.url("http"));
    let settings = [
        ("STORAGE", "dynamodb"),
        ("FLOWROUTE_API_URL", flowroute_url.as_str()),
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_url.as_str()),
    ];
    let _binary = runtime.function(folder.path(), &[&KEYS[..], &settings].concat());
    runtime.asked_for_an_event().await;

    let greeting = flowroute.only_request();
    assert_eq!((greeting.method.as_str(), greeting.path.as_str()), ("HEAD", "/"));
    assert!(!greeting.headers.contains_key("authorization"), "{greeting:?}");
    let read = dynamodb.only_request();
    assert_eq!(read.header("x-amz-target"), "DynamoDB_20120810.GetItem");
}

/// A slow server that notes how often the function had asked for an event before each response.
async fn hesitant(runtime: &Arc<RuntimeApi>) -> (String, Arc<Mutex<Vec<usize>>>) {
    let (runtime, answers) = (Arc::clone(runtime), Arc::<Mutex<Vec<usize>>>::default());
    let answered = Arc::clone(&answers);
    let router = Router::new().fallback(async move || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        answered.lock().unwrap().push(runtime.asked());
        "{}"
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, answers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_event_is_requested_once_both_have_responded() {
    let (runtime, folder) = (Arc::new(RuntimeApi::start().await), TempDir::new().unwrap());
    let (flowroute, dynamodb) = (hesitant(&runtime).await, hesitant(&runtime).await);
    let settings = [
        ("STORAGE", "dynamodb"),
        ("FLOWROUTE_API_URL", flowroute.0.as_str()),
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.0.as_str()),
    ];
    let _binary = runtime.function(folder.path(), &[&KEYS[..], &settings].concat());
    runtime.asked_for_an_event().await;
    for answers in [flowroute.1, dynamodb.1] {
        assert_eq!(*answers.lock().unwrap(), [0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_works_if_neither_responds_before_its_first_event() {
    for silent in [Reply::Silence, Reply::HangUpUnread] {
        let (runtime, folder) = (RuntimeApi::start().await, TempDir::new().unwrap());
        let flowroute = Loopback::always(silent.clone()).await;
        let dynamodb = Loopback::always(silent).await;
        let (flowroute_url, dynamodb_url) = (flowroute.url("http"), dynamodb.url("http"));
        let settings = [
            ("STORAGE", "dynamodb"),
            ("FLOWROUTE_API_URL", flowroute_url.as_str()),
            ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_url.as_str()),
        ];
        let _binary = runtime.function(folder.path(), &[&KEYS[..], &settings].concat());
        // Without a time limit this would never happen.
        runtime.asked_for_an_event().await;
        assert!(flowroute.connections() > 0 && dynamodb.connections() > 0);
        assert_eq!(call(&runtime, "GET", "/nowhere", None).await, 404);
        assert_eq!(call(&runtime, "GET", &format!("/tn/{TN}"), None).await, 503);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_cannot_be_reached_is_tried_once_before_the_first_event() {
    let (runtime, folder) = (RuntimeApi::start().await, TempDir::new().unwrap());
    for failing in [Reply::HangUpUnread, Reply::answer(500, "{}")] {
        let dynamodb = Loopback::always(failing).await;
        let url = dynamodb.url("http");
        let settings =
            [("STORAGE", "dynamodb"), ("SMS_PROVIDER", "sandbox"), ("AWS_ENDPOINT_URL_DYNAMODB", &url)];
        let before = runtime.asked();
        let _binary = runtime.function(folder.path(), &[&KEYS[..], &settings].concat());
        eventually("the function asks for an event", || (runtime.asked() > before).then_some(())).await;
        assert_eq!(dynamodb.connections(), 1);
    }
}

/// Suspends the process until its connections count as stale, then resumes it.
async fn freeze(binary: &Binary) {
    let signal = |name: &str| {
        let pid = binary.pid().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    };
    signal("-STOP");
    tokio::time::sleep(Duration::from_millis(2100)).await;
    signal("-CONT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_freeze_the_next_text_is_sent_over_a_new_connection() {
    let (runtime, folder) = (RuntimeApi::start().await, TempDir::new().unwrap());
    let taken = json!({"data": {"id": "mdr2-0123456789abcdef", "type": "message"}});
    let flowroute = Loopback::always(Reply::answer(202, taken)).await;
    let url = flowroute.url("http");
    let settings = [("STORAGE", "sqlite"), ("FLOWROUTE_API_URL", url.as_str())];
    let binary = runtime.function(folder.path(), &[&KEYS[..], &settings].concat());
    assert_eq!(call(&runtime, "POST", "/tn", Some(json!({"value": TN}))).await, 200);
    assert_eq!(call(&runtime, "POST", "/session", Some(pair())).await, 200);

    let before = flowroute.connections();
    freeze(&binary).await;
    let text = test_support::flat(&fresh_id(), ALICE, TN, "on my way");
    assert_eq!(call(&runtime, "POST", "/", Some(text)).await, 200);
    assert_eq!(flowroute.connections(), before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_freeze_the_store_is_called_over_a_new_connection() {
    let (runtime, folder) = (RuntimeApi::start().await, TempDir::new().unwrap());
    let dynamodb = Loopback::always(Reply::answer(200, "{}")).await;
    let url = dynamodb.url("http");
    let settings =
        [("STORAGE", "dynamodb"), ("SMS_PROVIDER", "sandbox"), ("AWS_ENDPOINT_URL_DYNAMODB", &url)];
    let binary = runtime.function(folder.path(), &[&KEYS[..], &settings].concat());
    let path = format!("/tn/{TN}");
    assert_eq!(call(&runtime, "GET", &path, None).await, 404);

    let before = dynamodb.connections();
    freeze(&binary).await;
    assert_eq!(call(&runtime, "GET", &path, None).await, 404);
    assert_eq!(dynamodb.connections(), before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_transient_store_error_the_call_is_retried_over_a_new_connection_without_an_alarm() {
    let (runtime, folder) = (RuntimeApi::start().await, TempDir::new().unwrap());
    let statuses = [200, 500, 200];
    let dynamodb = Loopback::answering(statuses.map(|status| Reply::answer(status, "{}"))).await;
    let url = dynamodb.url("http");
    let settings =
        [("STORAGE", "dynamodb"), ("SMS_PROVIDER", "sandbox"), ("AWS_ENDPOINT_URL_DYNAMODB", &url)];
    let binary = runtime.function(folder.path(), &[&KEYS[..], &settings].concat());
    assert_eq!(call(&runtime, "GET", &format!("/tn/{TN}"), None).await, 404);
    assert_eq!((dynamodb.requests().len(), dynamodb.connections()), (3, 2));
    assert!(!binary.stdout().contains("ERROR"), "{}", binary.stdout());
}
