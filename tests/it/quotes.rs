//! A Flowroute that quotes the text and the numbers in its errors, ids and receipts, in many forms: nothing of that is in
//! the log, the metrics, the store and `GET /message`.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use std::fmt::Write as _;
use test_support::{
    ALICE, BOB, Backend, Records, TN,
    binary::{Binary, Server, command},
    events::{Call, HTTP_DEFAULT},
    flat,
    flowroute_standin::FlowrouteStandin,
    fresh_id, on_each_backend, pair,
    runtime_api::RuntimeApi,
};

on_each_backend! {
    with 2 threads:
    a_local_server_keeps_nothing_of_what_flowroute_quotes
    a_function_keeps_nothing_of_what_flowroute_quotes
}

const TEXT: &str = "meet me at the fountain";
const API_KEY: &str = "an-api-key-of-the-test";
const TOKEN: &str = "a-webhook-token-of-the-test";

/// Ways to write a text or a number so that a search for it does not find it.
fn disguises(plain: &str) -> Vec<String> {
    let each = |form: &dyn Fn(char) -> String| plain.chars().map(form).collect::<String>();
    let digits = |zero: u32| {
        let shown = |c: char| c.to_digit(10).and_then(|d| char::from_u32(zero + d)).unwrap_or(c);
        each(&|c| shown(c).to_string())
    };
    let grouped = |by: &str| {
        let (head, tail) = plain.split_at(plain.len() - 10);
        format!("{head}{by}{}{by}{}{by}{}", &tail[..3], &tail[3..6], &tail[6..])
    };
    let mut forms = vec![
        plain.to_owned(),
        plain.to_uppercase(),
        plain.chars().rev().collect(),
        plain.replace(' ', "+"),
        plain.replace(' ', "_"),
        plain.replace(' ', "-").to_uppercase(),
        each(&|c| format!("{c} ")),
        each(&|c| format!("{c}.")),
        each(&|c| format!("%{:02X}", u32::from(c))),
        each(&|c| format!("&#{};", u32::from(c))),
        each(&|c| format!("&#x{:x};", u32::from(c))),
        each(&|c| format!("\\u{:04x}", u32::from(c))),
        BASE64_STANDARD.encode(plain),
        plain.bytes().fold(String::new(), |mut hex, b| {
            let _ = write!(hex, "{b:02x}");
            hex
        }),
        grouped("/"),
        grouped(","),
        grouped("-"),
        grouped("."),
        grouped(" "),
        grouped("'"),
    ];
    if let Some(national) = plain.strip_prefix('1') {
        forms.extend([digits(0xFF10), digits(0x0660), digits(0x0966), national.to_owned()]);
        forms.extend([0, 1, 3].map(|at| format!("({}) {}", &plain[at..at + 3], &plain[at + 3..])));
        forms.push(format!("{:x}", plain.parse::<u64>().unwrap()));
    }
    forms
}

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
        let settings = [&flowroute.settings(&more)[..], &url, &records.settings()].concat();
        if kind == "local" {
            return Self::Local(Binary::serve(records.folder(), &settings).await);
        }
        let runtime = RuntimeApi::start().await;
        let binary = runtime.function(records.folder(), &settings);
        Self::Function(runtime, binary)
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u64, Value) {
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
        assert_eq!(self.call("POST", &path, Some(body.clone())).await.0, 200);
    }

    /// Stops it. Returns the log, and the metrics if it writes any.
    async fn stop(self) -> String {
        match self {
            Self::Local(server) => server.stop().await,
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
        json!({"message": format!("'{quoted}' is not allowed (1110?)")}),
        json!({quoted: quoted}),
    ]);
    errors
}

async fn quote_everything(service: &Service, flowroute: &FlowrouteStandin, quoted: &[String]) -> Value {
    assert_eq!(service.call("POST", "/tn", Some(json!({"value": TN}))).await.0, 200);
    let (status, session) = service.call("POST", "/session", Some(pair())).await;
    assert_eq!(status, 200, "{session}");
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
    let path = format!("/message?session_id={}", session["session_id"].as_str().unwrap());
    let messages = service.call("GET", &path, None).await.1;
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
    service.call("GET", &path, None).await.1
}

async fn keeps_nothing(kind: &str, backend: Backend) {
    let (records, flowroute) = (backend.records().await, FlowrouteStandin::start().await);
    let service = Service::start(kind, &records, &flowroute).await;
    let quoted: Vec<String> = [TEXT, ALICE, TN, TOKEN].into_iter().flat_map(disguises).collect();
    let shown = quote_everything(&service, &flowroute, &quoted).await;
    assert!(shown["messages"].as_array().unwrap().len() > 150, "{shown}");
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
    assert!(log.contains("message not sent") && log.contains("delivery receipt"), "{log}");
    let settings = [&records.settings()[..], &[("LOG_LEVEL", "error")]].concat();
    let exported = command(records.folder(), &settings).arg("export").output().unwrap();
    assert!(exported.status.success(), "{exported:?}");
    let stored = String::from_utf8(exported.stdout).unwrap();
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    for disguise in quoted.iter().map(|disguise| disguise.trim()) {
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
