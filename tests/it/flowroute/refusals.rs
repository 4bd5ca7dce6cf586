//! What is kept when Flowroute refuses a text, and what the caller is told.

use super::{ACCESS_KEY, LONG, client, message};
use serde_json::{Value, json};
use sms_proxy::{
    domain::Outbound,
    provider::{Provider, SendError, flowroute::CODES},
};
use test_support::{Loopback, Reply};

/// Whether the recipient had opted out, the reason that is kept, and Flowroute's words for the caller, for this reply.
async fn refused(message: &Outbound, reply: Reply) -> (bool, String, String) {
    let server = Loopback::always(reply).await;
    match client(&server).send(message, LONG).await {
        Err(SendError::Refused { opted_out, detail, quote, .. }) => {
            (opted_out, detail, quote.words().to_owned())
        }
        other => panic!("{other:?}"),
    }
}

async fn opted_out(message: &Outbound, reply: Reply) -> bool {
    refused(message, reply).await.0
}

/// The reason that is kept of this answer.
async fn reason(status: u16, answer: impl ToString) -> String {
    refused(&message("hello", &[]), Reply::answer(status, answer)).await.1
}

/// What the caller is told of this answer.
async fn quote(answer: impl ToString) -> String {
    refused(&message("hello", &[]), Reply::answer(422, answer)).await.2
}

/// A response of Flowroute with one error (`docs/flowroute.md#errors`).
fn error(title: &str, detail: &str) -> Value {
    let id = "00000000-0000-4000-8000-000000000000";
    json!({"errors": [{"detail": detail, "id": id, "status": 422, "title": title}]})
}

#[tokio::test]
async fn each_known_code_is_kept_with_what_it_means() {
    for (code, meaning) in CODES {
        for value in [json!(code), json!(code.to_string())] {
            let answer =
                json!({"errors": [{"code": value, "status": 400, "title": "No", "detail": "hello"}]});
            assert_eq!(reason(400, answer).await, format!("{meaning} (code {code})"));
        }
    }
}

#[tokio::test]
async fn without_a_known_code_the_status_is_explained() {
    for (status, words) in [(400, "cannot process it"), (403, "check that the TN"), (422, "a value is wrong")]
    {
        let told = reason(status, error("Unprocessable Entity", "hello")).await;
        assert!(told.contains(words) && !told.contains("hello") && !told.contains("Entity"), "{told}");
        let told = reason(status, json!({"errors": [{"code": "4242", "status": status}]})).await;
        assert!(told.contains(words) && told.ends_with(" (code 4242)"), "{told}");
    }
}

#[tokio::test]
async fn nothing_but_short_codes_is_kept_of_what_stands_where_a_code_is_expected() {
    for code in [
        json!("2065551221"),
        json!(206_555),
        json!("hello"),
        json!("12 34"),
        json!("-1110"),
        json!(1110.5),
        json!("１１１０"),
    ] {
        let told = reason(422, json!({"errors": [{"code": code}, {"status": code}]})).await;
        assert!(told.starts_with("Flowroute says") && !told.contains("code"), "{told}");
    }
    // A number in pieces.
    let pieces = ["12065", "5512", "12"].map(|code| json!({"code": code}));
    assert!(reason(422, json!({"errors": pieces})).await.ends_with("a picture (code 12065)"));
    let many: Vec<_> = CODES.iter().map(|(code, _)| json!({"code": code})).collect();
    assert_eq!(reason(422, json!({"errors": many})).await.matches("(code ").count(), 3);
}

#[tokio::test]
async fn the_caller_is_told_the_titles_and_the_details() {
    let answer = error("Unprocessable Entity", "The 'from' number is not yours.");
    assert_eq!(quote(answer).await, "Unprocessable Entity: The 'from' number is not yours.");
    let answer = json!({"errors": [{"title": "Bad from"}, {}, {"title": "Bad to", "detail": "a landline"}]});
    assert_eq!(quote(answer).await, "Bad from; Bad to: a landline");
}

#[tokio::test]
async fn the_caller_is_told_no_address_and_no_secret() {
    for secret in [
        "https://proxy.example/?m=1&token=secret",
        "https%3A%2F%2Fproxy.example",
        "0123456789abcdef",
        ACCESS_KEY,
        "\"0123456789ABCDEF\"",
    ] {
        let told = quote(error("Bad", &format!("dlr_callback {secret} is bad"))).await;
        assert_eq!(told.replace(secret, "?"), "Bad: dlr_callback […] is bad");
    }
}

#[tokio::test]
async fn the_caller_is_told_one_line_of_200_characters_at_most() {
    assert_eq!(quote(error("ü", &"ü ".repeat(1000))).await.chars().count(), 200);
    assert_eq!(quote(error("Bad", "one\r\ntwo\u{1b}[31m\0")).await, "Bad: one two[31m");
}

#[tokio::test]
async fn debug_output_of_a_refusal_has_none_of_flowroutes_words() {
    let server = Loopback::always(Reply::answer(422, error("Bad", "hello"))).await;
    let refusal = client(&server).send(&message("hello", &[]), LONG).await.expect_err("422");
    for shown in [format!("{refusal:?}"), format!("{refusal:#?}"), refusal.to_string()] {
        assert!(!shown.contains("Bad") && !shown.contains("hello"), "{shown}");
    }
}

#[tokio::test]
async fn a_refusal_with_an_unreadable_body_is_still_a_refusal() {
    for unreadable in ["", "no", "null", "[]", "7", "{}", r#"{"errors":[]}"#, r#"{"errors":[{"title":""}]}"#]
    {
        assert!(reason(422, unreadable).await.starts_with("Flowroute says that a value is wrong"));
        assert_eq!(quote(unreadable).await, "");
    }
    for reply in
        [Reply::Cut { status: 400, body: "{".into() }, Reply::Endless { status: 400, body: "{".into() }]
    {
        let expected = (false, "Flowroute cannot process it".into(), String::new());
        assert_eq!(refused(&message("hello", &[]), reply).await, expected);
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
        assert_eq!(quote(&answer).await, "not a mobile", "{answer}");
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
            let reply = Reply::answer(status, &answer);
            assert!(opted_out(&text, reply).await, "{status} {answer}");
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
        assert!(!opted_out(&text, Reply::answer(400, &answer)).await, "{answer}");
    }
}

#[tokio::test]
async fn a_text_that_contains_1110_is_not_an_opt_out() {
    let text = message("call 1110", &[]);
    let answer = error("Bad body", "'call 1110' is not allowed");
    assert!(!opted_out(&text, Reply::answer(400, answer)).await);
}

#[tokio::test]
async fn a_quoted_number_that_ends_in_1110_is_not_an_opt_out() {
    let mut text = message("hello", &[]);
    text.text.to = "12065551110".parse().unwrap();
    for quoted in ["206/555/1110", "206 555 1110", "206,555,1110", "(206) 555 1110", "+1 206 555-1110"] {
        let answer = error("Bad to", &format!("{quoted} is a landline"));
        assert!(!opted_out(&text, Reply::answer(400, answer)).await, "{quoted}");
    }
    assert!(opted_out(&text, Reply::answer(400, json!({"errors": [{"code": 1110}]}))).await);
}
