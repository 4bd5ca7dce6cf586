//! Bodies of posts to the webhook.

use super::{Subject, fuzz, fuzz_on};
use crate::{random_calls::TOKEN, webhook::PAYLOADS};
use axum::{body::Body, http::Request};
use chrono::SecondsFormat;
use sms_proxy::{
    domain::{AllowedCountries, Number},
    provider::flowroute::{Event, read},
    service::Wording,
};
use test_support::{ALICE, BOB, Backend, TN};

async fn post(subject: &Subject, body: &[u8]) -> u16 {
    let request = Request::post(format!("/?token={TOKEN}")).header("content-type", "application/json");
    subject.send(request.body(Body::from(body.to_vec())).unwrap()).await.status
}

/// Texts go from the TN to a participant, or back to a stranger who may be texted; none is sent for a post with an id that is repeated.
async fn check(subject: &Subject, input: &[u8]) {
    let (provider, now) = (&subject.app.provider, subject.app.clock.now());
    let body = match std::str::from_utf8(input) {
        Ok(text) => text.replace("TIME", &now.to_rfc3339_opts(SecondsFormat::Micros, true)).into_bytes(),
        Err(_) => input.to_vec(),
    };
    provider.clear();
    let status = post(subject, &body).await;
    let sent = provider.taken();
    assert!(status < 300 || sent.is_empty(), "sent after {status}: {sent:?}");
    for text in &sent {
        assert_eq!(text.from, TN);
        let to: Number = text.to.parse().unwrap();
        assert_eq!(AllowedCountries::default().check(to), Ok(()));
        let is_answer = text.body.ends_with(&Wording::default().no_session);
        assert!([ALICE, BOB].contains(&text.to.as_str()) || is_answer, "{text:?}");
    }
    assert_eq!(post(subject, &body).await, status);
    // A post without an id is not recognised when it is repeated.
    let has_ids = match read(None, &body) {
        Ok(Event::Texts(texts)) => texts.iter().all(|text| text.id.is_some()),
        _ => true,
    };
    assert!(!has_ids || provider.taken() == sent, "the repeated post sent more: {:?}", provider.taken());
}

#[test]
fn no_post_breaks_the_webhook_or_reaches_others() {
    fuzz("posts", PAYLOADS.map(|payload| payload.as_bytes().to_vec()).into(), check);
}

#[test]
fn no_post_breaks_the_webhook_on_dynamodb_or_reaches_others() {
    let seeds = PAYLOADS.map(|payload| payload.as_bytes().to_vec());
    fuzz_on(Backend::Dynamodb, "posts", seeds.into(), check);
}
