//! The real binary inside Lambda's runtime, behind every kind of API Gateway.

use crate::support::{
    ALICE, Answer, BOB, TN,
    binary::Binary,
    cloudformation::template,
    events::{
        Call, DOORS, Door, FUNCTION_URL, HTTP_BASE64, HTTP_DEFAULT, HTTP_PROD, HTTP_STAGE_TN,
        REST_CUSTOM_DOMAIN, REST_PROD, REST_STAGE_TN,
    },
    flat,
    flowroute_standin::FlowrouteStandin,
    fresh_id,
    runtime_api::{FUNCTION, RuntimeApi},
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use lambda_http::request::from_str;
use serde_json::{Value, json};
use tempfile::TempDir;

const API_KEY: &str = "an-api-key-of-the-test";
/// Characters that a query must escape.
const WEBHOOK_TOKEN: &str = "a+token&of=the%20test";

/// The function behind one door.
struct Function {
    door: Door,
    runtime: RuntimeApi,
    flowroute: FlowrouteStandin,
    binary: Binary,
    folder: TempDir,
}

impl Function {
    async fn behind(door: Door) -> Self {
        let (runtime, flowroute) = (RuntimeApi::start().await, FlowrouteStandin::start().await);
        let folder = TempDir::new().unwrap();
        let keys = [("STORAGE", "sqlite"), ("API_KEYS", API_KEY), ("WEBHOOK_TOKEN", WEBHOOK_TOKEN)];
        let binary = runtime.function(folder.path(), &flowroute.settings(&keys));
        Self { door, runtime, flowroute, binary, folder }
    }

    /// Sends a request through the door. Its answer carries the invocation's id.
    async fn send(&self, call: &Call<'_>) -> Answer {
        let id = uuid::Uuid::new_v4().to_string();
        let answer = answer(&self.runtime.invoke(&id, &self.door.event(call)).await);
        assert_eq!(answer.headers["x-request-id"], id, "{answer:?}");
        answer
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let headers = &[("X-Api-Key", API_KEY), ("Content-Type", "application/json")];
        let headers = &headers[..if body.is_some() { 2 } else { 1 }];
        let body = body.map(|body| body.to_string());
        self.send(&Call { method, path, headers, body, ..Call::default() }).await
    }

    async fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let answer = self.call(method, path, body).await;
        assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
        answer.json()
    }

    async fn post(&self, payload: Value) -> Answer {
        let headers = &[("Content-Type", "application/vnd.api+json")];
        let query = &[("token", WEBHOOK_TOKEN)];
        let body = Some(payload.to_string());
        self.send(&Call { method: "POST", path: "/", query, headers, body }).await
    }
}

