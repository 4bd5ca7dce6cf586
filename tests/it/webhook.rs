//! `POST /`, with documented and logged payloads of Flowroute (`docs/flowroute.md#webhook`) and our numbers in them.

use axum::{body::Body, http::Request};
use chrono::TimeDelta;
use serde_json::{Value, json};
use test_support::{ALICE, App, BOB, EVE, SentText, TN, flat, fresh_id, fresh_number};

const NO_SESSION: &str =
    "[YOUR ORG NAME]: An active session was not found. Please contact support@yourorg.com";

/// A flat text, as documented.
const FLAT: &str = r#"{"to": "12062992129", "body": "Hello there from Flowroute!", "from": "12065551212", "id": "mdr1-febb118b9b034338adfc662a8c02fd88"}"#;
/// A flat text, as logged.
const FLAT_LOGGED: &str = r#"{"body": "open", "to": "12062992129", "from": "12065551212", "id": "mdr2-790f0c8cbf4f11e7a39f0e9698164806"}"#;
/// A text of version 2.1, logged in 2017.
const SMS_2017: &str = r#"{"data": {"attributes": {"amount_display": "$0.0040", "amount_nanodollars": "4000000", "body": "SMS Forward Test", "direction": "inbound", "from": "12065551212", "is_mms": false, "message_callback_url": "https://example.com/sms", "message_encoding": 0, "message_type": "longcode", "status": "delivered", "timestamp": "TIME", "to": "12062992129"}, "id": "mdr2-af84b158ee2b11e8b507c61432586dcyd", "type": "message"}}"#;
/// A text of version 2.1, logged in 2024.
const SMS_2024: &str = r#"{"data": {"attributes": {"amount_display": "$0.0070", "amount_nanodollars": "7000000", "body": "Greetings on Friday evening!", "direction": "inbound", "from": "12065551212", "is_mms": false, "message_callback_url": "https://example.com/smsconn/provider.php?provider=flowroute", "message_encoding": 0, "message_type": "longcode", "status": "delivered", "timestamp": "TIME", "to": "12062992129"}, "type": "message", "id": "mdr2-4e5435f325d9431f9e64118b20895b08"}}"#;
/// A text of version 2.1 with an unquoted number, logged in 2022.
const SMS_2022: &str = r#"{"data": {"attributes": {"amount_display": "$0.0040", "amount_nanodollars": "4000000", "body": "unquoted", "direction": "inbound", "from": "12065551212", "is_mms": false, "message_callback_url": "https://example.com/sms", "message_encoding": 0, "message_type": "longcode", "status": "delivered", "timestamp": "TIME", "to": 12062992129}, "id": "mdr2-af84b158ee2b11e8b507c61432586dce", "type": "message"}}"#;
/// A text of version 2.1 with a picture, logged in 2017.
const MMS_2017: &str = r#"{"included": [{"attributes": {"url": "https://mms-media-prod.s3.amazonaws.com/942549551265177600-IMG_0001.jpg?AWSAccessKeyId=X&Expires=1516148301&x-amz-security-token=X&Signature=X", "file_name": "IMG_0001.jpg", "mime_type": "image/jpeg", "file_size": 662315}, "type": "media", "id": "939305103458545664-IMG_0001.jpg", "links": {"self": "https://api.flowroute.com/v2.1/media/939305103458545664-IMG_0001.jpg"}}], "data": {"relationships": {"media": {"data": [{"type": "media", "id": "939305103458545664-IMG_0001.jpg"}]}}, "attributes": {"status": "", "body": "again message", "direction": "inbound", "amount_nanodollars": 9500000, "to": "12062992129", "message_encoding": 0, "timestamp": "TIME", "delivery_receipts": [], "amount_display": "$0.0095", "from": "12065551212", "is_mms": true, "message_type": "longcode"}, "type": "message", "id": "mdr2-ec9f7b30dc7f11e786688e76b030dee9"}}"#;
/// A picture of version 2.2 without a text, logged in 2022.
const MMS_2022: &str = r#"{"data": {"id": "mdr2-xxxxxxxxx", "type": "message", "attributes": {"amount_display": "$0.0195", "amount_nanodollars": 19500000, "body": null, "delivery_receipts": [], "direction": "inbound", "from": "12065551212", "is_mms": true, "message_encoding": 0, "message_type": "longcode", "status": "", "timestamp": "TIME", "to": "12062992129"}, "relationships": {"media": {"data": [{"id": "xxxxxxx-1", "type": "media"}]}}}, "included": [{"id": "xxxxxxxx-1", "type": "media", "attributes": {"file_name": "image000000.png", "file_size": 14832, "mime_type": "image/png", "url": "https://s3.us-west-2.amazonaws.com/flowroute-messaging-media/xxxxxxxxx"}, "links": {"self": "https://api.flowroute.com/v2.2/media/xxxxxxxx-1"}}]}"#;
/// A delivery receipt, made from the documented fields.
const RECEIPT: &str = r#"{"data": {"attributes": {"body": "test sms", "level": 2, "status": "message buffered", "status_code": "1003", "status_code_description": "Message accepted by Carrier", "timestamp": "2017-12-21T16:44:35.00Z"}, "id": "mdr2-39cadeace66e11e7aff806cd7f24ba2d", "links": {"related": "https://api.flowroute.com/v2.1/messages/mdr2-39cadeace66e11e7aff806cd7f24ba2d"}, "type": "delivery_receipt"}}"#;

