//! Texts that the provider does not take, and their retries.

use chrono::TimeDelta;
use serde_json::json;
use test_support::{
    ALICE, App, BOB, Backend, EVE, NOT_DELIVERED, Outcome, TN, flat, fresh_id, fresh_number, logged,
    on_each_backend, unpaced,
};
use tokio::task::JoinSet;

on_each_backend! {
    a_text_that_the_provider_does_not_take_arrives_once_when_it_does
    the_pause_between_attempts_grows_to_a_quarter_of_an_hour
    a_refused_text_is_sent_once_and_its_reason_is_stored
    a_refused_start_message_cancels_the_other_one
    a_delayed_text_never_reaches_anybody_after_its_session_has_ended
    a_delayed_text_is_not_delivered_once_its_session_has_expired
    notices_are_delivered_after_the_end_of_their_session
    maintenance_ends_expired_sessions_and_tells_both_once
    without_a_configured_text_an_expiry_sends_no_notices
    the_outbox_is_drained_oldest_first
    draining_stops_early_at_a_provider_that_takes_nothing
    rejected_credentials_lose_nothing_and_the_log_names_the_action
    messages_are_listed_in_pages_and_only_for_stored_sessions
    texts_that_are_too_old_do_not_hold_up_fresh_ones
}

on_each_backend! { slow:
    a_text_that_is_not_taken_for_a_day_has_failed
}

on_each_backend! { with 4 threads:
    two_concurrent_rounds_of_maintenance_send_each_text_once
}

async fn a_text_that_the_provider_does_not_take_arrives_once_when_it_does(backend: Backend) {
    for outcome in [Outcome::Busy, Outcome::BadCredentials] {
        let app = backend.app().await;
        let session = app.conversation(None).await;
        app.provider.always(outcome);
        let payload = flat(&fresh_id(), ALICE, TN, "be patient");
        for _ in 0..3 {
            assert_eq!(app.post(&payload).await.status, 200, "it is stored and must not be sent again");
            app.clock.advance(TimeDelta::seconds(30));
            app.maintain().await;
        }
        assert_eq!(app.provider.bodies(), [""; 0]);
        assert_eq!(app.relays(&session).await, ["waiting"]);
        app.provider.always(Outcome::Sent);
        app.settle_everything().await;
        assert_eq!(app.provider.taken_by(), [(BOB.to_owned(), "be patient".to_owned())]);
        assert_eq!(app.relays(&session).await, ["sent"]);
    }
}

async fn the_pause_between_attempts_grows_to_a_quarter_of_an_hour(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    app.provider.always(Outcome::Busy);
    app.text(ALICE, TN, "hi").await;
    app.maintain().await;
    assert_eq!(app.provider.asked(), 1, "it is not due yet");
    app.clock.advance(TimeDelta::milliseconds(1250));
    app.maintain().await;
    assert_eq!(app.provider.asked(), 2);
    for _ in 0..11 {
        app.clock.advance(TimeDelta::minutes(15));
        app.maintain().await;
    }
    assert_eq!(app.provider.asked(), 13);
    app.clock.advance(TimeDelta::minutes(11));
    app.maintain().await;
    assert_eq!(app.provider.asked(), 13, "the thirteenth pause is longer than eleven minutes");
    app.clock.advance(TimeDelta::minutes(4));
    app.maintain().await;
    assert_eq!(app.provider.asked(), 14);
}

async fn a_text_that_is_not_taken_for_a_day_has_failed(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    app.provider.always(Outcome::Busy);
    app.text(ALICE, TN, "hi").await;
    for _ in 0..97 {
        app.clock.advance(TimeDelta::minutes(15));
        app.maintain().await;
    }
    let messages = app.messages(&session).await;
    assert_eq!(messages[2]["state"], "failed");
    assert!(messages[2]["reason"].as_str().unwrap().contains("24 hours"), "{messages:?}");
    app.provider.always(Outcome::Sent);
    app.settle_everything().await;
    assert_eq!(app.provider.taken_by(), [(ALICE.to_owned(), NOT_DELIVERED.to_owned())]);
}

async fn a_refused_text_is_sent_once_and_its_reason_is_stored(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    app.provider.always(Outcome::Refused);
    app.text(ALICE, TN, "no way").await;
    app.settle_everything().await;
    assert_eq!(app.provider.asked(), 2, "the text, and the notice to its sender");
    let message = &app.messages(&session).await[2];
    assert_eq!((&message["state"], &message["attempts"]), (&json!("failed"), &json!(1)));
    assert_eq!(message["reason"], "refused with 422: as scripted");
    assert_eq!((&message["from"], &message["to"]), (&json!("participant_a"), &json!("participant_b")));
    let shown = message.to_string();
    assert!(![ALICE, BOB, TN, "no way"].iter().any(|secret| shown.contains(secret)), "{shown}");
}

