//! The real binary inside Lambda's runtime, behind every kind of gateway.

mod cold_start;
mod flawed_events;
pub mod function;
mod life;
mod schedule;
mod two_on_dynamodb;

use function::{API_KEY, Cloud, WEBHOOK_TOKEN, maintenance};
use lambda_http::request::from_str;
use serde_json::{Value, json};
use test_support::{
    ALICE, Backend, TN,
    events::{Call, GATEWAYS, HTTP_DEFAULT, HTTP_PROD, HTTP_STAGE_TN, REST_CUSTOM_DOMAIN, REST_PROD},
    flat,
    flowroute_standin::Mode,
    fresh_id, on_each_backend, pair,
};

on_each_backend! { with 2 threads:
    every_log_line_is_json_and_names_its_request
    the_console_is_there_only_if_it_is_set
    every_log_line_of_an_invocation_has_its_id_even_in_maintenance
    a_relayed_text_writes_one_line_of_at_most_400_bytes_with_its_metrics
    a_line_has_its_level_and_its_time_once_where_lambda_reads_them
}

async fn every_log_line_is_json_and_names_its_request(backend: Backend) {
    let cloud = Cloud::on(backend).await;
    let mut function = cloud.instance(HTTP_DEFAULT).await;
    let id = "0a1b2c3d-0000-4000-8000-000000000001";
    let call = Call { method: "GET", path: "/tn", headers: &[("x-api-key", API_KEY)], ..Call::default() };
    function.runtime.invoke(id, &function.gateway.event(&call)).await;
    function.binary.kill();
    let lines: Vec<Value> =
        function.binary.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answered: Vec<_> = lines.iter().filter(|line| line["message"] == "answered").collect();
    assert_eq!(answered.len(), 1, "{lines:?}");
    assert_eq!((&answered[0]["span"]["id"], &answered[0]["status"]), (&json!(id), &json!(200)));
}

async fn the_console_is_there_only_if_it_is_set(backend: Backend) {
    let cloud = Cloud::on(backend).await;
    for (setting, status) in [(&[][..], 404), (&[("CONSOLE", "false")], 404), (&[("CONSOLE", "true")], 200)] {
        let mut function = cloud.instance_with(HTTP_DEFAULT, setting).await;
        for path in ["/console", "/console/app.js"] {
            let answer = function.send(&Call { method: "GET", path, ..Call::default() }).await;
            assert_eq!(answer.status, status, "{setting:?}: {path}");
            assert_eq!(answer.headers.contains_key("content-security-policy"), status == 200, "{path}");
        }
        function.binary.kill();
    }
}

async fn every_log_line_of_an_invocation_has_its_id_even_in_maintenance(backend: Backend) {
    let cloud = Cloud::on(backend).await;
    let mut function = cloud.instance(HTTP_DEFAULT).await;
    // The database is created at the start.
    function.ok("GET", "/tn", None).await;
    schedule::expired_session(&cloud.records.store()).await;
    function.runtime.invoke("a-round-that-does-something", &maintenance()).await;
    let session = function.ok("POST", "/session", Some(pair())).await;
    cloud.flowroute.mode(Mode::Refuse);
    let text = flat(&fresh_id(), ALICE, session["virtual_tn"].as_str().unwrap(), "is anybody there?");
    let (query, body) = (&[("token", WEBHOOK_TOKEN)], Some(text.to_string()));
    let call = Call { method: "POST", path: "/", query, body, ..Call::default() };
    function.runtime.invoke("a-text-that-is-refused", &function.gateway.event(&call)).await;

    function.binary.kill();
    let lines = function.binary.stdout();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lines: Vec<&Value> = lines.iter().filter(|line| line.get("_aws").is_none()).collect();
    let mut ids: Vec<&str> =
        lines.iter().map(|line| line["span"]["id"].as_str().unwrap_or_else(|| panic!("{line}"))).collect();
    ids.dedup();
    assert_eq!(ids.len(), 4, "one invocation after another: {ids:?}");
    assert_eq!((ids[1], ids[3]), ("a-round-that-does-something", "a-text-that-is-refused"));
    let said = |id: &str, what: &str| {
        lines.iter().any(|line| line["span"]["id"] == id && line["message"].as_str().unwrap().contains(what))
    };
    assert!(said(ids[1], "1 sessions expired") && said(ids[3], "message not sent"), "{lines:?}");
}

/// The path that the router gets.
fn routed(event: &Value) -> String {
    let event = from_str(&event.to_string()).unwrap();
    sms_proxy::runtime::lambda::request(event).uri().path().to_owned()
}

#[test]
fn every_gateway_reaches_every_path() {
    for gateway in GATEWAYS {
        for path in
            ["/", "/tn", "/tn/+12062992129", "/tn/tn", "/tn/prod", "/session", "/session/0a1b", "/prod"]
        {
            let event = gateway.event(&Call { method: "GET", path, ..Call::default() });
            assert_eq!(routed(&event), path, "{event}");
        }
    }
}

