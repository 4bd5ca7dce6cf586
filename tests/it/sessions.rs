//! `/session`: opening, listing, ending, expiring.

use chrono::{NaiveDateTime, SubsecRound, TimeDelta};
use serde_json::{Value, json};
use sms_proxy::domain::Kind;
use std::collections::HashSet;
use test_support::{ALICE, App, BOB, Backend, EVE, Outcome, TN, fresh_number, number, on_each_backend, pair};

on_each_backend! {
    a_session_is_opened_shown_listed_and_ended_and_both_are_notified
    without_a_window_a_session_does_not_expire
    a_window_is_whole_minutes_up_to_ten_years
    participants_must_be_two_different_people
    without_a_free_tn_no_session_opens
    the_tn_is_picked_at_random
    malformed_ids_are_not_found_and_other_types_are_refused
    an_expired_session_is_treated_as_ended_everywhere
    a_new_session_gets_the_tn_of_an_expired_one_whose_participants_are_notified_once
    a_refused_start_notice_rolls_the_session_back
    a_delayed_or_lost_start_notice_does_not_roll_the_session_back
    a_session_ends_whatever_happens_to_its_end_notices
    sessions_are_listed_oldest_first_and_in_pages
    the_start_notice_has_the_kind_start
    a_text_stored_with_a_slow_clock_is_listed
}

const START: &str = "[YOUR ORG NAME]: Your new session has started, send a message!";
const END: &str = "[YOUR ORG NAME]: This session has ended, talk to you again soon!";
const EXPIRED: &str = "[YOUR ORG NAME]: This session has expired.";

fn to_both(body: &str) -> [(String, String); 2] {
    [ALICE, BOB].map(|to| (to.to_owned(), body.to_owned()))
}

async fn a_text_stored_with_a_slow_clock_is_listed(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    app.clock.advance(TimeDelta::milliseconds(-300));
    app.text(ALICE, TN, "hello").await;
    assert_eq!(app.relays(&session).await, ["sent"]);
}

