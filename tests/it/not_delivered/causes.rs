//! Why a text fails for good, and that its sender is told.

use super::{notices, refused, told, told_next};
use chrono::TimeDelta;
use serde_json::json;
use test_support::{
    ALICE, App, BOB, Backend, EVE, NOT_DELIVERED, Outcome, TN, number, on_each_backend, unpaced,
};

on_each_backend! {
    the_sender_of_a_refused_text_is_told
    the_sender_of_a_text_that_was_not_taken_for_24_hours_is_told
    the_sender_of_a_text_to_somebody_who_has_opted_out_is_told
    the_sender_of_a_text_that_waits_is_told_when_its_recipient_opts_out
    the_sender_is_told_when_flowroute_says_that_the_recipient_has_opted_out
    the_notice_is_shown_with_the_messages_of_the_session
    the_words_can_be_changed_or_switched_off
    nobody_is_told_of_a_text_that_arrives_or_may_still_arrive
    nobody_is_told_of_a_notice_that_failed
}

on_each_backend! { slow:
    nobody_is_told_while_the_outcome_is_unknown
}

async fn the_sender_of_a_refused_text_is_told(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    for sender in [ALICE, BOB] {
        refused(&app, sender, TN).await;
        assert_eq!(told_next(&app).await, [sender]);
    }
    app.settle_everything().await;
    assert_eq!(told(&app), [""; 0]);
}

async fn the_sender_of_a_text_that_was_not_taken_for_24_hours_is_told(backend: Backend) {
    for outcome in [Outcome::Busy, Outcome::BadCredentials] {
        let app = backend.app().await;
        let session = app.conversation(None).await;
        app.provider.always(outcome);
        app.text(BOB, TN, "hi").await;
        app.clock.advance(TimeDelta::hours(24) - TimeDelta::seconds(1));
        app.maintain().await;
        assert_eq!(notices(&app, &session).await, [[""; 2]; 0], "it may still be sent");
        app.provider.always(Outcome::Sent);
        app.clock.advance(TimeDelta::minutes(20));
        assert_eq!(told_next(&app).await, [BOB]);
        assert_eq!(app.relays(&session).await, ["failed"]);
    }
}

async fn the_sender_of_a_text_to_somebody_who_has_opted_out_is_told(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    app.text(BOB, TN, "STOP").await;
    assert_eq!(told_next(&app).await, [""; 0], "STOP is no text that could be delivered");
    app.text(ALICE, TN, "are you there?").await;
    assert_eq!(told_next(&app).await, [ALICE]);
    app.text(ALICE, TN, "are you there?").await;
    assert_eq!(told_next(&app).await, [""; 0]);
}

async fn the_sender_of_a_text_that_waits_is_told_when_its_recipient_opts_out(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    app.provider.always(Outcome::Busy);
    app.text(ALICE, TN, "hello?").await;
    app.provider.always(Outcome::Sent);
    app.text(BOB, TN, "STOP").await;
    app.clock.advance(TimeDelta::seconds(2));
    app.maintain().await;
    assert_eq!(app.provider.taken_by(), [(ALICE.to_owned(), NOT_DELIVERED.to_owned())]);
}

async fn the_sender_is_told_when_flowroute_says_that_the_recipient_has_opted_out(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    app.provider.always(Outcome::OptedOut);
    app.text(ALICE, TN, "hello?").await;
    app.provider.always(Outcome::Sent);
    assert_eq!(told_next(&app).await, [ALICE]);
    app.text(BOB, TN, "I can still write").await;
    assert_eq!(app.provider.bodies(), ["I can still write"]);
}

async fn the_notice_is_shown_with_the_messages_of_the_session(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    refused(&app, ALICE, TN).await;
    assert_eq!(notices(&app, &session).await, [["participant_a", "waiting"]], "stored with the failure");
    app.maintain().await;
    let notice = app.messages(&session).await.into_iter().find(|message| message["kind"] == "not_delivered");
    let notice = notice.unwrap();
    assert_eq!((&notice["from"], &notice["state"]), (&json!("service"), &json!("sent")));
    assert_eq!((&notice["reason"], &notice["attempts"]), (&json!(null), &json!(1)));
}