/// All of them. `TIME` is to be replaced by the time of the text.
pub(super) const PAYLOADS: [&str; 8] =
    [FLAT, FLAT_LOGGED, SMS_2017, SMS_2024, SMS_2022, MMS_2017, MMS_2022, RECEIPT];

fn relayed(body: &str, media_urls: &[&str]) -> SentText {
    SentText {
        from: TN.into(),
        to: BOB.into(),
        body: body.into(),
        media_urls: media_urls.iter().map(ToString::to_string).collect(),
    }
}

fn message(body: Value, timestamp: &str) -> Value {
    json!({"data": {"id": fresh_id(), "type": "message", "attributes": {
        "from": ALICE, "to": TN, "body": body, "timestamp": timestamp
    }}})
}

#[tokio::test]
async fn every_logged_payload_is_relayed_unchanged() {
    let photo = "https://mms-media-prod.s3.amazonaws.com/942549551265177600-IMG_0001.jpg?AWSAccessKeyId=X&Expires=1516148301&x-amz-security-token=X&Signature=X";
    let image = "https://s3.us-west-2.amazonaws.com/flowroute-messaging-media/xxxxxxxxx";
    for (payload, fraction, expected) in [
        (FLAT, "", relayed("Hello there from Flowroute!", &[])),
        (FLAT_LOGGED, "", relayed("open", &[])),
        (SMS_2017, ".37", relayed("SMS Forward Test", &[])),
        (SMS_2024, ".980000", relayed("Greetings on Friday evening!", &[])),
        (SMS_2022, "", relayed("unquoted", &[])),
        (MMS_2017, ".00", relayed("again message", &[photo])),
        (MMS_2022, ".00", relayed("", &[image])),
    ] {
        let app = App::new();
        app.conversation(None).await;
        let time = app.clock.now().format(&format!("%Y-%m-%dT%H:%M:%S{fraction}Z")).to_string();
        let payload = payload.replace("TIME", &time);
        for _ in 0..2 {
            let answer = app.post(&payload).await;
            assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{payload}");
        }
        assert_eq!(app.provider.taken(), [expected], "{payload}");
    }
}

#[tokio::test]
async fn texts_are_relayed_in_both_directions() {
    let app = App::new();
    app.conversation(None).await;
    app.text(ALICE, TN, "ping").await;
    app.text(BOB, TN, "pong").await;
    assert_eq!(app.provider.taken()[0], relayed("ping", &[]));
    assert_eq!(app.provider.taken()[1], SentText { to: ALICE.into(), ..relayed("pong", &[]) });
}

#[tokio::test]
async fn a_text_is_relayed_unchanged() {
    let app = App::new();
    app.conversation(None).await;
    let long = "x".repeat(1000);
    for body in
        ["😀 naïve “quotes”\r\n\ttabs", " ", &long, "null", "\u{0}\u{7f}", "{\"a\": 1}", "👩‍👩‍👧", "stop it"]
    {
        app.provider.clear();
        app.text(ALICE, TN, body).await;
        assert_eq!(app.provider.taken(), [relayed(body, &[])]);
    }
}

