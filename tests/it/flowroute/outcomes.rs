//! The outcome of a text by Flowroute's response, or without one.

use super::{ACCESS_KEY, ID, LONG, SECRET_KEY, client, client_of, message, outcome, taken};
use serde_json::json;
use sms_proxy::provider::{
    NotTaken, Provider, SendError,
    flowroute::{self, ApiVersion, Event},
};
use std::time::Duration;
use test_support::{Loopback, Reply};
use tokio::time::timeout;

/// Enough for a request on loopback, and short enough to wait for.
const SHORT: Duration = Duration::from_millis(500);

#[track_caller]
fn assert_unknown(outcome: &Result<String, SendError>) {
    assert!(matches!(outcome, Err(SendError::Unknown { .. })), "{outcome:?}");
}

#[tokio::test]
async fn both_200_and_202_accept_the_text_and_return_its_id() {
    for status in [200, 202] {
        assert_eq!(outcome(Reply::answer(status, json!({"data": {"id": ID}}))).await.as_deref(), Ok(ID));
    }
}

#[tokio::test]
async fn an_id_of_any_length_is_the_same_in_the_response_and_in_a_receipt() {
    let long = ID.repeat(100);
    let kept = outcome(Reply::answer(202, json!({"data": {"id": long}}))).await.unwrap();
    assert!(kept.starts_with("hash-") && kept.len() < 64, "{kept}");
    for other in ["12065551212", "mdr2-12065551212", "mdr-1", "mdr22-1", "mdr2-", "mdr2-hello you", "hello"] {
        let kept = outcome(Reply::answer(202, json!({"data": {"id": other}}))).await;
        assert!(kept != Ok(other.into()), "{kept:?}");
    }
    let post = json!({"data": {"type": "delivery_receipt", "id": long, "attributes": {"level": 2}}});
    match flowroute::read(None, post.to_string().as_bytes()) {
        Ok(Event::Receipt(receipt)) => assert_eq!(receipt.provider_id, kept),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn prices_and_unknown_fields_in_the_response_are_ignored() {
    let answer = json!({
        "data": {"id": ID, "type": "message", "attributes": {"price_details": {"segment_count": 1}}},
        "included": [], "meta": null,
    });
    assert_eq!(outcome(Reply::answer(202, answer)).await.as_deref(), Ok(ID));
}

#[tokio::test]
async fn statuses_400_403_and_422_refuse_the_text() {
    for expected in [400, 403, 422] {
        match outcome(Reply::answer(expected, "{}")).await {
            Err(SendError::Refused { status, opted_out: false, .. }) if status == expected => {}
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn other_statuses_below_500_and_503_do_not_take_the_text() {
    for (statuses, expected) in [
        (&[401][..], NotTaken::Credentials),
        (&[429, 503], NotTaken::Busy),
        (&[300, 304, 402, 404, 405, 407, 408, 409, 415, 418, 451], NotTaken::Misconfigured),
    ] {
        for &status in statuses {
            match outcome(Reply::answer(status, "")).await {
                Err(SendError::NotTaken { cause, .. }) if cause == expected => {}
                other => panic!("{status}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn other_statuses_from_500_are_unknown() {
    for status in [500, 501, 502, 504, 599] {
        assert_unknown(&outcome(Reply::answer(status, json!({"data": {"id": ID}}))).await);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Loopback::always(taken()).await;
    for status in [301, 302, 303, 307, 308] {
        let answer = outcome(Reply::redirect(status, elsewhere.url("http"))).await;
        let expected = NotTaken::Misconfigured;
        assert!(
            matches!(answer, Err(SendError::NotTaken { cause, .. }) if cause == expected),
            "{status}: {answer:?}"
        );
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_refused_connection_does_not_take_the_text() {
    let outcome = client_of("http://127.0.0.1:1", ApiVersion::V2_1).send(&message("hello", &[]), LONG).await;
    assert!(matches!(outcome, Err(SendError::NotTaken { cause: NotTaken::NoConnection, .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_failed_tls_handshake_does_not_take_the_text() {
    let server = Loopback::always(Reply::HangUpUnread).await;
    let outcome = client_of(&server.url("https"), ApiVersion::V2_1).send(&message("hello", &[]), LONG).await;
    assert!(matches!(outcome, Err(SendError::NotTaken { cause: NotTaken::NoConnection, .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_connection_cut_before_the_request_is_read_is_unknown_and_not_retried() {
    let server = Loopback::always(Reply::HangUpUnread).await;
    assert_unknown(&client(&server).send(&message("hello", &[]), LONG).await);
    assert_eq!((server.requests().len(), server.connections()), (0, 1));
}

#[tokio::test]
async fn a_connection_cut_after_the_request_was_read_is_unknown_and_not_retried() {
    let server = Loopback::always(Reply::HangUp).await;
    assert_unknown(&client(&server).send(&message("hello", &[]), LONG).await);
    assert_eq!((server.requests().len(), server.connections()), (1, 1));
}

#[tokio::test]
async fn a_cut_reused_connection_is_not_retried() {
    let server = Loopback::answering([taken(), Reply::HangUp]).await;
    let client = client(&server);
    client.send(&message("first", &[]), LONG).await.expect("sent");
    assert_unknown(&client.send(&message("second", &[]), LONG).await);
    assert_eq!((server.requests().len(), server.connections()), (2, 1));
}

#[tokio::test]
async fn a_client_recovers_from_a_cut_connection() {
    let server = Loopback::answering([Reply::HangUp, taken()]).await;
    let client = client(&server);
    assert_unknown(&client.send(&message("first", &[]), LONG).await);
    assert_eq!(client.send(&message("second", &[]), LONG).await.as_deref(), Ok(ID));
}

#[tokio::test]
async fn no_response_before_the_time_limit_is_unknown() {
    let server = Loopback::always(Reply::Silence).await;
    let client = client(&server);
    let text = message("hello", &[]);
    let outcome = timeout(LONG, client.send(&text, SHORT)).await.expect("the limit is kept");
    assert_unknown(&outcome);
    server.only_request();
}

#[tokio::test]
async fn an_acceptance_without_a_readable_id_is_unknown() {
    for body in [
        "",
        "accepted",
        "<html></html>",
        "null",
        "[]",
        "{}",
        r#"{"data":null}"#,
        r#"{"data":{}}"#,
        r#"{"data":{"id":""}}"#,
        r#"{"data":{"id":null}}"#,
        r#"{"data":{"id":["mdr2"]}}"#,
        r#"{"data":[{"id":"mdr2"}]}"#,
        r#"{"id":"mdr2"}"#,
        r#"{"data":{"id":"mdr2""#,
    ] {
        for status in [200, 202] {
            assert_unknown(&outcome(Reply::answer(status, body)).await);
        }
    }
    assert_unknown(&outcome(Reply::answer(204, "")).await);
}

#[tokio::test]
async fn an_acceptance_that_is_cut_is_unknown() {
    let body = json!({"data": {"id": ID}}).to_string();
    assert_unknown(&outcome(Reply::Cut { status: 202, body }).await);
}

#[tokio::test]
async fn an_endless_acceptance_is_unknown_and_reading_it_stops() {
    let body = r#"{"data":{"id":"mdr2-"#.into();
    let outcome = outcome(Reply::Endless { status: 200, body }).await;
    assert_eq!(outcome, Err(SendError::Unknown { detail: "accepted without an id".into() }));
}

#[tokio::test]
async fn debug_output_shows_no_secrets() {
    let server = Loopback::always(Reply::answer(401, "{}")).await;
    let client = client(&server);
    let error = client.send(&message("hello", &[]), LONG).await.expect_err("401");
    for shown in [format!("{client:?}"), format!("{client:#?}"), format!("{error:?}"), error.to_string()] {
        assert!(!shown.contains(ACCESS_KEY) && !shown.contains(SECRET_KEY), "{shown}");
    }
}

#[test]
fn the_client_names_flowroute_and_the_settings_to_check() {
    let client = super::client_of("http://127.0.0.1:1", ApiVersion::V2_1);
    assert_eq!(client.name(), "Flowroute");
    for setting in ["FLOWROUTE_ACCESS_KEY", "FLOWROUTE_SECRET_KEY", "FLOWROUTE_API_URL"] {
        assert!(client.remedy().contains(setting), "{}", client.remedy());
    }
}