/// What API Gateway would make of a function's answer.
fn answer(returned: &Value) -> Answer {
    assert_ne!(returned["isBase64Encoded"], true, "{returned}");
    let mut headers = HeaderMap::new();
    for part in ["headers", "multiValueHeaders"] {
        for (name, value) in returned[part].as_object().into_iter().flatten() {
            let value = value.as_str().or_else(|| value[0].as_str()).unwrap();
            let name: HeaderName = name.parse().unwrap();
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
    }
    let status = u16::try_from(returned["statusCode"].as_u64().expect("a status")).unwrap();
    Answer { status, headers, body: returned["body"].as_str().unwrap_or_default().to_owned() }
}

/// From an empty pool to an empty pool: every route, and a text in between.
async fn a_session_lives_and_ends_behind(door: Door) {
    let function = Function::behind(door).await;
    let named = json!({"value": TN});
    let added = function.ok("POST", "/tn", Some(named.clone())).await;
    assert_eq!(added, json!({"message": "successfully added TN to pool", "value": TN}));

    let pair = json!({"participant_a": ALICE, "participant_b": BOB, "expiry_window": 10});
    let opened = function.ok("POST", "/session", Some(pair)).await;
    assert_eq!((&opened["message"], &opened["virtual_tn"]), (&json!("created session"), &json!(TN)));
    assert_eq!(function.flowroute.taken().len(), 2);
    let id = opened["session_id"].as_str().unwrap();
    let path = format!("/session/{id}");

    let pool = function.ok("GET", "/tn", None).await;
    assert_eq!(pool["virtual_tns"], json!([{"session_id": id, "value": TN}]));
    assert_eq!(function.ok("GET", &format!("/tn/{TN}"), None).await, json!({"session_id": id, "value": TN}));
    let session = function.ok("GET", &path, None).await;
    assert_eq!(session["id"], id);
    assert_eq!(
        function.ok("GET", "/session", None).await,
        json!({"total_sessions": 1, "sessions": [session]})
    );

    function.flowroute.clear();
    let text = flat(&fresh_id(), ALICE, TN, "at the café 🚲");
    for _ in 0..2 {
        let answer = function.post(text.clone()).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{answer:?}");
        assert_eq!(function.flowroute.taken(), [(BOB.to_owned(), "at the café 🚲".to_owned())]);
    }
    assert_eq!(function.unsettled(), 0, "nothing is left to do after the answer");

    let ended = function.ok("DELETE", &path, None).await;
    assert_eq!(ended, json!({"message": "successfully ended session", "session_id": id}));
    function.call("GET", &path, None).await.assert_error(404, "session_not_found");
    let removed = function.ok("DELETE", "/tn", Some(named)).await;
    assert_eq!(removed, json!({"message": "successfully removed TN from pool", "value": TN}));
    function.call("GET", &format!("/tn/{TN}"), None).await.assert_error(404, "tn_not_found");

    function.call("GET", "/nowhere", None).await.assert_error(404, "not_found");
    function.call("GET", "/tn/", None).await.assert_error(404, "not_found");
    function.call("GET", "/tn/12 34", None).await.assert_error(400, "invalid_number");
    function.call("GET", "/", None).await.assert_error(405, "method_not_allowed");
    function.call("POST", "/events", Some(maintenance())).await.assert_error(404, "not_found");
    let stranger = Call { method: "GET", path: "/tn", ..Call::default() };
    function.send(&stranger).await.assert_error(401, "unauthorized");
    let stranger = Call { method: "POST", path: "/", body: Some(text.to_string()), ..Call::default() };
    function.send(&stranger).await.assert_error(401, "unauthorized");
}

impl Function {
    /// How many texts are on record whose fate is open.
    fn unsettled(&self) -> i64 {
        let db = rusqlite::Connection::open(self.folder.path().join("local-sqlite/sms-proxy.db")).unwrap();
        db.query_row("SELECT count(*) FROM outbound WHERE settled_at IS NULL", [], |row| row.get(0)).unwrap()
    }
}

/// The input of the schedule that starts maintenance, as the template has it.
fn maintenance() -> Value {
    let input = &template("template.yaml")["Resources"]["Maintenance"]["Properties"]["Target"]["Input"];
    serde_json::from_str(input.as_str().unwrap()).unwrap()
}

macro_rules! a_session_lives_and_ends {
    ($($name:ident: $door:ident;)*) => { mod a_session_lives_and_ends {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            super::a_session_lives_and_ends_behind(super::$door).await;
        }
    )*}};
}

