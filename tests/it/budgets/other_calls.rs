//! What the other calls cost. Lists are not included: their cost depends on what they show and count.

use super::{Calls, LIMIT, Position, anywhere, cost, in_the_middle, with_pool};
use crate::contract::fixtures::counted;
use chrono::TimeDelta;
use serde_json::{Value, json};
use sms_proxy::{
    domain::SenderLimit,
    http::{Auth, Guard, Parts, ROUTES, router},
    service::Options,
};
use test_support::{
    ALICE, App, BOB, EVE, Outcome, TN,
    fault_proxy::{FaultProxy, Spent},
    flat, fresh_id, parts, unpaced,
};

/// A service with a session, whose calls to the store are counted.
struct MeteredApp {
    app: App,
    proxy: FaultProxy,
}

impl MeteredApp {
    /// Asserts how a webhook call or a management call is answered, and what it costs.
    async fn costs(&self, [method, path]: [&str; 2], body: Option<Value>, status: u16, spent: Spent) {
        let answer = self.app.call(method, path, body.clone()).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(self.proxy.spent(), spent, "{method} {path} {body:?}");
    }

    async fn post(&self, payload: Value, spent: Spent) {
        self.costs(["POST", "/"], Some(payload), 200, spent).await;
    }
}

const READING: Calls = &[("GetItem", 1)];

fn receipt(id: &Value) -> Value {
    json!({"data": {"type": "delivery_receipt", "id": id, "attributes": {"level": 2, "status": "delivered"}}})
}

async fn other_costs(size: u64, position: fn(u64) -> Position) {
    let (app, proxy) = with_pool(size, position).await;
    let session = app.open_session(ALICE, BOB, None).await;
    for tn in [TN, &counted(1).digits()] {
        app.add_tn(tn).await;
    }
    let [id, tn] = ["session_id", "virtual_tn"].map(|name| session[name].as_str().unwrap());
    app.text(ALICE, tn, "hi").await;
    proxy.spent();
    let metered = MeteredApp { app, proxy };
    texts(&metered, tn).await;
    calls(&metered, tn, id).await;
}

