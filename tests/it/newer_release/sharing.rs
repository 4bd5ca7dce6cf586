//! Draining, choosing a TN, a new expiry and a repeated request, of what a newer release wrote.

use super::SharedTable;
use axum::{body::Body, http::Request};
use serde_json::{Value, json};
use sms_proxy::{domain::Sharing, service::Options};
use std::{sync::Arc, time::Duration};
use test_support::{
    ALICE, App, BOB, EVE, TN,
    dynamodb::{Table, engine_url},
    number, without_timeouts,
};

const KEY: &str = "the-key";

impl SharedTable {
    /// The same, with TNs that are shared; Alice and Bob's session was opened with a key.
    async fn with_shared_tns() -> Self {
        let table = Table::create(&engine_url()).await.at_the_engine();
        let sharing = Sharing { sessions_per_tn: 5, ..Sharing::default() };
        let store = table.store(Duration::from_secs(60));
        let app = App::on(Arc::clone(&store), Options { sharing, ..without_timeouts() });
        app.add_tn(TN).await;
        let session = open(&app, &[ALICE, BOB]).await;
        assert_eq!(session.0, 200);
        Self { app, table, session: session.1 }
    }
}

async fn open(app: &App, [a, b]: &[&str; 2]) -> (u16, Value) {
    let body = json!({"participant_a": a, "participant_b": b});
    let request = Request::post("/session").header("content-type", "application/json");
    let request = request.header("idempotency-key", KEY).body(Body::from(body.to_string()));
    let answer = app.send(request.unwrap()).await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn a_newer_tn_gets_no_session_and_is_not_drained() {
    let shared = SharedTable::with_shared_tns().await;
    let newer = shared.rewrite("TN#", "").await;
    assert_eq!(newer.len(), 1);
    let (tn, session) = (format!("/tn/{TN}"), format!("/session/{}", shared.id()));
    let pair = |tn: Value| Some(json!({"participant_a": EVE, "participant_b": number(7), "virtual_tn": tn}));
    shared
        .refuses(&[
            ("PATCH", &tn, Some(json!({"draining": true}))),
            ("PATCH", &tn, Some(json!({"draining": false}))),
            ("PATCH", &session, Some(json!({"expiry_window": 5}))),
            ("POST", "/session", pair(json!(TN))),
            ("POST", "/session", pair(Value::Null)),
        ])
        .await;
    assert_eq!(
        open(&shared.app, &[ALICE, BOB]).await,
        (200, shared.session.clone()),
        "it is not opened again"
    );
    shared.app.provider.clear();
    shared.app.text(ALICE, TN, "hello").await;
    assert_eq!(shared.app.provider.taken_by(), [(BOB.to_owned(), "hello".to_owned())]);
    assert_eq!(shared.newer().await, newer);
}

#[tokio::test]
async fn the_key_of_a_newer_session_opens_no_other_and_its_expiry_stays() {
    let shared = SharedTable::with_shared_tns().await;
    let newer = shared.rewrite("S#", "S").await;
    assert_eq!(newer.len(), 1);
    shared.app.provider.clear();
    let before = shared.items().await;
    for people in [[ALICE, BOB], [EVE, BOB]] {
        let (status, error) = open(&shared.app, &people).await;
        assert_eq!((status, &error["reason"]), (503, &json!("store_unavailable")));
    }
    assert_eq!(shared.items().await, before);
    let of = format!("/session/{}", shared.id());
    shared
        .refuses(&[
            ("PATCH", &of, Some(json!({"expiry_window": 5}))),
            ("PATCH", &of, Some(json!({"expiry_window": null}))),
        ])
        .await;
    // Others share the TN with it.
    let other = shared.app.open_session(EVE, &number(7), None).await;
    assert_eq!(other["virtual_tn"], TN);
    shared.app.provider.clear();
    shared.app.text(EVE, TN, "hello").await;
    assert_eq!(shared.app.provider.taken_by(), [(number(7), "hello".to_owned())]);
    shared.app.end_session(&other).await;
    assert_eq!(shared.newer().await, newer);
}

#[tokio::test]
async fn a_newer_past_route_is_no_reason_to_pick_its_tn() {
    let shared = SharedTable::with_shared_tns().await;
    shared.app.end_session(&shared.session).await;
    let newer = shared.rewrite(&format!("P#{ALICE}"), "R#").await;
    assert_eq!(newer.len(), 1);
    shared
        .refuses(&[("POST", "/session", Some(json!({"participant_a": ALICE, "participant_b": EVE})))])
        .await;
    let other = shared.app.open_session(EVE, BOB, None).await;
    assert_eq!(other["virtual_tn"], TN);
    assert_eq!(shared.newer().await, newer);
}