#[test]
fn a_path_with_unusual_characters_is_routed() {
    for gateway in GATEWAYS {
        let event = gateway.event(&Call { method: "GET", path: "/tn/1 2é", ..Call::default() });
        assert_eq!(routed(&event), "/tn/1%202%C3%A9", "{event}");
    }
}

#[test]
fn a_named_stage_without_a_slash_after_it_is_the_root() {
    for (gateway, path) in [(HTTP_PROD, "/prod"), (HTTP_STAGE_TN, "/tn"), (REST_CUSTOM_DOMAIN, "/prod")] {
        let mut event = gateway.event(&Call { method: "POST", path: "/", ..Call::default() });
        let field = if event["version"] == "2.0" { "rawPath" } else { "path" };
        event[field] = path.into();
        assert_eq!(routed(&event), "/", "{event}");
    }
}

#[test]
fn a_custom_domain_without_a_base_path_has_no_stage_in_its_paths() {
    for (gateway, field) in [(REST_PROD, "path"), (HTTP_PROD, "rawPath")] {
        for path in ["/", "/tn", "/tn/12062992129", "/session"] {
            let mut event = gateway.event(&Call { method: "GET", path, ..Call::default() });
            event["requestContext"]["domainName"] = "sms.example.com".into();
            event[field] = path.into();
            assert_eq!(routed(&event), path, "{event}");
        }
    }
}

#[test]
fn the_query_passes_through_every_gateway() {
    for gateway in GATEWAYS {
        let query = &[("token", WEBHOOK_TOKEN), ("limit", "5")];
        let event = gateway.event(&Call { method: "POST", path: "/", query, ..Call::default() });
        let request = sms_proxy::runtime::lambda::request(from_str(&event.to_string()).unwrap());
        let mut pairs: Vec<_> =
            url::form_urlencoded::parse(request.uri().query().unwrap().as_bytes()).into_owned().collect();
        pairs.sort();
        let expected = [("limit", "5"), ("token", WEBHOOK_TOKEN)].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(pairs, expected, "{event}");
    }
}

/// What a relayed text writes to the log of a function with this log level.
async fn log_of_a_text(cloud: &Cloud, level: &str) -> Vec<String> {
    let mut function = cloud.instance_with(HTTP_DEFAULT, &[("LOG_LEVEL", level)]).await;
    function.ok("GET", "/tn", None).await;
    function.deliver(&flat(&fresh_id(), ALICE, TN, "hello")).await;
    function.binary.kill();
    let (log, of_the_list) = (function.binary.stdout(), r#""method":"GET""#);
    log.lines().filter(|line| !line.contains(of_the_list)).map(str::to_owned).collect()
}

async fn a_relayed_text_writes_one_line_of_at_most_400_bytes_with_its_metrics(backend: Backend) {
    let cloud = Cloud::on(backend).await;
    let mut function = cloud.instance(HTTP_DEFAULT).await;
    function.ok("POST", "/tn", Some(json!({"value": TN}))).await;
    function.ok("POST", "/session", Some(pair())).await;
    function.binary.kill();
    for (level, message) in [("info", json!("answered")), ("warn", Value::Null)] {
        let lines = log_of_a_text(&cloud, level).await;
        assert_eq!(lines.len(), 1, "at {level}: {lines:?}");
        assert!(lines[0].len() <= 400, "{} bytes: {lines:?}", lines[0].len());
        let line: Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!((&line["message"], &line["TextsSent"]), (&message, &json!(1)), "{line}");
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Metrics"], json!([{"Name": "TextsSent"}]));
    }
}

async fn a_line_has_its_level_and_its_time_once_where_lambda_reads_them(backend: Backend) {
    let cloud = Cloud::on(backend).await;
    let mut function = cloud.instance(HTTP_DEFAULT).await;
    function.ok("POST", "/tn", Some(json!({"value": TN}))).await;
    function.ok("POST", "/session", Some(pair())).await;
    function.deliver(&flat(&fresh_id(), ALICE, TN, "hello")).await;
    let receipt = json!({"data": {"type": "delivery_receipt", "id": fresh_id(), "attributes": {"level": 2}}});
    function.deliver(&receipt).await;
    function.maintain().await;
    function.binary.kill();
    let log = function.binary.stdout();
    assert!(log.contains("delivery receipt") && log.contains("FreeTns"), "{log}");
    for line in log.lines().filter(|line| !line.starts_with(r#"{"_aws""#)) {
        for member in [r#""level":"#, r#""timestamp":"#, r#""message":"#] {
            assert_eq!(line.matches(member).count(), 1, "{member} in {line}");
        }
    }
}
