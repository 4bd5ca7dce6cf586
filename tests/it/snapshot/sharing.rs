//! Shared and draining TNs, and sessions with an idempotency key, move to the other kind of store and back.

use super::{BACKENDS, snapshot_store::SnapshotStore};
use axum::{body::Body, http::Request};
use chrono::TimeDelta;
use serde_json::{Value, json};
use sms_proxy::{domain::Sharing, service::Options};
use std::sync::Arc;
use test_support::{ALICE, Answer, App, BOB, Backend, EVE, number, on_each_backend, unpaced};

on_each_backend! { slow:
    what_was_shared_draining_or_opened_with_a_key_stays_so
}

/// Three sessions on a TN, with which it is full; one on a TN that drains; one that has ended on the third TN.
struct SharedStore {
    store: SnapshotStore,
    /// What was answered with the keys of a live session and of the one that has ended.
    answers: [Answer; 2],
}

fn full() -> String {
    number(1000)
}

fn draining() -> String {
    number(1001)
}

fn third() -> String {
    number(1002)
}

/// The service on this store, with three sessions on each TN.
fn service(store: &SnapshotStore, strict: bool) -> App {
    let sharing = Sharing { sessions_per_tn: 3, strict, ..Sharing::default() };
    store.app.beside(Arc::clone(&store.app.store), Options { sharing, ..unpaced() })
}

async fn open(app: &App, [a, b]: [&str; 2], tn: Option<String>, key: Option<&str>) -> Answer {
    // At the same moment, each store has an order of its own.
    app.clock.advance(TimeDelta::milliseconds(5));
    let body = json!({"participant_a": a, "participant_b": b, "expiry_window": 60, "virtual_tn": tn});
    let mut request = Request::post("/session").header("content-type", "application/json");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    app.send(request.body(Body::from(body.to_string())).unwrap()).await
}

async fn opened(app: &App, pair: [&str; 2], tn: Option<String>) -> Value {
    let answer = open(app, pair, tn, None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

async fn live_one(app: &App) -> Answer {
    open(app, [ALICE, BOB], Some(full()), Some("the-key-of-a-live-one")).await
}

async fn ended_one(app: &App) -> Answer {
    open(app, [&number(11), &number(12)], Some(third()), Some("the-key-of-an-ended-one")).await
}

async fn drain(app: &App, tn: &str, draining: bool) {
    let body = json!({"draining": draining});
    assert_eq!(app.call("PATCH", &format!("/tn/{tn}"), Some(body)).await.status, 200);
}

impl SharedStore {
    async fn on(backend: Backend) -> Self {
        let store = SnapshotStore::of(backend).await;
        let app = service(&store, false);
        for tn in [full(), draining(), third()] {
            app.add_tn(&tn).await;
            app.clock.advance(TimeDelta::milliseconds(5));
        }
        let answers = [live_one(&app).await, ended_one(&app).await];
        assert_eq!(answers.each_ref().map(|answer| answer.status), [200, 200]);
        opened(&app, [EVE, &number(5)], Some(full())).await;
        opened(&app, [&number(7), ALICE], Some(draining())).await;
        opened(&app, [&number(7), &number(8)], Some(full())).await;
        drain(&app, &draining(), true).await;
        let path = format!("/session/{}", answers[0].json()["session_id"].as_str().unwrap());
        assert_eq!(app.call("PATCH", &path, Some(json!({"expiry_window": 600}))).await.status, 200);
        app.end_session(&answers[1].json()).await;
        app.clock.advance(TimeDelta::minutes(30));
        Self { store, answers }
    }
}

async fn what_was_shared_draining_or_opened_with_a_key_stays_so(backend: Backend) {
    let source = SharedStore::on(backend).await;
    let file = source.store.export().await;
    for between in BACKENDS {
        let between = SnapshotStore::beside(&source.store, between).await;
        between.import(&file).await.unwrap();
        assert_eq!(between.export().await, file);
        let back = SnapshotStore::beside(&source.store, backend).await;
        back.import(between.export().await).await.unwrap();
        assert_eq!(back.export().await, file);
        for path in ["/tn".to_owned(), "/session".to_owned(), format!("/session?participant={ALICE}")] {
            let of = async |store| service(store, false).call("GET", &path, None).await.json();
            assert_eq!(of(&back).await, of(&source.store).await, "{path}");
        }
        keys_are_known(&service(&back, false), &source.answers).await;
        texts_reach_the_partner_only(&service(&back, false)).await;
        tns_are_picked_as_before(&back).await;
    }
}

async fn keys_are_known(app: &App, answers: &[Answer; 2]) {
    for (again, answer) in [live_one(app).await, ended_one(app).await].iter().zip(answers) {
        assert_eq!((again.status, &again.body), (200, &answer.body));
    }
    for (key, people) in [("the-key-of-a-live-one", [ALICE, EVE]), ("the-key-of-an-ended-one", [ALICE, EVE])]
    {
        open(app, people, None, Some(key)).await.assert_error(422, "idempotency_key_reused");
    }
    assert_eq!(app.provider.asked(), 0);
}

async fn texts_reach_the_partner_only(app: &App) {
    let [five, seven, eight, eleven] = [5, 7, 8, 11].map(number);
    for (from, tn, to) in [
        (ALICE, full(), BOB),
        (EVE, full(), &five),
        (&seven, full(), &eight),
        (&seven, draining(), ALICE),
        (ALICE, draining(), &seven),
    ] {
        app.text(from, &tn, "are you there?").await;
        assert_eq!(app.provider.taken_by(), [(to.to_owned(), "are you there?".to_owned())]);
        app.provider.clear();
    }
    app.text(&eleven, &third(), "where are you?").await;
    assert_eq!(app.provider.taken().len(), 1);
    assert!(app.provider.taken()[0].to == eleven, "only the sender is answered");
}

async fn tns_are_picked_as_before(store: &SnapshotStore) {
    let (app, strict) = (service(store, false), service(store, true));
    let [eleven, twelve] = [11, 12].map(number);
    for (tn, words) in [(full(), "as many sessions as it may"), (draining(), "draining")] {
        let refused = open(&app, [&number(20), &number(21)], Some(tn), None).await;
        refused.assert_error(400, "tn_unavailable");
        assert!(refused.body.contains(words), "{refused:?}");
    }
    let cooling = open(&strict, [&eleven, &number(22)], None, None).await;
    cooling.assert_error(400, "no_tn_available");
    let on_third = json!(third());
    assert_eq!(opened(&strict, [&twelve, &eleven], None).await["virtual_tn"], on_third, "the same two");
    assert_eq!(opened(&app, [&number(20), &number(21)], None).await["virtual_tn"], on_third);
    assert_eq!(opened(&app, [&number(22), &number(23)], None).await["virtual_tn"], on_third);
    open(&app, [&number(24), &number(25)], None, None).await.assert_error(400, "no_tn_available");
    drain(&app, &draining(), false).await;
    for n in [24, 26] {
        let session = opened(&app, [&number(n), &number(n + 1)], None).await;
        assert_eq!(session["virtual_tn"], json!(draining()));
    }
    open(&app, [&number(28), &number(29)], None, None).await.assert_error(400, "no_tn_available");
    let list = app.call("GET", &format!("/session?virtual_tn={}", full()), None).await.json();
    app.end_session(&json!({"session_id": list["sessions"][0]["id"]})).await;
    let session = opened(&app, [&number(28), &number(29)], None).await;
    assert_eq!(session["virtual_tn"], json!(full()));
}
