//! The metrics of the local server, as Prometheus reads them, and what is built on them.

use serde_json::{Value, json};
use sms_proxy::{
    http::{CONSOLE_ROUTES, METRICS_ROUTE, ROUTES, SANDBOX_ROUTE},
    telemetry::prometheus::Prometheus,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};
use tempfile::TempDir;
use test_support::{
    ALICE, BOB, Backend, EVE, TN,
    binary::{Binary, Server, read},
    flat,
    flowroute_standin::{FlowrouteStandin, Mode},
    fresh_id, on_each_backend, pair,
};

const KEY: &str = "an-api-key-0123456789";

on_each_backend! { with 2 threads:
    what_the_service_does_is_counted_and_timed
}

async fn called(server: &Server, method: &str, path: &str, body: Option<Value>) -> Value {
    let request = server.request(method, path).header("x-api-key", KEY);
    let answer = read(match body {
        Some(body) => request.json(&body),
        None => request,
    });
    serde_json::from_str(&answer.await.body).unwrap_or_default()
}

/// The samples, by their name with labels. Prometheus sends the key as a Bearer token.
async fn scrape(server: &Server) -> BTreeMap<String, f64> {
    let answer = read(server.request("GET", "/metrics").bearer_auth(KEY)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let samples = answer.body.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// The name of a series without its labels, and without what a histogram adds.
fn base(name: &str) -> &str {
    let name = name.split('{').next().unwrap_or_default();
    let ends = ["_bucket", "_count", "_sum"];
    ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}

async fn what_the_service_does_is_counted_and_timed(backend: Backend) {
    let (records, flowroute) = (backend.records().await, FlowrouteStandin::start().await);
    let settings = [&flowroute.settings(&records.settings())[..], &[("API_KEYS", KEY)]].concat();
    let server = Binary::serve(records.folder(), &settings).await;
    let text =
        async |from: &str| called(&server, "POST", "/", Some(flat(&fresh_id(), from, TN, "on my way"))).await;
    called(&server, "POST", "/tn", Some(json!({"value": TN}))).await;
    let before = scrape(&server).await;
    assert_eq!((before["sms_proxy_texts_sent_total"], before["sms_proxy_free_tns"]), (0.0, 1.0));
    let session = called(&server, "POST", "/session", Some(pair())).await;
    text(ALICE).await;
    flowroute.mode(Mode::Answer(401));
    text(BOB).await;
    assert_eq!(server.call("GET", "/tn", None).await.status, 401);
    let after = scrape(&server).await;
    for (name, value) in [
        ("sms_proxy_texts_sent_total", 3.0),
        ("sms_proxy_sessions_opened_total", 1.0),
        ("sms_proxy_unauthorized_total", 1.0),
        ("sms_proxy_free_tns", 0.0),
        ("sms_proxy_texts_waiting", 1.0),
        (
            r#"sms_proxy_http_request_duration_seconds_count{method="POST",route="/session",status="200"}"#,
            1.0,
        ),
        (r#"sms_proxy_http_request_duration_seconds_count{method="GET",route="/tn",status="401"}"#, 1.0),
    ] {
        assert_eq!(after.get(name), Some(&value), "{name}: {after:?}");
    }
    // Rounds of maintenance try the text again.
    assert!(after["sms_proxy_misconfigured_total"] >= 1.0);
    assert!(after[r#"sms_proxy_provider_call_duration_seconds_count{call="send"}"#] >= 4.0);
    for call in ["read", "write"] {
        assert!(after[&format!("sms_proxy_store_call_duration_seconds_count{{call=\"{call}\"}}")] > 0.0);
    }
    let names: BTreeSet<&str> = after.keys().map(|name| base(name)).collect();
    assert_eq!(names, Prometheus::names().into_iter().collect());
    let shown = format!("{after:?}");
    for hidden in [TN, ALICE, BOB, "on my way", session["session_id"].as_str().unwrap()] {
        assert!(!shown.contains(hidden), "{hidden} is in {shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_make_no_label_of_their_own() {
    let folder = TempDir::new().unwrap();
    let server = Binary::serve(folder.path(), &[("API_KEYS", KEY)]).await;
    for method in ["GET", "POST", "BREW", "PROPFIND", "X-12065551212", "DELETE"] {
        for path in [
            format!("/tn/{EVE}"),
            format!("/session/{}", fresh_id()),
            format!("/{EVE}"),
            format!("/status?number={EVE}"),
            "/console/nothing.js".to_owned(),
            "/metrics".to_owned(),
        ] {
            server.call(method, &path, None).await;
        }
    }
    let all = ROUTES.iter().chain(CONSOLE_ROUTES).chain([&SANDBOX_ROUTE, &METRICS_ROUTE]);
    let routes: BTreeSet<&str> = all.map(|route| route.path).chain(["unknown"]).collect();
    let labels = |sample: &str, name: &str| {
        sample.split_once(&format!("{name}=\"")).map(|(_, rest)| rest.split('"').next().unwrap().to_owned())
    };
    let samples = scrape(&server).await;
    let mut methods = BTreeSet::new();
    for sample in samples.keys() {
        if let Some(route) = labels(sample, "route") {
            assert!(routes.contains(route.as_str()), "{sample}");
            methods.extend(labels(sample, "method"));
            assert!(labels(sample, "status").unwrap().parse::<u16>().is_ok(), "{sample}");
        }
        assert!(!sample.contains(EVE), "{sample}");
    }
    // No route takes a POST here.
    assert_eq!(methods, ["DELETE", "GET", "other"].map(String::from).into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_keys_only_this_machine_reads_the_metrics_and_they_work_below_a_base_path() {
    let folder = TempDir::new().unwrap();
    let server = Binary::serve(folder.path(), &[("BASE_PATH", "/sms")]).await;
    for path in ["/metrics", "/sms/metrics"] {
        assert!(server.ok("GET", path, None).await.body.contains("sms_proxy_texts_sent_total 0"));
        let foreign = read(server.request("GET", path).header("host", "example.com")).await;
        assert_eq!(foreign.status, 403);
    }
    assert_eq!(server.call("POST", "/metrics", None).await.status, 405);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gauges_that_cannot_be_read_are_no_numbers_and_the_rest_is_there() {
    let folder = TempDir::new().unwrap();
    let server = Binary::serve(folder.path(), &[("API_KEYS", KEY)]).await;
    called(&server, "POST", "/tn", Some(json!({"value": TN}))).await;
    assert_eq!(scrape(&server).await["sms_proxy_free_tns"], 1.0);
    fs::remove_file(folder.path().join("local-sqlite/sms-proxy.db")).unwrap();
    assert_eq!(read(server.request("GET", "/status").bearer_auth(KEY)).await.status, 503);
    let samples = scrape(&server).await;
    assert!(samples["sms_proxy_free_tns"].is_nan() && samples["sms_proxy_texts_waiting"].is_nan());
    assert!(samples["sms_proxy_store_errors_total"] >= 1.0);
}

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The names of metrics in a text.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("sms_proxy_")).map(base).collect()
}

#[test]
fn dashboard_alerts_and_page_name_metrics_that_there_are() {
    let there: BTreeSet<&str> = Prometheus::names().into_iter().collect();
    for path in ["infra/prometheus/dashboard.json", "infra/prometheus/alerts.yaml", "docs/operations.md"] {
        let text = text(path);
        let unknown: Vec<_> = named(&text).difference(&there).copied().collect();
        assert!(unknown.is_empty(), "{path} names {unknown:?}");
    }
    let dashboard = text("infra/prometheus/dashboard.json");
    assert_eq!(named(&dashboard), there, "the dashboard shows every metric");
    let parsed: Value = serde_json::from_str(&dashboard).unwrap();
    let ids: BTreeSet<_> =
        parsed["panels"].as_array().unwrap().iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), parsed["panels"].as_array().unwrap().len());
}

#[test]
fn the_page_on_operations_names_every_alert() {
    let (alerts, page) = (text("infra/prometheus/alerts.yaml"), text("docs/operations.md"));
    let names = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let missing: Vec<&str> = names.filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
