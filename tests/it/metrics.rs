//! The metrics that the function writes, read as CloudWatch reads them from its log.

use serde_json::{Value, json};
use std::{collections::BTreeMap, time::SystemTime};
use tempfile::TempDir;
use test_support::{
    ALICE, BOB, EVE, Loopback, Reply, TN,
    binary::{Binary, eventually},
    events::{Call, HTTP_DEFAULT},
    flat,
    flowroute_standin::{FlowrouteStandin, Mode},
    fresh_id, pair,
    runtime_api::RuntimeApi,
};

const API_KEY: &str = "an-api-key-of-the-test";

struct Function {
    runtime: RuntimeApi,
    binary: Binary,
    folder: TempDir,
}

impl Function {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let (runtime, folder) = (RuntimeApi::start().await, TempDir::new().unwrap());
        let settings = [settings, &[("API_KEYS", API_KEY)]].concat();
        let binary = runtime.function(folder.path(), &settings);
        Self { runtime, binary, folder }
    }

    /// Sends a request with these headers. Returns the status.
    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> (u64, Value) {
        let call = Call { method, path, headers, body: body.map(|body| body.to_string()), ..Call::default() };
        let answer = self.runtime.invoke(&fresh_id(), &HTTP_DEFAULT.event(&call)).await;
        let body = answer["body"].as_str().unwrap_or_default();
        (answer["statusCode"].as_u64().unwrap(), serde_json::from_str(body).unwrap_or_default())
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u64, Value) {
        self.send(method, path, &[("x-api-key", API_KEY), ("content-type", "application/json")], body).await
    }

    async fn text(&self, from: &str) {
        let text = flat(&fresh_id(), from, TN, "on my way");
        assert_eq!(self.send("POST", "/", &[], Some(text)).await.0, 200);
    }

    /// Ends the function. Returns its whole log.
    fn log(mut self) -> (Vec<String>, String) {
        self.binary.kill();
        let (stdout, stderr) = (self.binary.stdout(), self.binary.stderr());
        (stdout.lines().map(str::to_owned).collect(), stderr)
    }
}

fn maintenance() -> Value {
    json!({"sms-proxy": "maintenance"})
}

type Written = BTreeMap<String, Value>;

/// What the line of an answered request has besides its metrics.
const OF_THE_LOG: [&str; 9] =
    ["timestamp", "level", "message", "method", "route", "status", "reason", "milliseconds", "span"];

/// The metrics in a line of the log, if any. Asserts the rules of the format that CloudWatch enforces, and ours.
fn metrics_in(line: &str) -> Option<Written> {
    let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let metadata = line.get("_aws")?;
    let written = u128::from(metadata["Timestamp"].as_u64().unwrap());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    assert!((now - 300_000..=now).contains(&written), "{line}");
    let [directive] = metadata["CloudWatchMetrics"].as_array().unwrap().as_slice() else { panic!("{line}") };
    assert_eq!(directive["Namespace"], "SmsProxy");
    assert_eq!(directive["Dimensions"], json!([["FunctionName"]]));
    assert_eq!(line["FunctionName"], "sms-proxy");
    let metrics: Written = directive["Metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|metric| {
            let name = metric["Name"].as_str().unwrap();
            let value = &line[name];
            let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            assert!(!values.is_empty() && values.len() <= 100, "{line}");
            assert!(values.iter().all(Value::is_number), "{line}");
            (name.to_owned(), value.clone())
        })
        .collect();
    for name in line.as_object().unwrap().keys() {
        let known = ["_aws", "FunctionName"].contains(&name.as_str()) || metrics.contains_key(name);
        assert!(known || OF_THE_LOG.contains(&name.as_str()), "{name} is in {line}");
    }
    Some(metrics)
}