async fn the_words_can_be_changed_or_switched_off(backend: Backend) {
    for (words, notice) in [("Not sent!", Some("[CABS]: Not sent!")), ("", None), ("  ", None)] {
        let mut options = unpaced();
        (options.wording.org_name, options.wording.not_delivered) = ("Cabs".into(), words.into());
        let app = backend.app_with(options).await;
        let session = app.conversation(None).await;
        refused(&app, ALICE, TN).await;
        app.text(ALICE, TN, "STOP").await;
        app.text(ALICE, TN, "UNSTOP").await;
        app.settle_everything().await;
        assert_eq!(app.provider.bodies(), Vec::from_iter(notice), "{words:?}");
        assert_eq!(notices(&app, &session).await.len(), notice.iter().len(), "{words:?}");
    }
}

async fn nobody_is_told_while_the_outcome_is_unknown(backend: Backend) {
    for outcome in [Outcome::SentNoResponse, Outcome::LostNoResponse] {
        let app = backend.app().await;
        let session = app.conversation(None).await;
        app.provider.always(outcome);
        app.text(ALICE, TN, "hi").await;
        app.provider.always(Outcome::Sent);
        app.provider.list_is_down(true);
        for _ in 0..26 {
            app.clock.advance(TimeDelta::hours(1));
            app.maintain().await;
        }
        let message = app.messages(&session).await[2].clone();
        assert_eq!(message["state"], "unknown");
        assert_ne!(message["date_settled"], json!(null), "unknown for good");
        assert_eq!(notices(&app, &session).await, [[""; 2]; 0]);
    }
}

async fn nobody_is_told_of_a_text_that_arrives_or_may_still_arrive(backend: Backend) {
    for outcome in [Outcome::Sent, Outcome::Busy, Outcome::SentNoResponse, Outcome::LostNoResponse] {
        let app = backend.app().await;
        let session = app.conversation(None).await;
        app.provider.always(outcome);
        app.text(ALICE, TN, "hi").await;
        app.provider.always(Outcome::Sent);
        app.settle_everything().await;
        assert_eq!(app.provider.taken_by(), [(BOB.to_owned(), "hi".to_owned())]);
        assert_eq!(notices(&app, &session).await, [[""; 2]; 0]);
    }
}

/// The messages of the service that were tried and not sent, by their kind. Each failed for good.
async fn failed_notices(app: &App, session: &serde_json::Value) -> Vec<String> {
    let messages = app.messages(session).await.into_iter();
    let failed = messages.filter(|message| message["state"] == "failed" && message["kind"] != "relay");
    failed.map(|message| message["kind"].as_str().unwrap().to_owned()).collect()
}

async fn nobody_is_told_of_a_notice_that_failed(backend: Backend) {
    let app = backend.app().await;
    for n in 0..3 {
        app.add_tn(&number(n)).await;
    }
    // The starts are too old, the end and the expiry are refused, and so are a notice to a sender and a reply.
    app.provider.always(Outcome::Busy);
    let started = app.open_session(&number(10), &number(11), None).await;
    app.clock.advance(TimeDelta::hours(25));
    app.maintain().await;
    app.provider.always(Outcome::Refused);
    app.text(EVE, &number(0), "who are you?").await;
    app.provider.always(Outcome::Sent);
    let ended = app.open_session(&number(12), &number(13), None).await;
    let expired = app.open_session(&number(14), &number(15), Some(1)).await;
    app.provider.clear();
    app.provider.always(Outcome::Refused);
    let tn = started["virtual_tn"].as_str().unwrap();
    app.text(&number(10), tn, "hi").await;
    app.end_session(&ended).await;
    app.clock.advance(TimeDelta::minutes(2));
    app.settle_everything().await;
    assert_eq!(failed_notices(&app, &started).await, ["start", "start", "not_delivered"]);
    assert_eq!(failed_notices(&app, &ended).await, ["end", "end"]);
    assert_eq!(failed_notices(&app, &expired).await, ["expired", "expired"]);
    let asked = app.provider.asked();
    app.provider.always(Outcome::Sent);
    app.clock.advance(TimeDelta::hours(2));
    app.settle_everything().await;
    assert_eq!((app.provider.asked(), app.provider.taken()), (asked, vec![]));
}