async fn a_refused_start_message_cancels_the_other_one(backend: Backend) {
    for outcome in [Outcome::Busy, Outcome::SentNoResponse, Outcome::LostNoResponse, Outcome::Sent] {
        let app = backend.app().await;
        app.add_tn(TN).await;
        let other = outcome.clone();
        app.provider.script(
            move |message| {
                if message.text.to.digits() == ALICE { Outcome::Refused } else { other.clone() }
            },
        );
        let body = json!({"participant_a": ALICE, "participant_b": BOB});
        app.call("POST", "/session", Some(body)).await.assert_error(502, "provider_rejected");
        app.provider.always(Outcome::Sent);
        app.settle_everything().await;
        let left = usize::from(matches!(outcome, Outcome::Sent | Outcome::SentNoResponse));
        assert_eq!((app.provider.taken().len(), app.provider.asked()), (left, 2), "{outcome:?}");
        assert_eq!(app.call("GET", "/tn", None).await.json()["available"], 1);
    }
}

async fn a_delayed_text_never_reaches_anybody_after_its_session_has_ended(backend: Backend) {
    for outcome in [Outcome::Busy, Outcome::LostNoResponse, Outcome::Crash] {
        let app = backend.app().await;
        let first = app.conversation(None).await;
        app.provider.always(outcome.clone());
        let status = app.post(flat(&fresh_id(), ALICE, TN, "for the first session only")).await.status;
        assert!(status == 200 || status == 500);
        app.provider.always(Outcome::Sent);
        app.end_session(&first).await;
        let second = app.open_session(ALICE, EVE, None).await;
        assert_eq!(second["virtual_tn"], TN);
        app.settle_everything().await;
        assert_eq!(app.relays(&first).await, ["cancelled"], "{outcome:?}");
        assert!(!app.provider.bodies().contains(&"for the first session only".to_owned()));
    }
}

async fn a_delayed_text_is_not_delivered_once_its_session_has_expired(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(Some(1)).await;
    app.provider.always(Outcome::Busy);
    app.text(ALICE, TN, "late").await;
    app.provider.always(Outcome::Sent);
    app.settle_everything().await;
    assert_eq!(app.relays(&session).await, ["cancelled"]);
    let expired = "[YOUR ORG NAME]: This session has expired.";
    assert_eq!(app.provider.taken_by(), [ALICE, BOB].map(|to| (to.to_owned(), expired.to_owned())));
}

async fn notices_are_delivered_after_the_end_of_their_session(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    app.provider.always(Outcome::Busy);
    app.end_session(&session).await;
    app.provider.always(Outcome::Sent);
    app.settle_everything().await;
    assert_eq!(app.provider.taken().len(), 2);
}

async fn maintenance_ends_expired_sessions_and_tells_both_once(backend: Backend) {
    let app = backend.app().await;
    app.conversation(Some(1)).await;
    app.clock.advance(TimeDelta::minutes(1));
    assert_eq!(app.maintain().await.expired, 1);
    assert_eq!(app.maintain().await.expired, 0);
    app.text(ALICE, TN, "anybody there?").await;
    let mut told: Vec<String> = app.provider.taken_by().into_iter().map(|(to, _)| to).collect();
    told.dedup();
    assert_eq!((told, app.provider.asked()), (vec![ALICE.to_owned(), BOB.to_owned()], 3));
}

async fn without_a_configured_text_an_expiry_sends_no_notices(backend: Backend) {
    let mut options = unpaced();
    options.wording.session_expired = String::new();
    let app = backend.app_with(options).await;
    app.conversation(Some(1)).await;
    app.clock.advance(TimeDelta::minutes(1));
    assert_eq!(app.maintain().await.expired, 1);
    assert_eq!(app.provider.asked(), 0);
}

#[tokio::test]
async fn what_is_past_its_retention_is_forgotten_and_what_is_not_settled_is_kept() {
    let app = App::new();
    let ended = app.conversation(None).await;
    app.text(ALICE, TN, "hi").await;
    app.end_session(&ended).await;
    let live = app.open_session(ALICE, BOB, None).await;
    app.clock.advance(TimeDelta::days(30) + TimeDelta::milliseconds(1));
    assert!(app.maintain().await.forgotten > 0);
    let path = |session: &serde_json::Value| {
        format!("/message?session_id={}", session["session_id"].as_str().unwrap())
    };
    app.call("GET", &path(&ended), None).await.assert_error(404, "session_not_found");
    assert_eq!(app.call("GET", &path(&live), None).await.status, 200);
    app.text(ALICE, TN, "still here").await;
}