fn counted(counts: &[(&str, u64)]) -> Written {
    counts.iter().map(|(name, count)| ((*name).to_owned(), json!(count))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_invocation_writes_its_metrics() {
    let flowroute = FlowrouteStandin::start().await;
    let function = Function::start(&flowroute.settings(&[("STORAGE", "sqlite")])).await;
    let mut expected = Vec::new();
    let mut nothing_or =
        |counts: &[(&str, u64)]| expected.extend((!counts.is_empty()).then(|| counted(counts)));

    assert_eq!(function.call("POST", "/tn", Some(json!({"value": TN}))).await.0, 200);
    nothing_or(&[]);
    let (status, session) = function.call("POST", "/session", Some(pair())).await;
    assert_eq!(status, 200);
    nothing_or(&[("SessionsOpened", 1), ("TextsSent", 2)]);
    let others = json!({"participant_a": ALICE, "participant_b": EVE});
    assert_eq!(function.call("POST", "/session", Some(others)).await.0, 400);
    nothing_or(&[("NoTnAvailable", 1)]);
    assert_eq!(function.send("GET", "/tn", &[], None).await.0, 401);
    nothing_or(&[("Unauthorized", 1)]);

    for (mode, counts) in [
        (Mode::Take, &[("TextsSent", 1)][..]),
        (Mode::Refuse, &[("TextsRefused", 1), ("TextsFailed", 1)]),
        (Mode::HangUp, &[("TextsUnknown", 1)]),
        (Mode::Answer(401), &[("TextsNotTaken", 1), ("Misconfigured", 1)]),
        (Mode::Answer(404), &[("TextsNotTaken", 1), ("Misconfigured", 1)]),
        (Mode::Answer(503), &[("TextsNotTaken", 1)]),
    ] {
        flowroute.mode(mode);
        function.text(ALICE).await;
        nothing_or(counts);
    }

    let id = session["session_id"].as_str().unwrap().to_owned();
    let lines = function.log().0;
    let written: Vec<Written> = lines.iter().filter_map(|line| metrics_in(line)).collect();
    assert_eq!(written, expected);
    for line in lines.iter().filter(|line| line.contains("_aws")) {
        for hidden in [TN, ALICE, BOB, EVE, &id] {
            assert!(!line.contains(hidden), "{hidden} is in {line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_that_are_left_out_and_strangers_that_are_not_answered_are_counted() {
    let flowroute = FlowrouteStandin::start().await;
    let function = Function::start(&flowroute.settings(&[("STORAGE", "sqlite")])).await;
    assert_eq!(function.call("POST", "/tn", Some(json!({"value": TN}))).await.0, 200);
    assert_eq!(function.call("POST", "/session", Some(pair())).await.0, 200);
    let mut picture = flat(&fresh_id(), ALICE, TN, "look");
    picture["media_url"] = "http://169.254.169.254/latest/meta-data/".into();
    assert_eq!(function.send("POST", "/", &[], Some(picture)).await.0, 200);
    function.text("18765551212").await;
    function.text("19005551212").await;
    let lines = function.log().0;
    let written: Vec<Written> = lines.iter().filter_map(|line| metrics_in(line)).collect();
    let stranger = counted(&[("StrangersNotAllowed", 1)]);
    assert_eq!(
        written[1..],
        [counted(&[("PicturesMissing", 1), ("TextsSent", 1)]), stranger.clone(), stranger]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_beyond_the_limit_of_their_sender_are_counted_as_failed() {
    let flowroute = FlowrouteStandin::start().await;
    let limit = [("STORAGE", "sqlite"), ("SENDER_TEXTS_PER_MINUTE", "1"), ("SENDER_TEXTS_PER_DAY", "2")];
    let function = Function::start(&flowroute.settings(&limit)).await;
    assert_eq!(function.call("POST", "/tn", Some(json!({"value": TN}))).await.0, 200);
    assert_eq!(function.call("POST", "/session", Some(pair())).await.0, 200);
    for _ in 0..4 {
        function.text(ALICE).await;
    }
    let lines = function.log().0;
    let written: Vec<Written> = lines.iter().filter_map(|line| metrics_in(line)).collect();
    let failed = counted(&[("TextsFailed", 1)]);
    assert_eq!(written[1..], [counted(&[("TextsSent", 1)]), failed.clone(), failed], "one waits");
}

const GAUGES: [&str; 4] = ["FreeTns", "OldestWaitingSeconds", "TextsUnknownOpen", "TextsWaiting"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn maintenance_samples_the_stores_gauges_once() {
    let flowroute = FlowrouteStandin::start().await;
    let function = Function::start(&flowroute.settings(&[("STORAGE", "sqlite")])).await;
    for tn in [TN, "12062992130", "12062992131"] {
        assert_eq!(function.call("POST", "/tn", Some(json!({"value": tn}))).await.0, 200);
    }
    let (_, first) = function.call("POST", "/session", Some(pair())).await;
    let tn = first["virtual_tn"].as_str().unwrap();
    for (mode, texts) in [(Mode::Answer(503), 2), (Mode::HangUp, 1)] {
        flowroute.mode(mode);
        for _ in 0..texts {
            let text = flat(&fresh_id(), ALICE, tn, "on my way");
            assert_eq!(function.send("POST", "/", &[], Some(text)).await.0, 200);
        }
    }
    // Sending is answered 503 and the list is unavailable: nothing is settled.
    flowroute.mode(Mode::Answer(503));
    flowroute.list(test_support::flowroute_standin::ListMode::Down);
    age_the_outbox(&function);
    for _ in 0..2 {
        function.runtime.invoke(&fresh_id(), &maintenance()).await;
    }
    function.text(EVE).await;

    let lines = function.log().0;
    let written: Vec<Written> = lines.iter().filter_map(|line| metrics_in(line)).collect();
    let sampled: Vec<&Written> = written.iter().filter(|written| written.contains_key(GAUGES[0])).collect();
    assert_eq!(sampled.len(), 2, "each round once, and no text: {written:?}");
    for sample in sampled {
        let [free, oldest, unknown, waiting] = GAUGES.map(|name| sample[name].clone());
        assert_eq!([free, unknown, waiting], [json!([2.0]), json!([1.0]), json!([2.0])]);
        let oldest = oldest[0].as_f64().unwrap();
        assert!((3_600.0..7_200.0).contains(&oldest), "{oldest}");
    }
}

/// Makes every message in the outbox an hour older.
fn age_the_outbox(function: &Function) {
    let db = rusqlite::Connection::open(function.folder.path().join("local-sqlite/sms-proxy.db")).unwrap();
    db.busy_timeout(test_support::binary::WAIT_LIMIT).unwrap();
    let older = "UPDATE outbound SET created_at = created_at - 3600000 WHERE settled_at IS NULL";
    assert_eq!(db.execute(older, []).unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_failure_is_counted_and_logged_with_the_invocation_id() {
    let flowroute = FlowrouteStandin::start().await;
    let refusal = r#"{"__type": "com.amazonaws.dynamodb.v20120810#AccessDeniedException"}"#;
    let dynamodb = Loopback::always(Reply::answer(400, refusal)).await;
    let url = dynamodb.url("http");
    let function = Function::start(&flowroute.settings(&[
        ("STORAGE", "dynamodb"),
        ("AWS_ENDPOINT_URL_DYNAMODB", &url),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ]))
    .await;
    assert_eq!(function.call("GET", "/tn", None).await.0, 503);
    let failed = function.runtime.try_invoke("a-round-that-fails", &maintenance()).await.unwrap_err();
    assert!(failed.contains("AccessDeniedException"), "{failed}");
    let (lines, _) = function.log();
    let written: Vec<Written> = lines.iter().filter_map(|line| metrics_in(line)).collect();
    assert_eq!(written, [counted(&[("StoreErrors", 1)]), counted(&[("StoreErrors", 1)])]);
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let errors: Vec<&Value> = lines.iter().filter(|line| line["level"] == "ERROR").collect();
    assert!(errors.iter().any(|line| line["span"]["requestId"] == "a-round-that-fails"), "{errors:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_local_server_writes_no_metrics() {
    let folder = TempDir::new().unwrap();
    let server = Binary::serve(folder.path(), &[("AWS_LAMBDA_FUNCTION_NAME", "sms-proxy")]).await;
    server.ok("POST", "/tn", Some(json!({"value": TN}))).await;
    server.ok("POST", "/session", Some(pair())).await;
    eventually("the log says so", || server.binary.stderr().contains("session created").then_some(())).await;
    assert_eq!(server.binary.stdout(), "");
}
