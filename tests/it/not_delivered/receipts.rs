//! Delivery receipts that say that a text was not delivered.

use super::{notices, refused, told, told_next};
use axum::http::Request;
use chrono::TimeDelta;
use serde_json::{Value, json};
use test_support::{ALICE, App, BOB, Backend, EVE, Outcome, TN, on_each_backend};

on_each_backend! {
    a_receipt_of_anything_else_tells_nobody
    a_message_is_told_of_once_whatever_its_receipts_say
    the_receipt_that_is_kept_decides
    a_receipt_settles_an_unknown_text_and_tells_its_sender
    a_receipt_of_a_notice_tells_nobody
    a_receipt_after_the_session_tells_nobody
}

on_each_backend! { slow:
    a_receipt_that_a_text_was_not_delivered_tells_its_sender
}

/// A receipt as Flowroute posts it, this many seconds after the epoch of all receipts here.
async fn receipt(app: &App, message: &Value, by_our_id: bool, status: &str, code: Value, second: u32) {
    let receipt = json!({"data": {"type": "delivery_receipt", "id": message["provider_id"], "attributes": {
        "level": 2, "status": status, "status_code": code, "timestamp": format!("2026-11-26T10:00:{second:02}Z")
    }}});
    let query = if by_our_id { format!("?m={}", message["id"].as_str().unwrap()) } else { String::new() };
    let request = Request::post(format!("/{query}")).header("content-type", "application/json");
    assert_eq!(app.send(request.body(receipt.to_string().into()).unwrap()).await.status, 200);
}

/// A text of this sender that was sent; its message.
async fn sent(app: &App, session: &Value, from: &str) -> Value {
    app.text(from, TN, "hi").await;
    app.provider.clear();
    app.clock.advance(TimeDelta::milliseconds(1));
    app.messages(session).await.into_iter().rfind(|message| message["kind"] == "relay").unwrap()
}

async fn a_receipt_that_a_text_was_not_delivered_tells_its_sender(backend: Backend) {
    let failures = [
        ("failed", json!("1007")),
        ("rejected", json!(1005)),
        ("expired", json!(null)),
        ("undelivered", json!(null)),
        ("not delivered", json!(null)),
        ("delivery failure", json!(1200)),
        ("smsc reject", json!(null)),
        ("FAILED", json!("")),
        ("whatever", json!("1008")),
        ("", json!(1150)),
        ("message buffered", json!(1201)),
        ("failed", json!(1110)),
    ];
    for by_our_id in [false, true] {
        let app = backend.app().await;
        let session = app.conversation(None).await;
        for (sender, (status, code)) in [ALICE, BOB].into_iter().cycle().zip(failures.clone()) {
            app.clock.advance(TimeDelta::minutes(61));
            let message = sent(&app, &session, sender).await;
            receipt(&app, &message, by_our_id, status, code.clone(), 1).await;
            assert_eq!(told_next(&app).await, [sender], "{status} {code} {by_our_id}");
        }
    }
}

async fn a_receipt_of_anything_else_tells_nobody(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    for (status, code) in [
        ("delivered", json!(1004)),
        ("delivered", json!(null)),
        ("smsc submit", json!(null)),
        ("message buffered", json!("1003")),
        ("queued", json!(1210)),
        ("unknown", json!(1000)),
        ("", json!(null)),
        ("whatever", json!(1)),
    ] {
        for by_our_id in [false, true] {
            let message = sent(&app, &session, ALICE).await;
            receipt(&app, &message, by_our_id, status, code.clone(), 1).await;
        }
    }
    assert_eq!(told_next(&app).await, [""; 0]);
    assert_eq!(notices(&app, &session).await, [[""; 2]; 0]);
}

