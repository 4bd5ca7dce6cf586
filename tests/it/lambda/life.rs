//! The whole life of a session, from an empty pool to an empty pool, behind every gateway.

use super::function::{Cloud, Function, maintenance};
use serde_json::{Value, json};
use test_support::{
    ALICE, BOB, Backend, TN,
    events::{
        Call, FUNCTION_URL, Gateway, HTTP_BASE64, HTTP_DEFAULT, HTTP_PROD, HTTP_STAGE_TN, REST_CUSTOM_DOMAIN,
        REST_PROD, REST_STAGE_TN,
    },
    flat, fresh_id,
};

macro_rules! a_session_lives_and_ends {
    ($($name:ident: $gateway:ident;)*) => { mod a_session_lives_and_ends {$(
        mod $name {
            use super::super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                a_session_lives_and_ends_behind($gateway, Backend::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn dynamodb() {
                a_session_lives_and_ends_behind($gateway, Backend::Dynamodb).await;
            }
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

const PICTURES: [&str; 2] = ["https://media.example.com/a.jpg", "https://media.example.com/b.jpg"];

async fn a_session_lives_and_ends_behind(gateway: Gateway, backend: Backend) {
    let cloud = Cloud::on(backend).await;
    let function = cloud.instance(gateway).await;
    let id = a_session_opens(&cloud, &function).await;
    it_is_listed(&function, &id).await;
    texts_go_both_ways(&cloud, &function).await;
    their_outcomes_are_stored(&function, &id).await;
    it_ends_and_a_late_text_is_answered(&cloud, &function, &id).await;
    whatever_is_wrong_is_refused(&function).await;
}

async fn a_session_opens(cloud: &Cloud, function: &Function) -> String {
    let added = function.ok("POST", "/tn", Some(json!({"value": TN}))).await;
    assert_eq!(added, json!({"message": "successfully added TN to pool", "value": TN}));
    let pair = json!({"participant_a": ALICE, "participant_b": BOB, "expiry_window": 10});
    let opened = function.ok("POST", "/session", Some(pair)).await;
    assert_eq!((&opened["message"], &opened["virtual_tn"]), (&json!("created session"), &json!(TN)));
    let notified: Vec<String> = cloud.flowroute.taken().into_iter().map(|(to, _)| to).collect();
    assert_eq!(notified, [ALICE, BOB]);
    cloud.flowroute.clear();
    opened["session_id"].as_str().unwrap().to_owned()
}

async fn it_is_listed(function: &Function, id: &str) {
    let pool = function.ok("GET", "/tn", None).await;
    assert_eq!((&pool["pool_size"], &pool["in_use"]), (&json!(1), &json!(1)));
    assert_eq!(pool["virtual_tns"], json!([{"session_id": id, "value": TN}]));
    assert_eq!(function.ok("GET", &format!("/tn/{TN}"), None).await, json!({"session_id": id, "value": TN}));
    let session = function.ok("GET", &format!("/session/{id}"), None).await;
    assert_eq!((&session["id"], &session["participant_b"]), (&json!(id), &json!(BOB)));
    let sessions = function.ok("GET", "/session", None).await;
    assert_eq!(sessions, json!({"total_sessions": 1, "sessions": [session]}));
}

/// A text as Flowroute posts it in its JSON:API form (`docs/flowroute.md#webhook`).
fn with_pictures(from: &str, body: &str) -> Value {
    let included = PICTURES.map(|url| json!({"type": "media", "id": fresh_id(), "attributes": {"url": url}}));
    let attributes = json!({"to": TN, "from": from, "body": body, "is_mms": true});
    json!({"data": {"type": "message", "id": fresh_id(), "attributes": attributes}, "included": included})
}

async fn texts_go_both_ways(cloud: &Cloud, function: &Function) {
    let texts = [
        (flat(&fresh_id(), ALICE, TN, "at the café 🚲"), BOB, "at the café 🚲", &[][..]),
        (flat(&fresh_id(), BOB, TN, "coming down"), ALICE, "coming down", &[]),
        (with_pictures(ALICE, "look"), BOB, "look", &PICTURES),
    ];
    for (text, to, body, pictures) in texts {
        // Flowroute repeats a post without a response.
        for _ in 0..2 {
            function.deliver(&text).await;
            assert_eq!(cloud.flowroute.taken(), [(to.to_owned(), body.to_owned())]);
            assert_eq!(cloud.flowroute.media(), [pictures]);
        }
        cloud.flowroute.clear();
    }
}

async fn their_outcomes_are_stored(function: &Function, id: &str) {
    let messages = function.messages(id).await;
    let kinds: Vec<_> = messages.iter().map(|message| &message["kind"]).collect();
    assert_eq!(kinds, ["start", "start", "relay", "relay", "relay"]);
    let settled = messages.iter().all(|message| message["state"] == "sent");
    assert!(settled, "work is left after the response: {messages:?}");
    let attributes = json!({"level": 2, "status": "delivered", "status_code": 1004,
        "timestamp": "2026-03-10T12:00:00.00Z"});
    let receipt = json!({"data": {"type": "delivery_receipt", "id": messages[2]["provider_id"],
        "attributes": attributes}});
    function.deliver(&receipt).await;
    let messages = function.messages(id).await;
    let delivery = json!({"status": "delivered", "code": "1004", "date": "2026-03-10 12:00:00"});
    assert_eq!((&messages[2]["delivery"], &messages[3]["delivery"]), (&delivery, &Value::Null));
}

async fn it_ends_and_a_late_text_is_answered(cloud: &Cloud, function: &Function, id: &str) {
    let path = format!("/session/{id}");
    let ended = function.ok("DELETE", &path, None).await;
    assert_eq!(ended, json!({"message": "successfully ended session", "session_id": id}));
    let notified: Vec<String> = cloud.flowroute.taken().into_iter().map(|(to, _)| to).collect();
    assert_eq!(notified, [ALICE, BOB]);
    cloud.flowroute.clear();
    function.deliver(&flat(&fresh_id(), ALICE, TN, "are you still there?")).await;
    let answers = cloud.flowroute.taken();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0].0, ALICE);
    assert!(answers[0].1.contains("An active session was not found"), "{answers:?}");

    function.call("GET", &path, None).await.assert_error(404, "session_not_found");
    function.call("DELETE", &path, None).await.assert_error(404, "session_not_found");
    let removed = function.ok("DELETE", "/tn", Some(json!({"value": TN}))).await;
    assert_eq!(removed, json!({"message": "successfully removed TN from pool", "value": TN}));
    function.call("GET", &format!("/tn/{TN}"), None).await.assert_error(404, "tn_not_found");
}

async fn whatever_is_wrong_is_refused(function: &Function) {
    function.call("GET", "/nowhere", None).await.assert_error(404, "not_found");
    function.call("GET", "/tn/", None).await.assert_error(404, "not_found");
    function.call("GET", "/tn/12 34", None).await.assert_error(400, "invalid_number");
    function.call("GET", "/", None).await.assert_error(405, "method_not_allowed");
    function.call("POST", "/events", Some(maintenance())).await.assert_error(404, "not_found");
    let stranger = Call { method: "GET", path: "/tn", ..Call::default() };
    function.send(&stranger).await.assert_error(401, "unauthorized");
    let body = Some(flat(&fresh_id(), ALICE, TN, "hello").to_string());
    let stranger = Call { method: "POST", path: "/", body, ..Call::default() };
    function.send(&stranger).await.assert_error(401, "unauthorized");
}
