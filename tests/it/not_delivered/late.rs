//! Texts that are not relayed because they were sent in an earlier session.

use super::{notices, refused, told_next};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use test_support::{ALICE, Answer, App, BOB, Backend, EVE, TN, fresh_id, on_each_backend};

on_each_backend! {
    the_sender_of_a_text_for_an_earlier_session_is_told
    a_text_that_is_posted_again_tells_its_sender_once
    a_sender_who_has_opted_out_is_not_told_of_a_late_text
}

fn text_at(id: &str, from: &str, time: DateTime<Utc>) -> Value {
    let attributes =
        json!({"from": from, "to": TN, "body": "where are you?", "timestamp": time.to_rfc3339()});
    json!({"data": {"id": id, "type": "message", "attributes": attributes}})
}

async fn late(app: &App, id: &str, from: &str, end: DateTime<Utc>) -> Answer {
    app.post(text_at(id, from, end - TimeDelta::seconds(1))).await
}

/// A session of Alice and Bob that has ended, and one of Alice and Eve on the same TN; when the first ended.
async fn next_session(app: &App) -> (Value, DateTime<Utc>) {
    let first = app.conversation(None).await;
    app.clock.advance(TimeDelta::seconds(60));
    let end = app.clock.now();
    app.end_session(&first).await;
    app.clock.advance(TimeDelta::seconds(1));
    let next = app.open_session(ALICE, EVE, None).await;
    assert_eq!(next["virtual_tn"], TN);
    app.clock.advance(TimeDelta::seconds(1));
    app.provider.clear();
    (next, end)
}

async fn the_sender_of_a_text_for_an_earlier_session_is_told(backend: Backend) {
    let app = backend.app().await;
    let (next, end) = next_session(&app).await;
    for expected in [1, 0, 0] {
        assert_eq!(late(&app, &fresh_id(), ALICE, end).await.status, 200);
        app.maintain().await;
        assert_eq!(app.provider.taken().len(), expected, "it is relayed to nobody");
        assert_eq!(told_next(&app).await, vec![ALICE; expected]);
    }
    refused(&app, ALICE, TN).await;
    assert_eq!(told_next(&app).await, [""; 0], "the hour is one for all texts of a session");
    refused(&app, EVE, TN).await;
    assert_eq!(told_next(&app).await, [EVE]);
    app.clock.advance(TimeDelta::hours(1));
    late(&app, &fresh_id(), ALICE, end).await;
    assert_eq!(told_next(&app).await, [ALICE]);
    assert_eq!(app.relays(&next).await, ["failed", "failed"], "no late text is stored");
    // A stranger is answered as ever.
    late(&app, &fresh_id(), BOB, end).await;
    assert!(app.provider.bodies()[0].contains("An active session was not found"));
}

async fn a_text_that_is_posted_again_tells_its_sender_once(backend: Backend) {
    let app = backend.app().await;
    let (next, end) = next_session(&app).await;
    let id = fresh_id();
    for _ in 0..5 {
        assert_eq!(late(&app, &id, ALICE, end).await.status, 200);
        app.clock.advance(TimeDelta::seconds(30));
    }
    assert_eq!(told_next(&app).await, [ALICE]);
    assert_eq!(notices(&app, &next).await.len(), 1);
}

async fn a_sender_who_has_opted_out_is_not_told_of_a_late_text(backend: Backend) {
    let app = backend.app().await;
    let (next, end) = next_session(&app).await;
    app.text(ALICE, TN, "STOP").await;
    late(&app, &fresh_id(), ALICE, end).await;
    assert_eq!(told_next(&app).await, [""; 0]);
    assert_eq!(notices(&app, &next).await, [[""; 2]; 0]);
}
