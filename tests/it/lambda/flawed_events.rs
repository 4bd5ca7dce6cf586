//! Events that gateways do not send, but anybody who may invoke the function: each is answered, and the next one is served.

use super::function::{API_KEY, Cloud, WEBHOOK_TOKEN, answer};
use serde_json::{Map, Value, json};
use test_support::{
    ALICE, Backend, TN,
    events::{Call, GATEWAYS, Gateway, HTTP_DEFAULT, REST_PROD},
    flat, fresh_id,
};

fn list(gateway: Gateway) -> Value {
    gateway.event(&Call { method: "GET", path: "/tn", headers: &[("x-api-key", API_KEY)], ..Call::default() })
}

/// Sets the header of an event, and nothing else of this name.
fn set_header(event: &mut Value, name: &str, value: Value) {
    for part in ["headers", "multiValueHeaders"] {
        if let Some(headers) = event[part].as_object_mut() {
            headers.retain(|other, _| !other.eq_ignore_ascii_case(name));
        }
    }
    event["headers"][name] = value;
}

/// Events of this gateway with something that no request can have.
fn flawed(gateway: Gateway) -> Vec<Value> {
    let mut flawed = Vec::new();
    for body in ["no Base64!", "abc", "YWJj=", "-_-_", "YW Jj", "YWJj\n", "é", "=", "\0"] {
        let mut event = list(gateway);
        (event["body"], event["isBase64Encoded"]) = (body.into(), true.into());
        flawed.push(event);
    }
    for host in ["a b", "[", "[::1", "a:99999", "a:b", "ho<st", "ho^st", "%", "a|b", "1.2.3.4.5", ":443"] {
        let mut event = list(gateway);
        set_header(&mut event, "host", host.into());
        flawed.push(event);
    }
    for scheme in ["", " ", "1", "https, https", "ht tp", "://", "/", &"x".repeat(70)] {
        let mut event = list(gateway);
        set_header(&mut event, "x-forwarded-proto", scheme.into());
        flawed.push(event);
    }
    let mut event = list(gateway);
    set_header(&mut event, "host", Value::Null);
    for part in ["headers", "multiValueHeaders"] {
        if let Some(headers) = event[part].as_object_mut() {
            headers.retain(|name, _| !name.eq_ignore_ascii_case("host"));
        }
    }
    event["requestContext"]["domainName"] = "no host".into();
    flawed.push(event);
    let (path, query) = if list(gateway)["version"] == "2.0" { ("rawPath", true) } else { ("path", false) };
    for wrong in [":99999", "@[", "tn", &format!("/{}", "x".repeat(70_000))] {
        let mut event = list(gateway);
        event[path] = wrong.into();
        flawed.push(event);
    }
    for wrong in ["a b", "\"", "<", ">", "\u{1}", "\u{7f}", &"x".repeat(70_000)].iter().filter(|_| query) {
        let mut event = list(gateway);
        event["rawQueryString"] = (*wrong).into();
        flawed.push(event);
    }
    for field in ["multiValueQueryStringParameters", "queryStringParameters"].iter().filter(|_| !query) {
        let mut event = list(gateway);
        event[*field] = json!({"limit": []});
        flawed.push(event);
    }
    let mut event = list(gateway);
    event["requestContext"]["stage"] = "x".repeat(70_000).into();
    flawed.push(event);
    let mut event = list(gateway);
    event["headers"] = (0..20_000).map(|n| (format!("x-{n}"), json!("1"))).collect::<Map<_, _>>().into();
    flawed.push(event);
    for (place, wrong) in [
        ("/isBase64Encoded", json!("yes")),
        ("/body", json!({"from": ALICE})),
        ("/headers", json!({"a header": "x"})),
        ("/requestContext/stage", json!(7)),
    ] {
        let mut event = list(gateway);
        let (parent, field) = place.rsplit_once('/').unwrap();
        event.pointer_mut(parent).unwrap()[field] = wrong;
        flawed.push(event);
    }
    flawed
}

