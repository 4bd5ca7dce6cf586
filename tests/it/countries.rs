//! Whose numbers may be TNs and participants, and are answered as strangers (`ALLOWED_COUNTRIES`).

use crate::posts::post_bytes;
use serde_json::json;
use sms_proxy::service::Options;
use std::sync::Arc;
use test_support::{
    ALICE, App, BOB, Backend, EVE, TN, flat, fresh_id, logged, number, on_each_backend, unpaced,
};

on_each_backend! {
    a_number_that_may_not_be_texted_is_neither_a_tn_nor_a_participant
    a_stranger_whose_number_may_not_be_texted_is_not_answered
    the_operator_names_the_countries
    participants_of_an_open_session_go_on_whatever_is_allowed_later
}

/// Numbers that no setting allows, with the reason and some words of the answer.
const NEVER: [(&str, &str, &str); 10] = [
    ("10005551212", "invalid_number", "2 to 9"),
    ("11115551212", "invalid_number", "2 to 9"),
    ("19115551212", "invalid_number", "911"),
    ("14115551212", "invalid_number", "911"),
    ("12965551212", "invalid_number", "second digit"),
    ("19995551212", "invalid_number", "second digit"),
    ("19005551212", "number_not_allowed", "premium"),
    ("15005551212", "number_not_allowed", "500"),
    ("16005551212", "number_not_allowed", "600"),
    ("17105551212", "number_not_allowed", "710"),
];
/// Numbers of other countries than the US and Canada, with their codes.
const ABROAD: [(&str, &str); 27] = [
    ("12685551212", "AG"),
    ("12645551212", "AI"),
    ("16845551212", "AS"),
    ("12465551212", "BB"),
    ("14415551212", "BM"),
    ("12425551212", "BS"),
    ("17675551212", "DM"),
    ("18095551212", "DO"),
    ("18295551212", "DO"),
    ("18495551212", "DO"),
    ("14735551212", "GD"),
    ("16715551212", "GU"),
    ("16585551212", "JM"),
    ("18765551212", "JM"),
    ("18695551212", "KN"),
    ("13455551212", "KY"),
    ("17585551212", "LC"),
    ("16705551212", "MP"),
    ("16645551212", "MS"),
    ("17875551212", "PR"),
    ("19395551212", "PR"),
    ("17215551212", "SX"),
    ("16495551212", "TC"),
    ("18685551212", "TT"),
    ("17845551212", "VC"),
    ("12845551212", "VG"),
    ("13405551212", "VI"),
];
/// A number in Ontario, and one that is toll-free.
const CANADIAN: &str = "14165551212";
const TOLL_FREE: &str = "18885551212";

fn allowing(countries: &str) -> Options {
    Options { allowed_countries: countries.parse().unwrap(), ..unpaced() }
}

/// Asserts that the number is refused as a TN and as either participant.
async fn assert_refused(app: &App, number: &str, reason: &str, words: &str) {
    let integer: u64 = number.parse().unwrap();
    let calls = [
        ("/tn", json!({"value": integer}), "value "),
        ("/tn", json!({"value": format!("+{number}")}), "value "),
        ("/session", json!({"participant_a": integer, "participant_b": TOLL_FREE}), "participant_a "),
        ("/tn", json!({"value": number}), "value "),
        ("/session", json!({"participant_a": number, "participant_b": TOLL_FREE}), "participant_a "),
        ("/session", json!({"participant_a": TOLL_FREE, "participant_b": number}), "participant_b "),
    ];
    for (path, body, field) in calls {
        let answer = app.call("POST", path, Some(body)).await;
        answer.assert_error(400, reason);
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(field) && message.contains(words), "{message}");
        assert!(!message.contains(number) && !message.contains(&number[1..]), "{message}");
    }
}

