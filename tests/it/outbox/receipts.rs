//! Delivery receipts (docs/flowroute.md#receipts).

use axum::http::Request;
use serde_json::{Value, json};
use test_support::{ALICE, Answer, App, BOB, Backend, Outcome, TN, on_each_backend};

on_each_backend! {
    the_final_state_of_a_message_is_kept_with_it_whatever_came_before_or_after
    a_receipt_without_a_level_or_with_another_is_taken
    a_receipt_that_says_that_the_recipient_has_opted_out_stops_further_texts
    a_repeated_receipt_opts_nobody_out_again
    a_receipt_with_our_id_settles_an_unknown_message
    a_receipt_of_an_unknown_message_is_accepted_and_ignored
    of_a_receipt_only_what_can_be_one_is_kept
    of_a_receipt_with_other_words_or_numbers_only_the_meaning_is_kept
    receipts_in_other_words_replace_each_other_by_their_meaning
}

fn receipt(provider_id: &str, level: impl Into<Value>, status: &str, code: &Value) -> Value {
    json!({"data": {"type": "delivery_receipt", "id": provider_id, "attributes": {
        "body": "test sms", "level": level.into(), "status": status, "status_code": code,
        "status_code_description": "as scripted", "timestamp": "2017-12-21T16:44:35.00Z"
    }}})
}

async fn post(app: &App, message: Option<&Value>, receipt: &Value) -> Answer {
    let query = message.map(|id| format!("?m={}", id.as_str().unwrap())).unwrap_or_default();
    let request = Request::post(format!("/{query}")).header("content-type", "application/json");
    app.send(request.body(receipt.to_string().into()).unwrap()).await
}

async fn the_final_state_of_a_message_is_kept_with_it_whatever_came_before_or_after(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    app.text(ALICE, TN, "hi").await;
    let message = app.messages(&session).await[2].clone();
    assert_eq!(message["delivery"], Value::Null);
    let provider_id = message["provider_id"].as_str().unwrap();
    for (level, status, code) in [
        (1, "smsc submit", Value::Null),
        (2, "message buffered", json!("1003")),
        (2, "delivered", json!(1004)),
        (2, "message buffered", json!("1003")),
        (2, "again", json!(1)),
        (1, "late", json!(1)),
    ] {
        assert_eq!(post(&app, None, &receipt(provider_id, level, status, &code)).await.status, 200);
    }
    let message = app.messages(&session).await[2].clone();
    let delivery = json!({"status": "delivered", "code": "1004", "date": "2017-12-21 16:44:35"});
    assert_eq!((&message["delivery"], &message["state"]), (&delivery, &json!("sent")));
}

async fn a_receipt_with_our_id_settles_an_unknown_message(backend: Backend) {
    for outcome in [Outcome::SentNoResponse, Outcome::LostNoResponse, Outcome::Busy] {
        let app = backend.app().await;
        let session = app.conversation(None).await;
        app.provider.always(outcome);
        app.text(ALICE, TN, "hi").await;
        app.provider.always(Outcome::Sent);
        let id = app.messages(&session).await[2]["id"].clone();
        assert_eq!(
            post(&app, Some(&id), &receipt("mdr2-1", 1, "smsc submit", &Value::Null)).await.status,
            200
        );
        let message = app.messages(&session).await[2].clone();
        assert_eq!((&message["state"], &message["provider_id"]), (&json!("sent"), &json!("mdr2-1")));
        app.settle_everything().await;
        assert_eq!(app.provider.asked(), 1);
    }
}

async fn a_receipt_of_an_unknown_message_is_accepted_and_ignored(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    app.text(ALICE, TN, "hi").await;
    let before = app.messages(&session).await;
    for message in [None, Some(json!("0".repeat(32))), Some(json!("x"))] {
        let receipt = receipt("mdr2-unknown", 2, "delivered", &Value::Null);
        assert_eq!(post(&app, message.as_ref(), &receipt).await.status, 200);
    }
    assert_eq!(app.messages(&session).await, before);
}

async fn of_a_receipt_only_what_can_be_one_is_kept(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    app.text(ALICE, TN, "hi").await;
    let message = app.messages(&session).await[2].clone();
    let provider_id = message["provider_id"].as_str().unwrap();
    assert_eq!(post(&app, None, &receipt(provider_id, 2, " ", &json!(""))).await.status, 200);
    assert_eq!(app.messages(&session).await[2], message);
    let long = receipt(provider_id, 1, &"long ".repeat(1000), &Value::Null);
    assert_eq!(post(&app, None, &long).await.status, 200);
    let status = app.messages(&session).await[2]["delivery"]["status"].clone();
    assert_eq!(status, "other");
}

