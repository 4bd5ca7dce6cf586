//! `POST /session` with an `Idempotency-Key`.

use axum::{body::Body, http::Request};
use chrono::TimeDelta;
use serde_json::{Value, json};
use std::sync::Arc;
use test_support::{ALICE, Answer, App, BOB, Backend, EVE, Outcome, TN, number, on_each_backend, unpaced};
use tokio::task::JoinSet;

on_each_backend! {
    a_request_that_is_repeated_gets_the_same_answer_and_sends_nothing
    a_key_with_another_body_is_refused
    a_request_that_was_refused_may_be_repeated_with_its_key
    a_key_is_one_to_255_visible_characters
    the_answer_stays_the_same_after_the_expiry_was_changed
}

on_each_backend! { slow, with 4 threads:
    requests_that_arrive_at_once_open_one_session_with_two_start_messages
}

async fn open(app: &App, keys: &[&str], body: &Value) -> Answer {
    let mut request =
        Request::builder().method("POST").uri("/session").header("content-type", "application/json");
    for key in keys {
        request = request.header("Idempotency-Key", *key);
    }
    app.send(request.body(Body::from(body.to_string())).unwrap()).await
}

fn pair() -> Value {
    json!({"participant_a": ALICE, "participant_b": BOB, "expiry_window": 10})
}

async fn with_pool(backend: Backend) -> App {
    let app = backend.app().await;
    for n in 0..5 {
        app.add_tn(&number(n)).await;
    }
    app
}

async fn a_request_that_is_repeated_gets_the_same_answer_and_sends_nothing(backend: Backend) {
    let app = with_pool(backend).await;
    let first = open(&app, &["8e03978e-40d5-43dd-bc93-6894a57f9324"], &pair()).await;
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(app.provider.asked(), 2);
    let elsewhere = app.beside(Arc::clone(&app.store), unpaced());
    // The same request, written in another way.
    let same = json!({"expiry_window": 10, "virtual_tn": null, "participant_b": format!("+{BOB}"),
        "participant_a": ALICE.parse::<u64>().unwrap()});
    for (app, body) in [(&app, pair()), (&elsewhere, pair()), (&elsewhere, same)] {
        let again = open(app, &["8e03978e-40d5-43dd-bc93-6894a57f9324"], &body).await;
        assert_eq!((again.status, &again.body), (200, &first.body));
    }
    assert_eq!(app.provider.asked(), 2);
    assert_eq!(app.call("GET", "/session", None).await.json()["total_sessions"], 1);
    app.end_session(&first.json()).await;
    let asked = app.provider.asked();
    let again = open(&app, &["8e03978e-40d5-43dd-bc93-6894a57f9324"], &pair()).await;
    assert_eq!((again.status, &again.body, app.provider.asked()), (200, &first.body, asked));
}

async fn requests_that_arrive_at_once_open_one_session_with_two_start_messages(backend: Backend) {
    let app = with_pool(backend).await;
    let elsewhere = app.beside(Arc::clone(&app.store), unpaced());
    for round in 0..20 {
        app.provider.clear();
        let mut calls = JoinSet::new();
        for n in 0..30 {
            let app = if n % 2 == 0 { app.clone() } else { elsewhere.clone() };
            calls.spawn(async move { open(&app, &[&format!("round-{round}")], &pair()).await });
        }
        let answers = calls.join_all().await;
        for answer in &answers {
            assert_eq!((answer.status, &answer.body), (200, &answers[0].body));
        }
        assert_eq!(app.call("GET", "/session", None).await.json()["total_sessions"], 1);
        let told: Vec<String> = app.provider.taken_by().into_iter().map(|(to, _)| to).collect();
        assert_eq!(told, [ALICE, BOB]);
        app.end_session(&answers[0].json()).await;
    }
}

async fn the_answer_stays_the_same_after_the_expiry_was_changed(backend: Backend) {
    let app = with_pool(backend).await;
    let first = open(&app, &["key"], &pair()).await;
    let path = format!("/session/{}", first.json()["session_id"].as_str().unwrap());
    for window in [json!(30), Value::Null] {
        app.clock.advance(TimeDelta::minutes(1));
        assert_eq!(app.call("PATCH", &path, Some(json!({"expiry_window": window}))).await.status, 200);
        let again = open(&app, &["key"], &pair()).await;
        assert_eq!((again.status, &again.body), (200, &first.body));
    }
    assert_eq!(app.call("GET", &path, None).await.json()["expiry_date"], Value::Null);
}

async fn a_key_with_another_body_is_refused(backend: Backend) {
    let app = with_pool(backend).await;
    assert_eq!(open(&app, &["key"], &pair()).await.status, 200);
    let asked = app.provider.asked();
    for other in [
        json!({"participant_a": ALICE, "participant_b": EVE, "expiry_window": 10}),
        json!({"participant_a": ALICE, "participant_b": BOB}),
        json!({"participant_a": ALICE, "participant_b": BOB, "expiry_window": 10, "virtual_tn": number(1)}),
    ] {
        open(&app, &["key"], &other).await.assert_error(422, "idempotency_key_reused");
    }
    assert_eq!(app.provider.asked(), asked);
}

async fn a_request_that_was_refused_may_be_repeated_with_its_key(backend: Backend) {
    let app = backend.app().await;
    open(&app, &["key"], &pair()).await.assert_error(400, "no_tn_available");
    app.add_tn(TN).await;
    app.provider.always(Outcome::Refused);
    open(&app, &["key"], &pair()).await.assert_error(502, "provider_rejected");
    app.provider.always(Outcome::Sent);
    app.provider.clear();
    assert_eq!(open(&app, &["key"], &pair()).await.status, 200);
    assert_eq!(app.provider.taken().len(), 2);
}

async fn a_key_is_one_to_255_visible_characters(backend: Backend) {
    let app = with_pool(backend).await;
    let longest = "k".repeat(255);
    for (n, good) in ["k", "\"8e03978e\"", "a/b+c=~", &longest].into_iter().enumerate() {
        let n = u32::try_from(n).unwrap();
        let pair = json!({"participant_a": number(100 + 2 * n), "participant_b": number(101 + 2 * n)});
        assert_eq!(open(&app, &[good], &pair).await.status, 200, "{good}");
    }
    let too_long = "k".repeat(256);
    for bad in [&[""][..], &["a b"], &["ä"], &["a\tb"], &[&too_long], &["a", "a"], &["a", "b"]] {
        open(&app, bad, &pair()).await.assert_error(400, "invalid_idempotency_key");
    }
    assert_eq!(app.call("GET", "/session", None).await.json()["total_sessions"], 4);
}
