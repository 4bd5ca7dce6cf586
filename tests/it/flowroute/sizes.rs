//! Messages that are too large for Flowroute: they are not sent, not cut, and on record with the reason.

use super::{ID, LONG, client_of, message, taken};
use serde_json::{Value, json};
use sms_proxy::provider::{Provider, SendError, flowroute::ApiVersion};
use std::collections::BTreeMap;
use test_support::{
    ALICE, BOB, Backend, Loopback, TN,
    binary::{Binary, eventually},
    flowroute_standin::FlowrouteStandin,
    fresh_id, on_each_backend, pair,
};

on_each_backend! {
    with 2 threads:
    a_text_that_is_too_large_fails_with_the_reason_and_the_next_one_arrives
}

async fn outcome(version: ApiVersion, body: &str, pictures: usize) -> (Result<String, SendError>, usize) {
    let server = Loopback::always(taken()).await;
    let links: Vec<String> = (0..pictures).map(|n| format!("https://media.example/{n}.jpg")).collect();
    let links: Vec<&str> = links.iter().map(String::as_str).collect();
    let outcome = client_of(&server.url("http"), version).send(&message(body, &links), LONG).await;
    (outcome, server.requests().len())
}

#[tokio::test]
async fn what_fits_is_sent_whole() {
    for (version, body, pictures) in [
        (ApiVersion::V2_1, "a".repeat(35_700), 0),
        (ApiVersion::V2_2, "ü".repeat(17_850), 1),
        (ApiVersion::V2_1, "😀".repeat(8_925), 0),
        (ApiVersion::V2_1, String::new(), 100),
        (ApiVersion::V2, "a".repeat(35_700), 0),
        (ApiVersion::V2, "a".repeat(35_700 - 30), 1),
    ] {
        assert_eq!(outcome(version, &body, pictures).await, (Ok(ID.into()), 1), "{version:?}");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused_unsent() {
    for (version, body, pictures, words) in [
        (ApiVersion::V2_1, "a".repeat(35_701), 0, "35701 characters and may have 35700"),
        (ApiVersion::V2_2, "a".repeat(200_000), 1, "200000 characters and may have 35700"),
        (ApiVersion::V2_1, format!("ü{}", "a".repeat(17_850)), 0, "17851 characters, not all of them ASCII,"),
        (ApiVersion::V2_1, "😀".repeat(8_926), 0, "may have 17850"),
        (ApiVersion::V2_1, "hi".into(), 101, "101 pictures and may have 100"),
        (ApiVersion::V2_1, String::new(), 3_500, "3500 pictures"),
        (ApiVersion::V2, "a".repeat(35_700), 1, "may have 35700"),
        (ApiVersion::V2, "hi".into(), 3_500, "may have 35700"),
    ] {
        let (outcome, requests) = outcome(version, &body, pictures).await;
        let Err(SendError::Refused { opted_out: false, detail, .. }) = outcome else { panic!("{outcome:?}") };
        assert!(detail.contains(words) && detail.contains("not sent to Flowroute"), "{detail}");
        assert_eq!(requests, 0, "{version:?}");
    }
}

async fn a_text_that_is_too_large_fails_with_the_reason_and_the_next_one_arrives(backend: Backend) {
    let (records, flowroute) = (backend.records().await, FlowrouteStandin::start().await);
    let settings =
        [&flowroute.settings(&[("FLOWROUTE_MAX_PER_SECOND", "0")])[..], &records.settings()].concat();
    let server = Binary::serve(records.folder(), &settings).await;
    server.ok("POST", "/tn", Some(json!({"value": TN}))).await;
    let session = server.ok("POST", "/session", Some(pair())).await.json();
    flowroute.clear();
    let text = |body: &str, links: &[String]| {
        json!({"data": {"type": "message", "id": fresh_id(), "attributes":
            {"from": ALICE, "to": TN, "body": body, "media_urls": links}}})
    };
    let links: Vec<String> = (0..3_500).map(|n| format!("https://media.example/{n}.jpg")).collect();
    for post in [text(&"a".repeat(200_000), &[]), text("", &links), text("look", &links)] {
        for _ in 0..2 {
            server.ok("POST", "/", Some(post.clone())).await;
        }
    }
    server.ok("POST", "/", Some(text("short", &links[..2]))).await;
    // The sender is told, once.
    let taken = eventually("it arrives", || Some(flowroute.taken()).filter(|taken| taken.len() > 1)).await;
    let taken: BTreeMap<String, String> = taken.into_iter().collect();
    assert_eq!(taken.len(), 2, "{taken:?}");
    assert_eq!(taken[BOB], "short");
    assert!(taken[ALICE].contains("could not be delivered"), "{taken:?}");
    let path = format!("/message?session_id={}", session["session_id"].as_str().unwrap());
    let messages = server.ok("GET", &path, None).await.json();
    let outcome = |message: &Value| (message["state"].clone(), message["reason"].clone());
    let messages = messages["messages"].as_array().unwrap();
    let relays = messages.iter().filter(|message| message["kind"] == "relay");
    let relays: Vec<_> = relays.map(outcome).collect();
    let failed = |why: &str| {
        let reason = format!("refused with 413: the text has {why}; it was not sent to Flowroute");
        (json!("failed"), json!(reason))
    };
    let pictures = failed("3500 pictures and may have 100");
    let text = failed("200000 characters and may have 35700");
    assert_eq!(relays, [text, pictures.clone(), pictures, (json!("sent"), Value::Null)]);
    assert_eq!(server.stop().await.matches("message not sent").count(), 3);
}