async fn of_a_receipt_with_other_words_or_numbers_only_the_meaning_is_kept(backend: Backend) {
    let app = backend.app().await;
    for (status, code, kept) in [
        (json!("delivered"), json!("1004"), json!(["delivered", "1004"])),
        (json!("Message Buffered"), json!(1003), json!(["Message Buffered", "1003"])),
        (json!("smsc_submit"), json!(99_999), json!(["smsc_submit", "99999"])),
        (json!("hi is DELIVERED now"), json!("2065551221"), json!(["delivered", null])),
        (json!("failed: hi"), json!(206_555), json!(["failed", null])),
        (json!("rejected_by_12065551213"), json!("１００４"), json!(["failed", null])),
        (json!("pending-hi"), json!("10 04"), json!(["pending", null])),
        (json!(2_065_551_221_u64), json!("-1004"), json!(["other", null])),
        (json!("HI"), json!(null), json!(["other", null])),
        (json!(""), json!("1007"), json!(["", "1007"])),
    ] {
        let tn = test_support::fresh_number();
        app.add_tn(&tn).await;
        let [a, b] = [test_support::fresh_number(), test_support::fresh_number()];
        let session = app.open_session(&a, &b, None).await;
        let start = app.messages(&session).await[0].clone();
        let mut receipt = receipt(start["provider_id"].as_str().unwrap(), 12_065_551_213_i64, "", &code);
        receipt["data"]["attributes"]["status"] = status.clone();
        // A phone number, read as a time, is later than now.
        receipt["data"]["attributes"]["timestamp"] = json!(2_065_551_213_u64);
        assert_eq!(post(&app, None, &receipt).await.status, 200);
        let delivery = app.messages(&session).await[0]["delivery"].clone();
        assert_eq!(json!([delivery["status"], delivery["code"]]), kept, "{status} {code}");
        assert_eq!(delivery["date"], Value::Null);
    }
}

async fn receipts_in_other_words_replace_each_other_by_their_meaning(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    app.text(ALICE, TN, "hi").await;
    let provider_id = app.messages(&session).await[2]["provider_id"].as_str().unwrap().to_owned();
    for (status, kept) in [
        ("what?", "other"),
        ("still pending at the carrier", "pending"),
        ("what?", "pending"),
        ("was rejected by the carrier", "failed"),
        ("still pending at the carrier", "failed"),
    ] {
        assert_eq!(post(&app, None, &receipt(&provider_id, 2, status, &Value::Null)).await.status, 200);
        assert_eq!(app.messages(&session).await[2]["delivery"]["status"], kept, "{status}");
    }
}

async fn a_receipt_without_a_level_or_with_another_is_taken(backend: Backend) {
    for level in [json!(null), json!(0), json!(3), json!("2"), json!("two"), json!([2])] {
        let app = backend.app().await;
        let session = app.conversation(None).await;
        app.text(ALICE, TN, "hi").await;
        let provider_id = app.messages(&session).await[2]["provider_id"].clone();
        let receipt = receipt(provider_id.as_str().unwrap(), level.clone(), "failed", &json!("1007"));
        assert_eq!(post(&app, None, &receipt).await.status, 200);
        assert_eq!(app.messages(&session).await[2]["delivery"]["code"], "1007", "{level}");
    }
}

async fn a_receipt_that_says_that_the_recipient_has_opted_out_stops_further_texts(backend: Backend) {
    for code in [json!("1110"), json!(1110), json!(" 1110 ")] {
        let app = backend.app().await;
        let session = app.conversation(None).await;
        app.text(ALICE, TN, "hi").await;
        let provider_id = app.messages(&session).await[2]["provider_id"].clone();
        let receipt = receipt(provider_id.as_str().unwrap(), 2, "failed", &code);
        assert_eq!(post(&app, None, &receipt).await.status, 200);
        let asked = app.provider.asked();
        app.text(ALICE, TN, "are you there?").await;
        assert_eq!(app.provider.asked(), asked);
        let messages = app.messages(&session).await;
        let failed: Vec<_> = messages.iter().filter(|message| message["state"] == "failed").collect();
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0]["reason"], "the recipient has opted out of this number (STOP)");
    }
}

async fn a_repeated_receipt_opts_nobody_out_again(backend: Backend) {
    // Flowroute's stamps have no digits of a second, or six.
    for stamp in ["2026-11-26T10:00:00Z", "2026-11-26T10:00:00.123456Z", "2026-11-26T10:00:00.000001Z"] {
        let app = backend.app().await;
        let session = app.conversation(None).await;
        app.text(ALICE, TN, "hi").await;
        let provider_id = app.messages(&session).await[2]["provider_id"].clone();
        let mut receipt = receipt(provider_id.as_str().unwrap(), 2, "failed", &json!(1110));
        receipt["data"]["attributes"]["timestamp"] = stamp.into();
        assert_eq!(post(&app, None, &receipt).await.status, 200);
        app.text(BOB, TN, "UNSTOP").await;
        for _ in 0..2 {
            assert_eq!(post(&app, None, &receipt).await.status, 200);
        }
        app.provider.clear();
        app.text(ALICE, TN, "are you there?").await;
        assert_eq!(app.provider.taken_by(), [(BOB.to_owned(), "are you there?".to_owned())], "{stamp}");
    }
}
