//! A life of a session with a Flowroute that quotes the text, the numbers and the keys in its errors, ids and receipts, in many
//! forms, and has all kinds of faults: nothing of that is in the log, the metrics, the store and `GET /message`.

mod disguises;
mod faults;

use crate::lambda::function::maintenance;
use base64::{Engine, prelude::BASE64_STANDARD};
use disguises::disguises;
use serde_json::{Value, json};
use std::time::Instant;
use test_support::{
    ALICE, BOB, Backend, Records, TN,
    binary::{Binary, Server, WAIT_LIMIT, command},
    events::{Call, HTTP_DEFAULT},
    flat,
    flowroute_standin::{ACCESS_KEY, FlowrouteStandin, SECRET_KEY},
    fresh_id, on_each_backend, pair,
    runtime_api::RuntimeApi,
};

on_each_backend! { slow, with 2 threads:
    a_local_server_keeps_nothing_of_what_flowroute_quotes
    a_function_keeps_nothing_of_what_flowroute_quotes
}

const TEXT: &str = "meet me at the fountain";
const API_KEY: &str = "an-api-key-of-the-test";
const TOKEN: &str = "a-webhook-token-of-the-test";

/// The local server or the function, on records of its own.
enum Service {
    Local(Server),
    Function(RuntimeApi, Binary),
}

impl Service {
    async fn start(kind: &str, records: &Records, flowroute: &FlowrouteStandin) -> Self {
        let more = [("LOG_LEVEL", "trace"), ("API_KEYS", API_KEY), ("WEBHOOK_TOKEN", TOKEN)];
        // Receipts are requested, so that Flowroute knows the token.
        let url = [("PUBLIC_URL", "https://sms.example.com"), ("FLOWROUTE_MAX_PER_SECOND", "0")];
        // None waits for its turn, and unknown outcomes are reconciled soon.
        let quick = [("SENDER_TEXTS_PER_MINUTE", "1000"), ("MAINTENANCE_INTERVAL", "1")];
        let limits = [("SEND_BUDGET_SECONDS", "3"), ("LEASE_SECONDS", "8"), ("LOOKUP_SETTLE_SECONDS", "9")];
        let settings = [&flowroute.settings(&more)[..], &url, &quick, &limits, &records.settings()].concat();
        if kind == "local" {
            return Self::Local(Binary::serve(records.folder(), &settings).await);
        }
        let runtime = RuntimeApi::start().await;
        let binary = runtime.function(records.folder(), &settings);
        Self::Function(runtime, binary)
    }

    /// Makes a call, which is repeated while a DynamoDB engine is too slow for the service's time limits.
    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u64, Value) {
        let give_up = Instant::now() + WAIT_LIMIT;
        loop {
            let answer = self.call_once(method, path, body.clone()).await;
            if answer.0 != 503 || Instant::now() > give_up {
                return answer;
            }
        }
    }

    async fn call_once(&self, method: &str, path: &str, body: Option<Value>) -> (u64, Value) {
        match self {
            Self::Local(server) => {
                let request = server.request(method, path).header("x-api-key", API_KEY);
                let request = match body {
                    Some(body) => request.json(&body),
                    None => request,
                };
                let answer = test_support::binary::read(request).await;
                (answer.status.into(), serde_json::from_str(&answer.body).unwrap_or_default())
            }
            Self::Function(runtime, _) => {
                let headers = [("x-api-key", API_KEY), ("content-type", "application/json")];
                let body = body.map(|body| body.to_string());
                let (path, query) = path.split_once('?').unwrap_or((path, ""));
                let query: Vec<_> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
                let event =
                    HTTP_DEFAULT.event(&Call { method, path, query: &query, headers: &headers, body });
                let answer = runtime.invoke(&fresh_id(), &event).await;
                let body = answer["body"].as_str().unwrap_or_default();
                (answer["statusCode"].as_u64().unwrap(), serde_json::from_str(body).unwrap_or_default())
            }
        }
    }

    async fn post(&self, query: &str, body: &Value) {
        let path = format!("/?token={TOKEN}{query}");
        let answer = self.call("POST", &path, Some(body.clone())).await;
        assert_eq!(answer, (200, Value::Null));
    }

    /// Runs a round of maintenance; the local server does so by itself.
    async fn maintain(&self) {
        match self {
            Self::Local(_) => tokio::time::sleep(std::time::Duration::from_millis(200)).await,
            Self::Function(runtime, _) => drop(runtime.invoke(&fresh_id(), &maintenance()).await),
        }
    }

    /// Stops it. Returns the log and the metrics.
    async fn stop(self) -> String {
        match self {
            Self::Local(server) => {
                let metrics = server.request("GET", "/metrics").header("x-api-key", API_KEY);
                let metrics = test_support::binary::read(metrics).await;
                assert_eq!(metrics.status, 200, "{metrics:?}");
                server.stop().await + &metrics.body
            }
            Self::Function(_, mut binary) => {
                binary.kill();
                binary.stdout() + &binary.stderr()
            }
        }
    }
}

/// Errors that quote this in each of their fields.
fn quoting(quoted: &str) -> Vec<Value> {
    let number = quoted.parse::<u64>().map_or(json!(quoted), Value::from);
    let error = |key: &str, value: &Value| json!({"errors": [{"id": "1", key: value, "status": 422}]});
    let mut errors: Vec<Value> = ["title", "detail", "message", "code", "status", "id"]
        .iter()
        .map(|key| error(key, &json!(quoted)))
        .collect();
    errors.extend([
        error("code", &number),
        json!({"errors": quoted.split(' ').map(|part| json!({"code": part})).collect::<Vec<_>>()}),
        json!({"error": {"message": quoted, "code": 1103}}),
        json!({"message": format!("'{quoted}' is not allowed (1103?)")}),
        json!({quoted: quoted}),
    ]);
    errors
}