#[tokio::test]
async fn events_that_no_request_can_be_made_of_are_answered_400_and_the_next_one_is_served() {
    let cloud = Cloud::on(Backend::Sqlite).await;
    for gateway in GATEWAYS.iter().copied() {
        let mut function = cloud.instance(gateway).await;
        for event in flawed(gateway) {
            let shown: String = event.to_string().chars().take(2000).collect();
            let id = fresh_id();
            let refused = answer(&function.runtime.invoke(&id, &event).await);
            assert_eq!(refused.status, 400, "{shown}: {refused:?}");
            refused.assert_error(400, "unreadable_event");
            assert_eq!(refused.headers["x-request-id"], id, "{shown}");
        }
        function.ok("GET", "/tn", None).await;
        function.binary.kill();
        let log = function.binary.stdout();
        assert!(!log.contains("panicked") && !log.contains("no Base64!"), "{log}");
        let warnings = log.lines().filter(|line| line.contains("event refused")).count();
        assert_eq!(warnings, flawed(gateway).len(), "{log}");
        assert!(log.lines().all(|line| line.contains("WARN") || !line.contains("event refused")));
    }
}

#[tokio::test]
async fn what_is_no_event_fails_its_invocation_at_most_and_the_next_one_is_served() {
    let cloud = Cloud::on(Backend::Sqlite).await;
    let mut function = cloud.instance(REST_PROD).await;
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    let many: Map<_, _> = (0..40_000).map(|n| (format!("x-{n}"), json!("1"))).collect();
    let mut huge = list(REST_PROD);
    huge["headers"] = many.into();
    let mut nested = list(HTTP_DEFAULT);
    nested["requestContext"]["authorizer"] = json!({"lambda": deep.clone()});
    let others =
        [json!(null), json!(7), json!("text"), json!([]), json!({}), deep, json!({"requestContext": null})];
    for event in others.into_iter().chain([huge, nested]) {
        // Whatever is said, the function goes on.
        let _ = function.runtime.try_invoke(&fresh_id(), &event).await;
        function.ok("GET", "/tn", None).await;
    }
    function.binary.kill();
    assert!(!function.binary.stdout().contains("user handler panicked"));
}

#[tokio::test]
async fn a_text_whose_headers_have_letters_outside_ascii_is_relayed() {
    let cloud = Cloud::on(Backend::Sqlite).await;
    for gateway in GATEWAYS.iter().copied() {
        let function = cloud.quick_instance(gateway).await;
        let _ = function.call("POST", "/tn", Some(json!({"value": TN}))).await;
        let _ = function.call("POST", "/session", Some(test_support::pair())).await;
        let text = format!("hello through {gateway:?}").chars().take(60).collect::<String>() + &fresh_id();
        let post = flat(&fresh_id(), ALICE, TN, &text).to_string();
        let (query, headers) = (&[("token", WEBHOOK_TOKEN)], &[("content-type", "application/json")]);
        let call = Call { method: "POST", path: "/", query, headers, body: Some(post) };
        let mut event = gateway.event(&call);
        set_header(&mut event, "user-agent", "Flöwroute ✉".into());
        let answered = function.runtime.invoke(&fresh_id(), &event).await;
        assert_eq!(answered["statusCode"], 200, "{event}: {answered}");
        assert!(cloud.flowroute.taken().iter().any(|(_, body)| *body == text), "{event}");
    }
}

#[tokio::test]
async fn a_doubled_key_with_a_letter_outside_ascii_is_refused() {
    let cloud = Cloud::on(Backend::Sqlite).await;
    let function = cloud.instance(REST_PROD).await;
    for values in [["é", API_KEY], [API_KEY, "é"]] {
        let mut event = list(REST_PROD);
        event["headers"]["X-Api-Key"] = values[1].into();
        event["headers"].as_object_mut().unwrap().remove("x-api-key");
        event["multiValueHeaders"]["x-api-key"] = json!(values);
        let answered = function.runtime.invoke(&fresh_id(), &event).await;
        assert_eq!(answered["statusCode"], 401, "{values:?}: {answered}");
    }
}