#[tokio::test]
async fn half_an_emoji_becomes_the_replacement_character() {
    let app = App::new();
    app.conversation(None).await;
    let payload = r#"{"to": "12062992129", "from": "12065551212", "body": "cut \ud83d", "id": "a"}"#;
    assert_eq!(app.post(payload).await.status, 200);
    let payload = r#"{"to": "12062992129", "from": "12065551212", "body": "whole \ud83d\ude00", "id": "b"}"#;
    assert_eq!(app.post(payload).await.status, 200);
    let mut broken = br#"{"to": "12062992129", "from": "12065551212", "id": "c", "body": "byte "#.to_vec();
    broken.extend(b"\xff\"}");
    assert_eq!(app.send(Request::post("/").body(Body::from(broken)).unwrap()).await.status, 200);
    let bodies: Vec<String> = app.provider.taken().into_iter().map(|text| text.body).collect();
    assert_eq!(bodies, ["cut \u{FFFD}", "whole 😀", "byte \u{FFFD}"]);
}

#[tokio::test]
async fn numbers_may_be_integers_and_may_have_a_plus_and_fields_may_be_unknown() {
    let app = App::new();
    app.conversation(None).await;
    let number = |digits: &str| digits.parse::<u64>().unwrap();
    for (from, to) in
        [(json!(number(ALICE)), json!(number(TN))), (json!(format!("+{ALICE}")), json!(format!("+{TN}")))]
    {
        app.provider.clear();
        let payload = json!({"from": from, "to": to, "body": "hi", "id": fresh_id(), "new": {"field": [1]}});
        assert_eq!(app.post(&payload).await.status, 200);
        let attributes = json!({"from": from, "to": to, "body": "hi", "is_mms": "false", "surprise": null});
        let payload =
            json!({"data": {"type": "message", "id": fresh_id(), "attributes": attributes}, "more": 1});
        assert_eq!(app.post(&payload).await.status, 200);
        assert_eq!(app.provider.taken(), [relayed("hi", &[]), relayed("hi", &[])]);
    }
}

#[tokio::test]
async fn a_text_without_an_id_is_never_a_duplicate() {
    let app = App::new();
    app.conversation(None).await;
    for payload in [
        json!({"from": ALICE, "to": TN, "body": "hi"}),
        json!({"from": ALICE, "to": TN, "body": "hi", "id": null}),
        json!({"from": ALICE, "to": TN, "body": "hi", "id": ""}),
    ] {
        assert_eq!(app.post(&payload).await.status, 200);
    }
    assert_eq!(app.provider.taken().len(), 3);
}

#[tokio::test]
async fn the_same_id_is_relayed_once_in_either_shape() {
    let app = App::new();
    app.conversation(None).await;
    let id = fresh_id();
    let attributes = json!({"from": ALICE, "to": TN, "body": "hi"});
    for payload in [
        flat(&id, ALICE, TN, "hi"),
        json!({"data": {"type": "message", "id": id, "attributes": attributes}}),
        flat(&id, ALICE, TN, "something else"),
    ] {
        assert_eq!(app.post(&payload).await.status, 200);
    }
    assert_eq!(app.provider.taken(), [relayed("hi", &[])]);
}

#[tokio::test]
async fn a_sender_without_a_session_gets_the_no_session_answer() {
    let app = App::new();
    app.conversation(None).await;
    let free = fresh_number();
    app.add_tn(&free).await;
    app.text(EVE, TN, "let me in").await;
    app.text(ALICE, &free, "anybody?").await;
    let answer =
        |from: &str, to: &str| SentText { from: from.into(), to: to.into(), ..relayed(NO_SESSION, &[]) };
    assert_eq!(app.provider.taken(), [answer(TN, EVE), answer(&free, ALICE)]);
}

#[tokio::test]
async fn a_late_text_ends_the_session_and_is_not_relayed() {
    let app = App::new();
    app.conversation(Some(1)).await;
    app.clock.advance(TimeDelta::minutes(1));
    app.text(ALICE, TN, "too late").await;
    let expired = "[YOUR ORG NAME]: This session has expired.";
    assert_eq!(app.provider.taken_by(), [ALICE, BOB].map(|to| (to.to_owned(), expired.to_owned())));
    app.provider.clear();
    app.text(BOB, TN, "hello?").await;
    assert_eq!(app.provider.taken_by(), [(BOB.to_owned(), NO_SESSION.to_owned())]);
}

#[tokio::test]
async fn two_proxies_never_answer_each_other() {
    let app = App::new();
    app.conversation(None).await;
    let other = fresh_number();
    app.add_tn(&other).await;
    app.text(&other, TN, "echo").await;
    app.text(TN, TN, "echo").await;
    assert_eq!(app.provider.asked(), 0);
}

