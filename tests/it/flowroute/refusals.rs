//! The reason that is kept when Flowroute refuses a text.

use super::{LONG, client, message};
use serde_json::{Value, json};
use sms_proxy::{
    domain::Outbound,
    provider::{Provider, SendError},
};
use test_support::{ALICE, Loopback, Reply, TN};

/// Whether the recipient had opted out, and the reason that is kept, for this reply.
async fn refusal(message: &Outbound, reply: Reply) -> (bool, String) {
    let server = Loopback::always(reply).await;
    match client(&server).send(message, LONG).await {
        Err(SendError::Refused { opted_out, detail, .. }) => (opted_out, detail),
        other => panic!("{other:?}"),
    }
}

async fn words(answer: impl ToString) -> String {
    refusal(&message("hello", &[]), Reply::answer(422, answer)).await.1
}

/// A response of Flowroute with one error (`docs/flowroute.md#errors`).
fn error(title: &str, detail: &str) -> Value {
    let id = "00000000-0000-4000-8000-000000000000";
    json!({"errors": [{"detail": detail, "id": id, "status": 422, "title": title}]})
}

#[tokio::test]
async fn the_title_and_the_detail_are_kept() {
    let answer = error("Unprocessable Entity", "The 'from' number is not yours.");
    assert_eq!(words(answer).await, "Unprocessable Entity: The 'from' number is not yours.");
}

#[tokio::test]
async fn several_errors_are_all_named() {
    let answer = json!({"errors": [{"title": "Bad from"}, {}, {"title": "Bad to", "detail": "a landline"}]});
    assert_eq!(words(answer).await, "Bad from; Bad to: a landline");
}

#[tokio::test]
async fn phone_numbers_are_scrubbed() {
    let detail = format!("{TN} may not text +{ALICE}, also known as (206) 555-1212 or 206.555.1212");
    let kept = words(error("No", &detail)).await;
    for part in [TN, ALICE, "2065551212", "206", "555", "1212"] {
        assert!(!kept.contains(part), "{kept}");
    }
    assert!(kept.starts_with("No: [number] may not text"), "{kept}");
}

#[tokio::test]
async fn the_text_itself_is_scrubbed() {
    let text = "Meet me at the \"Blue Gateway\" at 5";
    let answer = error("Bad body", &format!("'{text}' is not allowed; {text}!"));
    let (_, kept) = refusal(&message(text, &[]), Reply::answer(422, answer)).await;
    assert_eq!(kept, "Bad body: '[text]' is not allowed; [text]!");
}

#[tokio::test]
async fn media_urls_are_scrubbed_with_any_text() {
    let picture = "https://media.example.com/private.jpg?Signature=abc";
    let quoting = format!("see {picture}");
    for (text, expected) in [
        ("", "Bad: '' with [media]"),
        ("look", "Bad: '[text]' with [media]"),
        ("private", "Bad: '[text]' with [media]"),
        (&quoting, "Bad: '[text]' with [media]"),
    ] {
        let answer = error("Bad", &format!("'{text}' with {picture}"));
        let (_, kept) = refusal(&message(text, &[picture]), Reply::answer(422, answer)).await;
        assert_eq!(kept, expected);
    }
}

#[tokio::test]
async fn long_details_are_cut_to_200_characters() {
    assert_eq!(words(error("ü", &"ü".repeat(1000))).await.chars().count(), 200);
}

#[tokio::test]
async fn details_are_put_on_one_line() {
    let kept = words(error("Bad", "one\r\ntwo\u{1b}[31m\0")).await;
    assert!(!kept.chars().any(char::is_control), "{kept:?}");
}

#[tokio::test]
async fn a_refusal_with_an_unreadable_body_is_still_a_refusal() {
    for unreadable in ["", "no", "null", "[]", "7", "{}", r#"{"errors":[]}"#, r#"{"errors":[{"title":""}]}"#]
    {
        assert_eq!(words(unreadable).await, "no reason given");
    }
    for reply in
        [Reply::Cut { status: 400, body: "{".into() }, Reply::Endless { status: 400, body: "{".into() }]
    {
        assert_eq!(refusal(&message("hello", &[]), reply).await, (false, "no reason given".into()));
    }
}

#[tokio::test]
async fn refusals_in_the_old_versions_formats_are_parsed() {
    for answer in [
        json!({"error": {"message": "not a mobile"}}),
        json!({"errors": {"detail": "not a mobile"}}),
        json!({"message": "not a mobile"}),
        json!({"errors": [{"title": "not a mobile"}]}),
    ] {
        assert_eq!(words(&answer).await, "not a mobile", "{answer}");
    }
}

#[tokio::test]
async fn an_opt_out_is_recognised_wherever_its_code_is() {
    let text = message("hello", &[]);
    for answer in [
        json!({"errors": [{"code": "1110", "title": "Bad Request"}]}),
        json!({"errors": [{"code": 1110}]}),
        json!({"errors": [{"status": 1110}]}),
        json!({"errors": [{"status": "1110"}]}),
        json!({"errors": [{"title": "Error 1110"}]}),
        json!({"errors": [{"detail": "1110: Message accepted by the SMSC but the phone rejected it"}]}),
        json!({"errors": [{"message": "rejected (1110)"}]}),
        json!({"errors": [{"code": 400, "title": "Bad Request"}, {"code": 1110}]}),
        json!({"errors": {"code": 1110}}),
        json!({"error": {"code": "1110"}}),
        json!({"code": 1110, "message": "User Opted Out (STOP)"}),
    ] {
        for status in [400, 403, 422] {
            let (opted_out, _) = refusal(&text, Reply::answer(status, &answer)).await;
            assert!(opted_out, "{status} {answer}");
        }
    }
}

#[tokio::test]
async fn other_codes_and_longer_numbers_that_contain_1110_are_not_an_opt_out() {
    let text = message("hello", &[]);
    for answer in [
        json!({"errors": [{"code": "1111"}]}),
        json!({"errors": [{"code": 11100}]}),
        json!({"errors": [{"detail": "12065551110 is not a mobile number"}]}),
        json!({"errors": [{"detail": "neither 206-555-1110 nor (206) 555-1110 nor 206.555.1110."}]}),
        json!({"errors": [{"id": "1110", "detail": "no"}]}),
    ] {
        assert!(!refusal(&text, Reply::answer(400, &answer)).await.0, "{answer}");
    }
}

#[tokio::test]
async fn a_text_that_contains_1110_is_not_an_opt_out() {
    let text = message("call 1110", &[]);
    let answer = error("Bad body", "'call 1110' is not allowed");
    assert_eq!(
        refusal(&text, Reply::answer(400, answer)).await,
        (false, "Bad body: '[text]' is not allowed".into())
    );
}