async fn a_number_that_may_not_be_texted_is_neither_a_tn_nor_a_participant(backend: Backend) {
    let app = backend.app().await;
    app.add_tn(TN).await;
    for (number, reason, words) in NEVER {
        assert_refused(&app, number, reason, words).await;
    }
    for (number, country) in ABROAD {
        assert_refused(&app, number, "number_not_allowed", &format!("add {country} to ALLOWED_COUNTRIES"))
            .await;
    }
    assert_eq!((app.pool().await, app.provider.asked()), ((1, 0), 0));
    for number in [CANADIAN, TOLL_FREE, "19075551212", "18085551212", "13125550100"] {
        app.add_tn(number).await;
        app.call("DELETE", "/tn", Some(json!({"value": number}))).await;
        let session = app.open_session(number, BOB, None).await;
        app.end_session(&session).await;
    }
}

async fn a_stranger_whose_number_may_not_be_texted_is_not_answered(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    let numbers = NEVER.iter().map(|(number, ..)| *number).chain(ABROAD.iter().map(|(number, _)| *number));
    for from in numbers {
        let before = logged().matches("stranger not answered").count();
        let plus = format!("+{from}");
        let answers = app.post(flat(&fresh_id(), from, TN, "hi")).await;
        assert_eq!(answers.status, 200);
        app.post(flat(&fresh_id(), &plus, TN, "hi")).await;
        assert_eq!(app.provider.asked(), 0, "{from}");
        let log = logged();
        assert_eq!(log.matches("stranger not answered").count(), before + 2, "{from}: {log}");
        let line = log.lines().rfind(|line| line.contains("stranger not answered")).unwrap();
        assert!(line.contains("WARN") && line.contains("id=\"mdr2-") && !line.contains(&from[1..]), "{line}");
    }
    let text = flat(&fresh_id(), "18765551212", TN, "hi").to_string();
    for answer in post_bytes(&app, &[("content-type", "application/json")], text.as_bytes()).await {
        assert_eq!(answer.status, 200);
    }
    assert_eq!(app.provider.asked(), 0);
    for from in [EVE, CANADIAN, TOLL_FREE] {
        app.text(from, TN, "hi").await;
    }
    assert_eq!(app.provider.asked(), 3);
    // STOP is taken from anybody.
    app.text("18765551212", TN, "STOP").await;
    assert!(logged().contains("opted out of this TN"));
}

async fn the_operator_names_the_countries(backend: Backend) {
    let app = backend.app_with(allowing("jm, US,PR")).await;
    for tn in [TN, "18765551213", "17875551213", TOLL_FREE] {
        app.add_tn(tn).await;
    }
    app.open_session("16585551212", "19395551212", None).await;
    app.provider.clear();
    app.text("18765551212", TN, "hi").await;
    assert_eq!(app.provider.asked(), 1);
    assert_refused(
        &app,
        CANADIAN,
        "number_not_allowed",
        "Canada; to allow these, add CA to ALLOWED_COUNTRIES",
    )
    .await;
    let app = backend.app_with(allowing("CA")).await;
    app.add_tn(CANADIAN).await;
    assert_refused(&app, ALICE, "number_not_allowed", "add US to ALLOWED_COUNTRIES").await;
    assert_refused(&app, &number(7), "number_not_allowed", "add US to ALLOWED_COUNTRIES").await;
}

async fn participants_of_an_open_session_go_on_whatever_is_allowed_later(backend: Backend) {
    let first = backend.app_with(allowing("US,JM")).await;
    first.add_tn("18765551213").await;
    let session = first.open_session("18765551212", BOB, Some(10)).await;
    first.provider.clear();
    let app = first.beside(Arc::clone(&first.store), unpaced());
    app.text("18765551212", "18765551213", "hello").await;
    app.text(BOB, "18765551213", "hi").await;
    assert_eq!(app.provider.bodies(), ["hello", "hi"]);
    app.end_session(&session).await;
    assert_eq!(app.provider.asked(), 4, "both are told that it has ended");
    app.text("18765551212", "18765551213", "still there?").await;
    assert_eq!(app.provider.asked(), 4);
    assert_eq!(app.call("DELETE", "/tn/18765551213", None).await.status, 200);
}