async fn two_concurrent_rounds_of_maintenance_send_each_text_once(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    for round in 0..backend.many(50, 5) {
        app.provider.clear();
        app.provider.always(Outcome::Busy);
        for n in 0..5 {
            app.text(ALICE, TN, &format!("{round} {n}")).await;
        }
        app.provider.always(Outcome::Sent);
        app.clock.advance(TimeDelta::seconds(2));
        let mut work = JoinSet::new();
        for _ in 0..2 {
            let app = app.clone();
            work.spawn(async move { assert!(app.maintain().await.sent <= 5) });
        }
        let other = app.clone();
        work.spawn(async move { other.text(BOB, TN, "meanwhile").await });
        work.join_all().await;
        app.maintain().await;
        let mut bodies = app.provider.bodies();
        bodies.sort();
        let mut expected: Vec<String> = (0..5).map(|n| format!("{round} {n}")).collect();
        expected.push("meanwhile".into());
        assert_eq!(bodies, expected);
    }
}

async fn the_outbox_is_drained_oldest_first(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    app.provider.always(Outcome::Busy);
    let bodies: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    for body in &bodies {
        app.text(ALICE, TN, body).await;
        app.clock.advance(TimeDelta::milliseconds(1));
    }
    app.provider.clear();
    app.provider.always(Outcome::Sent);
    app.clock.advance(TimeDelta::seconds(2));
    assert_eq!(app.maintain().await.sent, 20);
    assert_eq!(app.provider.bodies(), bodies);
}

async fn draining_stops_early_at_a_provider_that_takes_nothing(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    app.provider.always(Outcome::Busy);
    for n in 0..100 {
        app.text(ALICE, TN, &n.to_string()).await;
    }
    app.provider.clear();
    app.clock.advance(TimeDelta::seconds(2));
    app.maintain().await;
    assert!(app.provider.asked() <= 16, "{} attempts", app.provider.asked());
}

async fn rejected_credentials_lose_nothing_and_the_log_names_the_action(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    app.provider.always(Outcome::BadCredentials);
    for n in 0..5 {
        app.text(ALICE, TN, &format!("text {n}")).await;
    }
    app.clock.advance(TimeDelta::hours(3));
    app.maintain().await;
    assert_eq!(app.relays(&session).await, ["waiting"; 5]);
    let lines = logged();
    assert!(lines.contains("ERROR") && lines.contains("FLOWROUTE_SECRET_KEY"), "{lines}");
    assert!(![ALICE, BOB, TN, "text 0"].iter().any(|secret| lines.contains(secret)), "{lines}");
    app.provider.always(Outcome::Sent);
    app.settle_everything().await;
    assert_eq!(app.provider.taken().len(), 5);
}

async fn messages_are_listed_in_pages_and_only_for_stored_sessions(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    for _ in 0..3 {
        app.text(BOB, TN, "hi").await;
    }
    app.text(&fresh_number(), TN, "a stranger's text is not of this session").await;
    let id = session["session_id"].as_str().unwrap();
    let all = app.messages(&session).await;
    let kinds: Vec<&str> = all.iter().map(|message| message["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["start", "start", "relay", "relay", "relay"]);
    assert_eq!(
        (&all[0]["from"], &all[2]["from"], &all[2]["to"]),
        (&json!("service"), &json!("participant_b"), &json!("participant_a"))
    );
    let first = app.call("GET", &format!("/message?session_id={id}&limit=3"), None).await.json();
    let next = first["next"].as_str().unwrap();
    let second =
        app.call("GET", &format!("/message?session_id={id}&limit=3&after={next}"), None).await.json();
    let paged =
        [first["messages"].as_array().unwrap().as_slice(), second["messages"].as_array().unwrap()].concat();
    assert_eq!((paged, &second["next"]), (all, &serde_json::Value::Null));
    app.call("GET", "/message", None).await.assert_error(400, "missing_field");
    for unknown in ["x", &"a".repeat(32)] {
        let path = format!("/message?session_id={unknown}");
        app.call("GET", &path, None).await.assert_error(404, "session_not_found");
    }
}

async fn texts_that_are_too_old_do_not_hold_up_fresh_ones(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    app.provider.always(Outcome::Busy);
    for n in 0..60 {
        app.text(ALICE, TN, &format!("old {n}")).await;
    }
    app.clock.advance(TimeDelta::hours(25));
    app.text(ALICE, TN, "fresh").await;
    app.provider.always(Outcome::Sent);
    app.clock.advance(TimeDelta::seconds(2));
    app.maintain().await;
    assert_eq!(app.provider.bodies(), ["fresh", NOT_DELIVERED]);
}