async fn a_session_is_opened_shown_listed_and_ended_and_both_are_notified(backend: Backend) {
    let app = backend.app().await;
    app.add_tn(TN).await;
    let body = json!({"participant_a": ALICE, "participant_b": BOB, "expiry_window": 10});
    let opened = app.call("POST", "/session", Some(body)).await;
    let id = opened.json()["session_id"].as_str().unwrap().to_owned();
    let date = |time: chrono::DateTime<chrono::Utc>| time.format("%Y-%m-%d %H:%M:%S").to_string();
    let created = date(app.clock.now());
    let expiry = date(app.clock.now() + TimeDelta::minutes(10));
    assert_eq!(
        opened.body,
        format!(
            r#"{{"message":"created session","session_id":"{id}","virtual_tn":"{TN}","participant_a":"{ALICE}","participant_b":"{BOB}","expiry_date":"{expiry}"}}"#
        )
    );
    assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{id}");
    assert_eq!(app.provider.taken_by(), to_both(START));
    assert!(app.provider.taken().iter().all(|text| text.from == TN));
    let element = json!({
        "id": id, "date_created": created, "expiry_date": expiry,
        "virtual_tn": TN, "participant_a": ALICE, "participant_b": BOB
    });
    let listed = app.call("GET", "/session", None).await;
    assert_eq!(listed.json(), json!({"total_sessions": 1, "sessions": [element]}));
    assert_eq!(app.call("GET", &format!("/session/{id}"), None).await.json(), element);
    app.provider.clear();
    let ended = app.call("DELETE", "/session", Some(json!({"session_id": id}))).await;
    assert_eq!(ended.body, format!(r#"{{"message":"successfully ended session","session_id":"{id}"}}"#));
    assert_eq!(app.provider.taken_by(), to_both(END));
    assert_eq!(app.call("GET", "/session", None).await.json(), json!({"total_sessions": 0, "sessions": []}));
    app.call("GET", &format!("/session/{id}"), None).await.assert_error(404, "session_not_found");
    app.call("DELETE", &format!("/session/{id}"), None).await.assert_error(404, "session_not_found");
}

async fn without_a_window_a_session_does_not_expire(backend: Backend) {
    let app = backend.app().await;
    for window in [None, Some(Value::Null)] {
        app.add_tn(&fresh_number()).await;
        let mut body = pair();
        if let Some(window) = window {
            body["expiry_window"] = window;
        }
        let opened = app.call("POST", "/session", Some(body)).await;
        assert_eq!(opened.json()["expiry_date"], Value::Null);
    }
    app.clock.advance(TimeDelta::days(4000));
    assert_eq!(app.call("GET", "/session", None).await.json()["total_sessions"], 2);
}

async fn a_window_is_whole_minutes_up_to_ten_years(backend: Backend) {
    let app = backend.app().await;
    app.add_tn(TN).await;
    for bad in [
        json!("10"),
        json!(10.5),
        json!(-10.0),
        json!(5_256_001.0),
        json!(1e300),
        json!(true),
        json!(0),
        json!(-1),
        json!(5_256_001),
        json!(u64::MAX),
        json!([]),
    ] {
        let body = json!({"participant_a": ALICE, "participant_b": BOB, "expiry_window": bad});
        app.call("POST", "/session", Some(body)).await.assert_error(400, "invalid_expiry_window");
    }
    // In JSON 10.0 is the number 10.
    for good in [json!(1), json!(5_256_000), json!(10.0), json!(1e2)] {
        let body = json!({"participant_a": ALICE, "participant_b": BOB, "expiry_window": good});
        let session = app.call("POST", "/session", Some(body)).await.json();
        let expiry =
            NaiveDateTime::parse_from_str(session["expiry_date"].as_str().unwrap(), "%Y-%m-%d %H:%M:%S");
        let minutes =
            expiry.unwrap().and_utc().signed_duration_since(app.clock.now().trunc_subsecs(0)).num_minutes();
        assert_eq!(Some(minutes as f64), good.as_f64());
        let path = format!("/session/{}", session["session_id"].as_str().unwrap());
        assert_eq!(app.call("DELETE", &path, None).await.status, 200);
    }
}

async fn participants_must_be_two_different_people(backend: Backend) {
    let app = backend.app().await;
    app.add_tn(TN).await;
    let open = async |body: Value| app.call("POST", "/session", Some(body)).await;
    open(json!({"participant_a": ALICE, "participant_b": format!("+{ALICE}")}))
        .await
        .assert_error(400, "same_participant");
    open(json!({"participant_a": TN, "participant_b": BOB})).await.assert_error(400, "participant_is_tn");
    open(json!({"participant_a": ALICE, "participant_b": TN})).await.assert_error(400, "participant_is_tn");
    open(json!({"participant_a": ALICE, "participant_b": "5"})).await.assert_error(400, "invalid_number");
    open(json!({"participant_a": ALICE})).await.assert_error(400, "missing_field");
    open(json!({"participant_a": ALICE, "participant_b": BOB, "expiry_windw": 1}))
        .await
        .assert_error(400, "unknown_field");
    assert_eq!(app.provider.asked(), 0);
    assert_eq!(app.call("GET", "/tn", None).await.json()["available"], 1);
}

async fn without_a_free_tn_no_session_opens(backend: Backend) {
    let app = backend.app().await;
    let body = json!({"participant_a": EVE, "participant_b": BOB});
    let none = app.call("POST", "/session", Some(body.clone())).await;
    none.assert_error(400, "no_tn_available");
    assert_eq!(none.json()["message"], "Could not create session -- No virtual TNs available");
    app.conversation(None).await;
    app.call("POST", "/session", Some(body)).await.assert_error(400, "no_tn_available");
}

async fn the_tn_is_picked_at_random(backend: Backend) {
    let app = backend.app().await;
    for n in 0..10 {
        app.add_tn(&number(n)).await;
    }
    let mut picked = HashSet::new();
    for _ in 0..40 {
        let session = app.open_session(ALICE, BOB, None).await;
        picked.insert(session["virtual_tn"].clone());
        let path = format!("/session/{}", session["session_id"].as_str().unwrap());
        app.call("DELETE", &path, None).await;
    }
    assert!(picked.len() > 3, "only {} of 10 TNs in 40 sessions", picked.len());
}

async fn malformed_ids_are_not_found_and_other_types_are_refused(backend: Backend) {
    let app = backend.app().await;
    for id in ["", "x", "67e55044-10b1-426f-9247-bb680e5fe0c8", &"A".repeat(32), &"a".repeat(32)] {
        let answer = app.call("DELETE", "/session", Some(json!({"session_id": id}))).await;
        answer.assert_error(404, "session_not_found");
    }
    for id in [json!(5), json!(null), json!(["a"])] {
        app.call("DELETE", "/session", Some(json!({"session_id": id}))).await.assert_error(400, "wrong_type");
    }
    app.call("DELETE", "/session", Some(json!({}))).await.assert_error(400, "missing_field");
    app.call("DELETE", "/session", Some(json!({"session_id": "x", "id": 1})))
        .await
        .assert_error(400, "unknown_field");
}

async fn an_expired_session_is_treated_as_ended_everywhere(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(Some(10)).await;
    let path = format!("/session/{}", session["session_id"].as_str().unwrap());
    app.clock.advance(TimeDelta::milliseconds(599_999));
    assert_eq!(app.call("GET", &path, None).await.status, 200);
    app.clock.advance(TimeDelta::milliseconds(1));
    assert_eq!(app.call("GET", "/session", None).await.json(), json!({"total_sessions": 0, "sessions": []}));
    app.call("GET", &path, None).await.assert_error(404, "session_not_found");
    app.call("DELETE", &path, None).await.assert_error(404, "session_not_found");
    let pool = app.call("GET", "/tn", None).await.json();
    assert_eq!((&pool["available"], &pool["virtual_tns"][0]["session_id"]), (&json!(1), &Value::Null));
    assert_eq!(app.call("GET", &format!("/tn/{TN}"), None).await.json()["session_id"], Value::Null);
    assert_eq!(app.provider.asked(), 0, "no notice was sent yet");
}

async fn a_new_session_gets_the_tn_of_an_expired_one_whose_participants_are_notified_once(backend: Backend) {
    let app = backend.app().await;
    app.conversation(Some(10)).await;
    app.clock.advance(TimeDelta::minutes(10));
    let (carol, dave) = (fresh_number(), fresh_number());
    let session = app.open_session(&carol, &dave, None).await;
    assert_eq!(session["virtual_tn"], TN);
    let mut expected: Vec<_> = to_both(EXPIRED).into();
    expected.extend([&carol, &dave].map(|to| (to.clone(), START.to_owned())));
    expected.sort();
    assert_eq!(app.provider.taken_by(), expected);
    app.provider.clear();
    app.text(&carol, TN, "hi").await;
    assert_eq!(app.provider.taken_by(), [(dave, "hi".to_owned())]);
}

async fn a_refused_start_notice_rolls_the_session_back(backend: Backend) {
    for (outcome, words) in [(Outcome::Refused, "as scripted"), (Outcome::BadCredentials, "credentials")] {
        let app = backend.app().await;
        app.add_tn(TN).await;
        app.provider.script(
            move |message| {
                if message.text.to.digits() == BOB { outcome.clone() } else { Outcome::Busy }
            },
        );
        let answer = app.call("POST", "/session", Some(pair())).await;
        answer.assert_error(502, "provider_rejected");
        assert!(answer.body.contains(words), "{answer:?}");
        assert_eq!(app.call("GET", "/tn", None).await.json()["available"], 1);
        assert_eq!(app.call("GET", "/session", None).await.json()["total_sessions"], 0);
        assert_eq!(app.provider.asked(), 2, "no end notice is sent");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_start_is_rolled_back_even_if_the_store_fails_for_a_moment() {
    let app = App::new();
    app.add_tn(TN).await;
    let db = rusqlite::Connection::open(app.database()).unwrap();
    db.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    db.execute_batch(
        "CREATE TRIGGER no_end BEFORE UPDATE OF ended_at ON session BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    .unwrap();
    app.provider.always(Outcome::Refused);
    let opening = tokio::spawn({
        let app = app.clone();
        async move { app.call("POST", "/session", Some(pair())).await }
    });
    while app.provider.asked() < 2 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(!opening.is_finished(), "the rollback is retried");
    db.execute_batch("DROP TRIGGER no_end").unwrap();
    opening.await.unwrap().assert_error(502, "provider_rejected");
    assert_eq!(app.call("GET", "/tn", None).await.json()["available"], 1);
}

async fn a_delayed_or_lost_start_notice_does_not_roll_the_session_back(backend: Backend) {
    for outcome in [Outcome::Busy, Outcome::SentNoResponse, Outcome::LostNoResponse] {
        let app = backend.app().await;
        app.add_tn(TN).await;
        app.provider.always(outcome);
        app.open_session(ALICE, BOB, None).await;
        assert_eq!(app.call("GET", "/session", None).await.json()["total_sessions"], 1);
    }
}

async fn a_session_ends_whatever_happens_to_its_end_notices(backend: Backend) {
    for outcome in [Outcome::Refused, Outcome::BadCredentials, Outcome::Busy, Outcome::LostNoResponse] {
        let app = backend.app().await;
        let session = app.conversation(None).await;
        app.provider.always(outcome);
        let answer = app.call("DELETE", "/session", Some(json!({"session_id": session["session_id"]}))).await;
        assert_eq!(answer.status, 200);
        assert_eq!(app.call("GET", "/tn", None).await.json()["available"], 1);
    }
}

async fn sessions_are_listed_oldest_first_and_in_pages(backend: Backend) {
    let app = backend.app().await;
    let mut opened = Vec::new();
    for n in 0..5 {
        app.add_tn(&number(n)).await;
        opened.push(app.open_session(&fresh_number(), &fresh_number(), None).await["session_id"].clone());
        app.clock.advance(TimeDelta::milliseconds(1));
    }
    let mut seen = Vec::new();
    let mut path = "/session?limit=2".to_owned();
    loop {
        let page = app.call("GET", &path, None).await.json();
        assert_eq!(page["total_sessions"], 5);
        seen.extend(page["sessions"].as_array().unwrap().iter().map(|session| session["id"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/session?limit=2&after={next}");
    }
    assert_eq!(seen, opened);
    for bad in ["", "x", "1-2", "12065551212"] {
        app.call("GET", &format!("/session?limit=2&after={bad}"), None)
            .await
            .assert_error(400, "invalid_after");
    }
}

async fn the_start_notice_has_the_kind_start(backend: Backend) {
    let app = backend.app().await;
    app.add_tn(TN).await;
    app.provider.script(|message| {
        assert_eq!(message.text.kind, Kind::Start);
        Outcome::Sent
    });
    app.open_session(ALICE, BOB, None).await;
    assert_eq!(app.provider.asked(), 2);
}