async fn a_message_is_told_of_once_whatever_its_receipts_say(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    let message = sent(&app, &session, ALICE).await;
    receipt(&app, &message, false, "failed", json!(1007), 1).await;
    assert_eq!(told_next(&app).await, [ALICE]);
    for (second, code) in [(1, 1007), (2, 1008), (3, 1005)] {
        app.clock.advance(TimeDelta::hours(2));
        receipt(&app, &message, second == 3, "failed", json!(code), second).await;
        assert_eq!(told_next(&app).await, [""; 0]);
    }
    refused(&app, ALICE, TN).await;
    assert_eq!(told_next(&app).await, [ALICE]);
    app.clock.advance(TimeDelta::hours(2));
    let failed =
        app.messages(&session).await.into_iter().find(|message| message["state"] == "failed").unwrap();
    receipt(&app, &failed, true, "failed", json!(1007), 5).await;
    assert_eq!(told_next(&app).await, [""; 0], "the sender was told when it was refused");
}

async fn the_receipt_that_is_kept_decides(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    // Delivered, and an earlier failure that is late; a failure after it replaces it.
    let message = sent(&app, &session, ALICE).await;
    receipt(&app, &message, false, "delivered", json!(1004), 5).await;
    receipt(&app, &message, false, "failed", json!(1007), 4).await;
    assert_eq!(told_next(&app).await, [""; 0]);
    receipt(&app, &message, false, "failed", json!(1007), 6).await;
    assert_eq!(told_next(&app).await, [ALICE]);
    // A failure that turns out to be none was told of.
    let message = sent(&app, &session, BOB).await;
    receipt(&app, &message, false, "failed", json!(1007), 1).await;
    receipt(&app, &message, false, "delivered", json!(1004), 2).await;
    assert_eq!(told_next(&app).await, [BOB]);
    let kept = app.messages(&session).await.into_iter().find(|known| known["id"] == message["id"]).unwrap();
    assert_eq!(kept["delivery"]["status"], "delivered");
}

async fn a_receipt_settles_an_unknown_text_and_tells_its_sender(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    for (sender, outcome) in [(ALICE, Outcome::SentNoResponse), (BOB, Outcome::LostNoResponse)] {
        app.provider.always(outcome);
        app.text(sender, TN, "hi").await;
        app.provider.always(Outcome::Sent);
        let messages = app.messages(&session).await;
        let mut message = messages.into_iter().find(|message| message["state"] == "unknown").unwrap();
        message["provider_id"] = json!("mdr2-1");
        receipt(&app, &message, true, "failed", json!(1007), 1).await;
        assert_eq!(told_next(&app).await, [sender]);
    }
    assert_eq!(app.relays(&session).await, ["sent", "sent"]);
}

async fn a_receipt_of_a_notice_tells_nobody(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    refused(&app, ALICE, TN).await;
    assert_eq!(told_next(&app).await, [ALICE]);
    app.text(EVE, TN, "who are you?").await;
    app.clock.advance(TimeDelta::hours(2));
    for message in app.messages(&session).await {
        if message["kind"] != "relay" {
            receipt(&app, &message, true, "failed", json!(1007), 1).await;
        }
    }
    assert_eq!(told_next(&app).await, [""; 0]);
    app.end_session(&session).await;
    for message in app.messages(&session).await {
        receipt(&app, &message, true, "failed", json!(1008), 2).await;
    }
    app.maintain().await;
    assert_eq!(told(&app), [""; 0]);
}

async fn a_receipt_after_the_session_tells_nobody(backend: Backend) {
    for (minutes, by_our_id) in [(None, true), (None, false), (Some(5), true), (Some(5), false)] {
        let app = backend.app().await;
        let session = app.conversation(minutes).await;
        let message = sent(&app, &session, ALICE).await;
        match minutes {
            Some(_) => app.clock.advance(TimeDelta::minutes(5)),
            None => app.end_session(&session).await,
        }
        receipt(&app, &message, by_our_id, "failed", json!(1007), 1).await;
        if minutes.is_none() {
            // The next session of the two is none of this text's.
            app.open_session(ALICE, BOB, None).await;
            receipt(&app, &message, by_our_id, "failed", json!(1008), 2).await;
        }
        assert_eq!(told_next(&app).await, [""; 0]);
        assert_eq!(notices(&app, &session).await, [[""; 2]; 0]);
    }
}