a_session_lives_and_ends! {
    behind_a_rest_api: REST_PROD;
    behind_a_rest_api_whose_stage_is_called_tn: REST_STAGE_TN;
    behind_a_rest_api_at_a_custom_domain: REST_CUSTOM_DOMAIN;
    behind_an_http_api: HTTP_DEFAULT;
    behind_an_http_api_with_a_named_stage: HTTP_PROD;
    behind_an_http_api_whose_stage_is_called_tn: HTTP_STAGE_TN;
    behind_an_http_api_that_encodes_bodies: HTTP_BASE64;
    behind_a_function_url: FUNCTION_URL;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schedules_event_does_a_round_of_maintenance_and_no_other_event_does() {
    let function = Function::behind(HTTP_DEFAULT).await;
    let returned = function.runtime.invoke("a-scheduled-one", &maintenance()).await;
    assert!(
        returned["message"].as_str().is_some_and(|round| round.contains("sessions expired")),
        "{returned}"
    );
    for other in [json!({"sms-proxy": "export"}), json!({"sms-proxy": "maintenance", "more": 1}), json!({})] {
        let returned = function.runtime.invoke("another-one", &other).await;
        assert_eq!(returned["reason"], "not_found", "{returned}");
    }
    function.ok("GET", "/tn", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_log_line_is_json_and_a_requests_carry_its_id() {
    let function = Function::behind(HTTP_DEFAULT).await;
    let id = "0a1b2c3d-0000-4000-8000-000000000001";
    let call = Call { method: "GET", path: "/tn", headers: &[("x-api-key", API_KEY)], ..Call::default() };
    function.runtime.invoke(id, &function.door.event(&call)).await;
    let Function { mut binary, .. } = function;
    binary.kill();
    let lines: Vec<Value> = binary.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answered: Vec<_> = lines.iter().filter(|line| line["message"] == "answered").collect();
    assert_eq!(answered.len(), 1, "{lines:?}");
    assert_eq!((&answered[0]["span"]["id"], &answered[0]["status"]), (&json!(id), &json!(200)));
}

#[tokio::test]
async fn real_lambda_refuses_what_cannot_work_there() {
    let flowroute = FlowrouteStandin::start().await;
    let keys = [("API_KEYS", API_KEY), ("WEBHOOK_TOKEN", WEBHOOK_TOKEN)];
    let real = [("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9"), ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")];
    let sqlite = [&flowroute.settings(&keys)[..], &real, &[("STORAGE", "sqlite")]].concat();
    let sandbox = [&keys[..], &real, &[("SMS_PROVIDER", "sandbox")]].concat();
    let open = [&flowroute.settings(&[])[..], &real].concat();
    for (settings, name) in [(sqlite, "STORAGE"), (sandbox, "SMS_PROVIDER"), (open, "ALLOW_UNAUTHENTICATED")]
    {
        let folder = TempDir::new().unwrap();
        let (code, said) = Binary::refusal(folder.path(), &[&settings[..], FUNCTION].concat()).await;
        assert_eq!(code, 2, "{said}");
        assert!(said.lines().any(|line| line.starts_with(&format!("{name}: "))), "{name}: {said}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

/// The path as the router gets it.
fn routed(event: &Value) -> String {
    let event = from_str(&event.to_string()).unwrap();
    sms_proxy::lambda::request(event).uri().path().to_owned()
}

#[test]
fn every_door_leads_to_every_path() {
    for door in DOORS {
        for path in
            ["/", "/tn", "/tn/+12062992129", "/tn/tn", "/tn/prod", "/session", "/session/0a1b", "/prod"]
        {
            let event = door.event(&Call { method: "GET", path, ..Call::default() });
            assert_eq!(routed(&event), path, "{event}");
        }
    }
}

#[test]
fn a_path_with_unusual_letters_is_found_too() {
    for door in DOORS {
        let event = door.event(&Call { method: "GET", path: "/tn/1 2é", ..Call::default() });
        assert_eq!(routed(&event), "/tn/1%202%C3%A9", "{event}");
    }
}

#[test]
fn a_named_stage_without_a_slash_after_it_is_the_root() {
    for (door, path) in [(HTTP_PROD, "/prod"), (HTTP_STAGE_TN, "/tn"), (REST_CUSTOM_DOMAIN, "/prod")] {
        let mut event = door.event(&Call { method: "POST", path: "/", ..Call::default() });
        let field = if event["version"] == "2.0" { "rawPath" } else { "path" };
        event[field] = path.into();
        assert_eq!(routed(&event), "/", "{event}");
    }
}

#[test]
fn a_custom_domain_without_a_base_path_has_no_stage_in_its_paths() {
    for (door, field) in [(REST_PROD, "path"), (HTTP_PROD, "rawPath")] {
        for path in ["/", "/tn", "/tn/12062992129", "/session"] {
            let mut event = door.event(&Call { method: "GET", path, ..Call::default() });
            event["requestContext"]["domainName"] = "sms.example.com".into();
            event[field] = path.into();
            assert_eq!(routed(&event), path, "{event}");
        }
    }
}

#[test]
fn the_query_comes_through_every_door() {
    for door in DOORS {
        let query = &[("token", WEBHOOK_TOKEN), ("limit", "5")];
        let event = door.event(&Call { method: "POST", path: "/", query, ..Call::default() });
        let request = sms_proxy::lambda::request(from_str(&event.to_string()).unwrap());
        let mut pairs: Vec<_> =
            url::form_urlencoded::parse(request.uri().query().unwrap().as_bytes()).into_owned().collect();
        pairs.sort();
        let expected = [("limit", "5"), ("token", WEBHOOK_TOKEN)].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(pairs, expected, "{event}");
    }
}
