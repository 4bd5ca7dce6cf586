//! Texts that fail at the same moment, and calls to the store that go wrong meanwhile.

use super::{notices, told_next};
use crate::{contract::fixtures::concurrently, store_faults::LASTING};
use axum::http::Request;
use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::time::Duration;
use test_support::{
    ALICE, App, BOB, Backend, EVE, NOT_DELIVERED, Outcome, TN,
    fault_proxy::{Fault, FaultProxy, WRITES},
    flat, fresh_id, on_each_backend, without_timeouts,
};

on_each_backend! { slow, with 4 threads:
    of_many_texts_that_fail_at_once_one_is_told_of
    of_many_late_texts_and_receipts_at_once_one_is_told_of
    a_failure_and_the_end_of_the_session_at_once_tell_nobody_afterwards
}

const AT_ONCE: usize = 16;

/// Posts these at once; each must be answered with 200.
async fn post_all(app: &App, requests: Vec<(String, Value)>) {
    let posts = requests.into_iter().map(|(path, body)| {
        let app = app.clone();
        async move {
            let request = Request::post(path).header("content-type", "application/json");
            app.send(request.body(body.to_string().into()).unwrap()).await.status
        }
    });
    assert_eq!(concurrently(posts).await, [200; AT_ONCE]);
}

fn text(from: &str) -> (String, Value) {
    ("/".into(), flat(&fresh_id(), from, TN, "hi"))
}

async fn of_many_texts_that_fail_at_once_one_is_told_of(backend: Backend) {
    let app = backend.app_with(without_timeouts()).await;
    let session = app.conversation(None).await;
    for round in 0..20 {
        app.clock.advance(TimeDelta::hours(1));
        app.provider.always(Outcome::Refused);
        let senders = [ALICE, BOB].into_iter().cycle().take(AT_ONCE);
        post_all(&app, senders.map(text).collect()).await;
        app.provider.always(Outcome::Sent);
        let mut told = told_next(&app).await;
        told.sort();
        assert_eq!(told, [ALICE, BOB], "round {round}");
    }
    assert_eq!(app.relays(&session).await, vec!["failed"; AT_ONCE * 20]);
}

async fn of_many_late_texts_and_receipts_at_once_one_is_told_of(backend: Backend) {
    let app = backend.app_with(without_timeouts()).await;
    let first = app.conversation(None).await;
    app.clock.advance(TimeDelta::seconds(60));
    let end = app.clock.now();
    app.end_session(&first).await;
    app.clock.advance(TimeDelta::seconds(60));
    let session = app.open_session(ALICE, EVE, None).await;
    for round in 0..10 {
        app.clock.advance(TimeDelta::hours(1));
        let mut posts = Vec::new();
        for _ in 0..AT_ONCE / 2 {
            let id = fresh_id();
            let attributes = json!({"from": ALICE, "to": TN, "body": "late", "timestamp": (end - TimeDelta::seconds(1)).to_rfc3339()});
            posts.push((
                "/".to_owned(),
                json!({"data": {"id": id, "type": "message", "attributes": attributes}}),
            ));
            app.text(ALICE, TN, "hi").await;
        }
        let messages = app.messages(&session).await;
        for message in messages.iter().filter(|message| message["delivery"].is_null()) {
            if message["kind"] == "relay" {
                let attributes = json!({"level": 2, "status": "failed", "status_code": "1007"});
                let receipt = json!({"data": {"type": "delivery_receipt", "id": message["provider_id"], "attributes": attributes}});
                posts.push((format!("/?m={}", message["id"].as_str().unwrap()), receipt));
            }
        }
        app.provider.clear();
        post_all(&app, posts).await;
        assert_eq!(told_next(&app).await, [ALICE], "round {round}");
    }
}

async fn a_failure_and_the_end_of_the_session_at_once_tell_nobody_afterwards(backend: Backend) {
    let app = backend.app_with(without_timeouts()).await;
    app.add_tn(TN).await;
    for round in 0..10 {
        let session = app.open_session(ALICE, BOB, None).await;
        app.provider.always(Outcome::Refused);
        let posting = concurrently((0..AT_ONCE).map(|_| {
            let app = app.clone();
            async move { app.post(text(ALICE).1).await.status }
        }));
        let ((), statuses) = tokio::join!(app.end_session(&session), posting);
        assert_eq!(statuses, [200; AT_ONCE]);
        app.provider.always(Outcome::Sent);
        let later = app.open_session(ALICE, BOB, None).await;
        assert_eq!(told_next(&app).await, [""; 0], "round {round}");
        for [to, state] in notices(&app, &session).await {
            assert_eq!([to.as_str(), state.as_str()], ["participant_a", "cancelled"], "round {round}");
        }
        assert_eq!(notices(&app, &later).await, [[""; 2]; 0]);
        app.end_session(&later).await;
    }
}

/// How a write may go wrong a few times.
const FOR_A_MOMENT: [(Fault, u32); 8] = [
    (Fault::ConnectionCut, 4),
    (Fault::ServerError, 4),
    (Fault::THROTTLED, 4),
    (Fault::PartThrottled, 4),
    (Fault::Conflict, 4),
    (Fault::ResponseLost, 1),
    (Fault::ResponseLost, 4),
    (Fault::AppliedServerError, 4),
];

/// The text is refused while writes go wrong, for a moment or until `ends`; afterwards its sender was told once.
async fn is_told_once(fault: Fault, times: u32) {
    let (table, proxy) = FaultProxy::table().await;
    let troubled = App::on(table.store(Duration::from_secs(1)), without_timeouts());
    let well = troubled.beside(table.at_the_engine().store(Duration::from_secs(60)), without_timeouts());
    let session = well.conversation(None).await;
    let script = proxy.clone();
    well.provider.script(move |message| {
        if message.text.content.body == "hi" {
            script.fail(WRITES, fault, times);
            return Outcome::Refused;
        }
        Outcome::Sent
    });
    assert_eq!(troubled.post(flat(&fresh_id(), ALICE, TN, "hi")).await.status, 200, "{fault:?}");
    proxy.recover();
    proxy.late_calls_applied().await;
    // A refusal that could not be stored is looked up, and the text is refused again.
    well.provider.script(|message| match message.text.content.body.as_str() {
        "hi" => Outcome::Refused,
        _ => Outcome::Sent,
    });
    well.settle_everything().await;
    let told = well.provider.taken_by();
    assert_eq!(told, [(ALICE.to_owned(), NOT_DELIVERED.to_owned())], "{fault:?} {times}");
    assert_eq!(well.relays(&session).await, ["failed"], "{fault:?} {times}");
    assert_eq!(notices(&well, &session).await, [["participant_a", "sent"]], "{fault:?} {times}");
}

#[tokio::test]
async fn a_sender_is_told_once_although_the_store_fails_for_a_moment() {
    join_all(FOR_A_MOMENT.map(|(fault, times)| is_told_once(fault, times))).await;
}

#[tokio::test]
async fn a_sender_is_told_once_although_the_store_fails_for_long() {
    join_all(LASTING.map(|fault| is_told_once(fault, u32::MAX))).await;
}