async fn texts(metered: &MeteredApp, tn: &str) {
    let text: Calls = &[("GetItem", 2), ("Query", 1), ("UpdateItem", 2)];
    metered.post(json!({"to": tn, "from": ALICE, "body": "without an id"}), cost(text, 2.5, 4.0)).await;
    metered.post(flat(&fresh_id(), "12345", tn, "from a short code"), Spent::default()).await;
    metered.post(flat(&fresh_id(), ALICE, tn, ""), Spent::default()).await;
    metered.costs(["POST", "/"], Some(json!({"to": tn})), 400, Spent::default()).await;

    let opting: Calls = &[("GetItem", 2), ("TransactWriteItems", 1)];
    metered.post(flat(&fresh_id(), BOB, tn, "STOP"), cost(opting, 2.0, 8.0)).await;
    let told: Calls = &[("GetItem", 2), ("BatchGetItem", 1), ("TransactWriteItems", 1)];
    metered.post(flat(&fresh_id(), ALICE, tn, "to one who has opted out"), cost(told, 6.0, 9.0)).await;
    let again: Calls = &[("GetItem", 2), ("UpdateItem", 1)];
    metered.post(flat(&fresh_id(), ALICE, tn, "and again"), cost(again, 2.0, 2.0)).await;
    metered.post(flat(&fresh_id(), BOB, tn, "UNSTOP"), cost(opting, 2.0, 8.0)).await;
    let stranger: Calls = &[("GetItem", 2), ("BatchGetItem", 1), ("TransactWriteItems", 1)];
    metered.post(flat(&fresh_id(), EVE, tn, "STOP"), cost(stranger, 7.0, 4.0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_by_provider_id_cost_each_text_a_write_unit_more() {
    let (store, proxy) = FaultProxy::store_with_limit(LIMIT).await;
    let app = App::on(store, Options { send_budget: LIMIT, request_limit: LIMIT, ..unpaced() });
    let session = app.conversation(None).await;
    proxy.spent();
    let metered = MeteredApp { app, proxy };
    let text: Calls = &[("GetItem", 2), ("Query", 1), ("UpdateItem", 2)];
    metered.post(flat(&fresh_id(), ALICE, TN, "hi"), cost(text, 2.5, 5.0)).await;
    let sent = &metered.app.messages(&session).await[2];
    metered.proxy.spent();
    receipts(&metered, &sent["provider_id"]).await;
    let ours = json!({"data": {"type": "delivery_receipt", "id": "mdr2-x", "attributes": {"level": 3, "status": "delivered"}}});
    let path = format!("/?m={}", sent["id"].as_str().unwrap());
    metered.costs(["POST", &path], Some(ours), 200, cost(&[READING[0], ("UpdateItem", 1)], 1.0, 1.0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_receipts_by_provider_id_one_with_our_id_is_stored_and_one_without_is_unknown_and_free() {
    let (store, proxy) = FaultProxy::store_without_receipts(LIMIT).await;
    let app = App::on(store, Options { send_budget: LIMIT, request_limit: LIMIT, ..unpaced() });
    let session = app.conversation(None).await;
    app.text(ALICE, TN, "hi").await;
    let sent = app.messages(&session).await[2].clone();
    proxy.spent();
    let metered = MeteredApp { app, proxy };
    metered.post(receipt(&sent["provider_id"]), Spent::default()).await;
    assert_eq!(metered.app.messages(&session).await[2], sent);
    metered.proxy.spent();
    let path = format!("/?m={}", sent["id"].as_str().unwrap());
    let stored = cost(&[READING[0], ("UpdateItem", 1)], 1.0, 1.0);
    metered.costs(["POST", &path], Some(receipt(&sent["provider_id"])), 200, stored).await;
    let with_receipt = &metered.app.messages(&session).await[2];
    assert_eq!(
        (&with_receipt["state"], &with_receipt["provider_id"]),
        (&json!("sent"), &sent["provider_id"])
    );
    assert_eq!(with_receipt["delivery"]["status"], "delivered");
}

async fn receipts(metered: &MeteredApp, sent: &Value) {
    let stored: Calls = &[("Query", 1), ("GetItem", 1), ("UpdateItem", 1)];
    metered.post(receipt(sent), cost(stored, 1.5, 1.0)).await;
    let known: Calls = &[("Query", 1), ("GetItem", 1)];
    metered.post(receipt(sent), cost(known, 1.5, 0.0)).await;
    metered.post(receipt(&json!("mdr2-unknown")), cost(&[("Query", 1)], 0.5, 0.0)).await;
}

async fn calls(metered: &MeteredApp, tn: &str, id: &str) {
    let session = format!("/session/{id}");
    let shown: Calls = &[("GetItem", 1), ("BatchGetItem", 1)];
    metered.costs(["GET", &session], None, 200, cost(shown, 5.0, 0.0)).await;
    metered.costs(["GET", &format!("/tn/{tn}")], None, 200, cost(READING, 1.0, 0.0)).await;
    metered.costs(["GET", "/health"], None, 200, cost(READING, 1.0, 0.0)).await;
    metered
        .costs(["DELETE", &format!("/session/{}", "a".repeat(32))], None, 404, cost(READING, 1.0, 0.0))
        .await;
    let with_tn = json!({"participant_a": ALICE, "participant_b": tn});
    let refused: Calls = &[("GetItem", 2), ("BatchGetItem", 1), ("Query", 2)];
    metered.costs(["POST", "/session"], Some(with_tn), 400, cost(refused, 7.0, 0.0)).await;

    let value = |number: &str| Some(json!({"value": number}));
    let added: Calls = &[("GetItem", 1), ("Query", 1), ("TransactWriteItems", 1)];
    metered.costs(["POST", "/tn"], value(tn), 400, cost(added, 2.0, 0.0)).await;
    metered.costs(["POST", "/tn"], value(ALICE), 400, cost(&[("Query", 1)], 1.0, 0.0)).await;
    let removed: Calls = &[("GetItem", 1), ("TransactWriteItems", 1)];
    metered.costs(["DELETE", "/tn"], value(TN), 200, cost(removed, 1.0, 4.0)).await;
    metered.costs(["DELETE", "/tn"], value(&counted(1).digits()), 200, cost(removed, 1.0, 6.0)).await;
    metered.costs(["DELETE", "/tn"], value(TN), 404, cost(READING, 1.0, 0.0)).await;
    metered.costs(["DELETE", "/tn"], value(tn), 400, cost(READING, 1.0, 0.0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_is_too_late_costs_the_notice_to_its_sender() {
    let (app, proxy) = with_pool(1, in_the_middle).await;
    let first = app.open_session(ALICE, BOB, None).await;
    app.end_session(&first).await;
    let next = app.open_session(ALICE, EVE, None).await;
    assert_eq!(next["virtual_tn"], first["virtual_tn"]);
    let late = json!({"data": {"type": "message", "id": fresh_id(), "attributes": {
        "to": next["virtual_tn"], "from": ALICE, "body": "meant for Bob", "timestamp": "2017-12-21T16:44:35.00Z"
    }}});
    proxy.spent();
    let metered = MeteredApp { app, proxy };
    let told: Calls = &[("GetItem", 2), ("BatchGetItem", 1), ("TransactWriteItems", 1)];
    metered.post(late.clone(), cost(told, 6.0, 6.0)).await;
    metered.post(late, cost(&[("GetItem", 2)], 2.0, 0.0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_fails_costs_the_notice_to_its_sender_once_an_hour() {
    let (app, proxy) = with_pool(1, in_the_middle).await;
    let session = app.open_session(ALICE, BOB, None).await;
    app.provider.always(Outcome::Refused);
    proxy.spent();
    let metered = MeteredApp { app, proxy };
    let text = || flat(&fresh_id(), ALICE, session["virtual_tn"].as_str().unwrap(), "hi");
    let told: Calls =
        &[("GetItem", 3), ("BatchGetItem", 1), ("Query", 1), ("TransactWriteItems", 1), ("UpdateItem", 1)];
    metered.post(text(), cost(told, 7.5, 11.0)).await;
    let again: Calls = &[("GetItem", 3), ("Query", 1), ("UpdateItem", 2)];
    metered.post(text(), cost(again, 3.5, 4.0)).await;
}

/// A service with a session of Alice and Bob on [`TN`], and this limit.
async fn limited(per_minute: u32, per_day: u32) -> MeteredApp {
    let (store, proxy) = FaultProxy::store_without_receipts(LIMIT).await;
    let sender_limit = SenderLimit { per_minute, per_day };
    let app = App::on(store, Options { send_budget: LIMIT, request_limit: LIMIT, sender_limit, ..unpaced() });
    app.conversation(None).await;
    proxy.spent();
    MeteredApp { app, proxy }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_of_a_sender_costs_reads_and_no_write() {
    let metered = limited(1, 3).await;
    let text = || flat(&fresh_id(), ALICE, TN, "hi");
    let sent: Calls = &[("GetItem", 2), ("Query", 1), ("UpdateItem", 2)];
    metered.post(text(), cost(sent, 2.5, 4.0)).await;
    let waits: Calls = &[("GetItem", 1), ("Query", 1), ("UpdateItem", 1)];
    metered.post(text(), cost(waits, 1.5, 3.0)).await;
    metered.app.clock.advance(TimeDelta::minutes(3));
    metered.app.maintain().await;
    metered.proxy.spent();
    let after_waiting: Calls = &[("GetItem", 3), ("Query", 1), ("UpdateItem", 2)];
    metered.post(text(), cost(after_waiting, 3.5, 4.0)).await;
    let told: Calls = &[("GetItem", 2), ("BatchGetItem", 1), ("Query", 1), ("TransactWriteItems", 1)];
    metered.post(text(), cost(told, 6.5, 9.0)).await;
    let again: Calls = &[("GetItem", 2), ("Query", 1), ("UpdateItem", 1)];
    metered.post(text(), cost(again, 2.5, 2.0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_costs_half_a_read_unit_for_about_thirty_earlier_texts_of_its_sender_and_none_for_others() {
    let metered = limited(1_000, 60).await;
    for n in 0..60 {
        metered.app.text(BOB, TN, "from another").await;
        metered.proxy.spent();
        metered.app.text(ALICE, TN, "hi").await;
        let spent = metered.proxy.spent();
        assert!(spent.read_units <= 2.5 + f64::from(n) / 50.0, "{n}: {spent:?}");
        assert_eq!(spent.write_units, 4.0, "{n}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_calls_keep_to_their_budget_in_a_small_pool() {
    other_costs(10, in_the_middle).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn the_other_calls_cost_the_same_in_a_large_pool() {
    other_costs(20_000, anywhere).await;
}

#[tokio::test]
async fn wrong_keys_and_tokens_cost_no_call_to_the_store() {
    let (store, proxy) = FaultProxy::store().await;
    let auth = Auth {
        api_keys: vec!["an-api-key-0123456789".into()],
        webhook_token: Some("a-webhook-token-0123456789".into()),
        ..Auth::default()
    };
    let app = App::on(store, unpaced());
    let parts = Parts { auth, ..parts(&app.service) };
    let app = App { router: router(parts), ..app };
    proxy.spent();
    for route in ROUTES.iter().filter(|route| route.guard != Guard::Open) {
        let path = route.path.replace("{value}", TN).replace("{id}", "x");
        let body = Some(flat(&fresh_id(), ALICE, TN, "hello"));
        app.call(route.method, &format!("{path}?token=wrong"), body).await.assert_error(401, "unauthorized");
    }
    assert_eq!(proxy.spent(), Spent::default());
}