#[tokio::test]
async fn nothing_is_sent_for_foreign_or_unanswerable_numbers() {
    let app = App::new();
    app.conversation(None).await;
    app.text(ALICE, EVE, "wrong number").await;
    app.text(ALICE, "12345", "short code").await;
    for sender in ["72975", "+442071838750", "442071838750", "5551212", "22065551212"] {
        app.text(sender, TN, "hi").await;
    }
    assert_eq!(app.provider.asked(), 0);
}

#[tokio::test]
async fn nothing_is_sent_for_an_empty_text() {
    let app = App::new();
    app.conversation(None).await;
    app.text(ALICE, TN, "").await;
    assert_eq!(app.post(json!({"from": ALICE, "to": TN, "body": null, "id": fresh_id()})).await.status, 200);
    assert_eq!(app.post(message(Value::Null, "")).await.status, 200);
    assert_eq!(app.provider.asked(), 0);
}

#[tokio::test]
async fn receipts_and_other_types_are_accepted_and_send_nothing() {
    let app = App::new();
    app.conversation(None).await;
    for payload in [
        RECEIPT.to_owned(),
        json!({"data": {"type": "delivery_receipt"}}).to_string(),
        json!({"data": {"type": "fax", "id": "1", "attributes": {"from": ALICE, "to": TN, "body": "x"}}})
            .to_string(),
        json!({"data": {"type": 5}}).to_string(),
    ] {
        assert_eq!(app.post(&payload).await.status, 200, "{payload}");
    }
    assert_eq!(app.provider.asked(), 0);
}

#[tokio::test]
async fn an_unreadable_post_is_refused_and_missing_fields_are_named() {
    let app = App::new();
    app.conversation(None).await;
    for (payload, reason, name) in [
        (json!({"from": ALICE, "body": "x"}), "missing_field", "to"),
        (json!({"to": TN, "body": "x"}), "missing_field", "from"),
        (json!({"to": TN, "from": null, "body": "x"}), "missing_field", "from"),
        (json!({"to": TN, "from": ALICE}), "missing_field", "body"),
        (json!({"to": TN, "from": true, "body": "x"}), "invalid_number", "from"),
        (json!({"to": "", "from": ALICE, "body": "x"}), "invalid_number", "to"),
        (json!({"to": [], "from": ALICE, "body": "x"}), "invalid_number", "to"),
        (json!({"to": TN, "from": ALICE, "body": {"a": 1}}), "wrong_type", "body"),
        (json!({"data": {"type": "message"}}), "missing_field", "data.attributes"),
        (json!({"data": 5}), "wrong_type", "data"),
        (
            json!({"data": {"type": "message", "attributes": {"to": TN, "body": "x"}}}),
            "missing_field",
            "from",
        ),
        (json!([]), "wrong_type", "body"),
    ] {
        let answer = app.post(&payload).await;
        answer.assert_error(400, reason);
        assert!(answer.json()["message"].as_str().unwrap().contains(name), "{payload}: {answer:?}");
    }
    for payload in ["", "{", "hello", "\u{0}"] {
        app.post(payload).await.assert_error(400, "malformed_json");
    }
    assert_eq!(app.provider.asked(), 0);
}

#[tokio::test]
async fn the_post_may_be_json_json_api_or_undeclared_and_256_kib_long() {
    let app = App::new();
    app.conversation(None).await;
    let send = async |declared: Option<&str>, body: String| {
        let request = Request::post("/");
        let request = match declared {
            Some(declared) => request.header("content-type", declared),
            None => request,
        };
        app.send(request.body(body.into()).unwrap()).await
    };
    for declared in [None, Some("application/json"), Some("application/vnd.api+json; charset=utf-8")] {
        assert_eq!(send(declared, flat(&fresh_id(), ALICE, TN, "hi").to_string()).await.status, 200);
    }
    assert_eq!(app.provider.taken().len(), 3);
    send(Some("text/plain"), flat(&fresh_id(), ALICE, TN, "hi").to_string())
        .await
        .assert_error(415, "unsupported_media_type");
    let long = flat(&fresh_id(), ALICE, TN, &"y".repeat(200_000)).to_string();
    assert_eq!(send(None, long).await.status, 200);
    let too_long = flat(&fresh_id(), ALICE, TN, &"y".repeat(256 * 1024)).to_string();
    send(None, too_long).await.assert_error(413, "body_too_large");
}