async fn quote_everything(service: &Service, flowroute: &FlowrouteStandin, path: &str, quoted: &[String]) {
    for (n, quoted) in quoted.iter().enumerate() {
        let errors = quoting(quoted);
        // Each disguise in some of the places, and each place with many disguises.
        for error in [&errors[n % errors.len()], &errors[(n + 3) % errors.len()]] {
            flowroute.answer_with([400, 403, 422][n % 3], error.clone());
            service.post("", &flat(&fresh_id(), [ALICE, BOB][n % 2], TN, TEXT)).await;
        }
        flowroute.answer_with(202, json!({"data": {"id": quoted, "type": "message"}}));
        service.post("", &flat(&fresh_id(), ALICE, TN, TEXT)).await;
    }
    let messages = service.call("GET", path, None).await.1;
    for (n, quoted) in quoted.iter().enumerate() {
        let message = &messages["messages"][n];
        let mut receipt = json!({"data": {"type": "delivery_receipt", "id": message["provider_id"], "attributes": {
            "level": 2, "status": "failed", "status_code": 1007, "timestamp": quoted, "body": quoted,
            "status_code_description": quoted}}});
        let field = ["status", "status_code", "level"][n % 3];
        receipt["data"]["attributes"][field] = quoted.parse::<u64>().map_or(json!(quoted), Value::from);
        if n % 4 == 0 {
            receipt["data"]["id"] = json!(quoted);
        }
        service.post(&format!("&m={}", message["id"].as_str().unwrap()), &receipt).await;
    }
}

async fn keeps_nothing(kind: &str, backend: Backend) {
    let (records, flowroute) = (backend.records().await, FlowrouteStandin::start().await);
    let service = Service::start(kind, &records, &flowroute).await;
    let basic = BASE64_STANDARD.encode(format!("{ACCESS_KEY}:{SECRET_KEY}"));
    let secrets = [TOKEN, ACCESS_KEY, SECRET_KEY, &basic];
    let quoted: Vec<String> = [TEXT, ALICE, TN].iter().chain(&secrets).copied().flat_map(disguises).collect();
    assert_eq!(service.call("POST", "/tn", Some(json!({"value": TN}))).await.0, 200);
    let (status, session) = service.call("POST", "/session", Some(pair())).await;
    assert_eq!(status, 200, "{session}");
    let path = format!("/message?session_id={}", session["session_id"].as_str().unwrap());
    quote_everything(&service, &flowroute, &path, &quoted).await;
    faults::suffer(&service, &flowroute, &path, &quoted).await;
    let ended = service.call("DELETE", "/session", Some(json!({"session_id": session["session_id"]}))).await;
    // 404: a request that was answered 503 has ended it.
    assert!(ended.0 == 200 || backend == Backend::Dynamodb && ended.0 == 404, "{ended:?}");
    let shown = faults::settled(&service, &path, &["sent", "failed", "cancelled"]).await;
    let messages = shown["messages"].as_array().unwrap();
    assert!(messages.len() > 400, "{shown}");
    assert_eq!(messages.iter().filter(|message| message["kind"] == "end").count(), 2, "{shown}");
    flowroute.answer_with(422, json!({"errors": [{"detail": format!("{TN}: {TEXT}, {TOKEN}!")}]}));
    let others = json!({"participant_a": "12065558888", "participant_b": "12065558889"});
    assert_eq!(service.call("POST", "/tn", Some(json!({"value": "12062992130"}))).await.0, 200);
    let (status, refusal) = service.call("POST", "/session", Some(others)).await;
    let refusal = refusal["message"].as_str().unwrap().to_owned();
    assert!(
        status == 502 && refusal.contains(TN) && refusal.contains(TEXT) && !refusal.contains(TOKEN),
        "{refusal}"
    );
    let log = service.stop().await;
    assert!(log.matches("message not sent").count() > 300 && log.contains("delivery receipt"), "{log}");
    assert!(log.contains("message list could not be read"), "{log}");
    let settings = [&records.settings()[..], &[("LOG_LEVEL", "error")]].concat();
    let exported = command(records.folder(), &settings).arg("export").output().unwrap();
    assert!(exported.status.success(), "{exported:?}");
    let stored = String::from_utf8(exported.stdout).unwrap();
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    for disguise in quoted.iter().map(|disguise| disguise.trim()).chain([API_KEY]) {
        for (place, text) in [("log", log.as_str()), ("answer", &shown.to_string())] {
            let line = text.lines().find(|line| line.contains(disguise));
            assert!(line.is_none(), "{disguise} is in the {place}: {line:?}");
        }
        // The store has the numbers of sessions, as they are.
        let is_stored = stored.contains(disguise) && ![ALICE, TN, &ALICE[1..], &TN[1..]].contains(&disguise);
        assert!(!is_stored, "{disguise} is in the store");
    }
    let line = log.lines().find(|line| digits(line).contains(&ALICE[1..]));
    assert!(line.is_none(), "a number is in the log: {line:?}");
}

async fn a_local_server_keeps_nothing_of_what_flowroute_quotes(backend: Backend) {
    keeps_nothing("local", backend).await;
}

async fn a_function_keeps_nothing_of_what_flowroute_quotes(backend: Backend) {
    keeps_nothing("function", backend).await;
}
