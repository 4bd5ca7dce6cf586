//! Reconciliation of unknown outcomes with the provider's list.

use chrono::TimeDelta;
use serde_json::json;
use test_support::{ALICE, App, BOB, Backend, Outcome, TN, flat, fresh_id, on_each_backend};

on_each_backend! {
    a_text_that_the_list_shows_is_not_sent_again
    white_space_and_quotes_may_differ_in_the_list
    a_text_that_two_readings_do_not_show_is_sent_again_once
    one_late_reading_alone_does_not_decide
    while_the_list_cannot_be_read_nothing_is_sent_and_after_a_day_it_is_unknown_for_good
    another_text_between_the_two_leaves_it_undecided
    media_without_a_text_stay_undecided
    rows_from_before_the_attempt_do_not_count
    two_equal_texts_are_never_credited_to_the_same_row
    of_two_equal_unknown_texts_one_row_settles_one
    a_text_whose_sending_process_died_is_reconciled
    an_unknown_text_of_an_ended_session_is_credited_or_cancelled_and_never_sent
    the_list_is_read_once_for_all_and_not_in_every_round
    a_list_is_not_read_for_what_it_cannot_settle
    an_old_text_that_stays_undecided_does_not_keep_newer_ones_from_being_reconciled
}

/// A conversation in which a text of Alice's got this outcome.
async fn with_unknown(backend: Backend, outcome: Outcome, body: &str) -> (App, serde_json::Value) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    app.provider.always(outcome);
    app.text(ALICE, TN, body).await;
    app.provider.always(Outcome::Sent);
    (app, session)
}

async fn a_text_that_the_list_shows_is_not_sent_again(backend: Backend) {
    let (app, session) = with_unknown(backend, Outcome::SentNoResponse, "hello").await;
    assert_eq!(app.relays(&session).await, ["unknown"]);
    assert_eq!(app.maintain().await.found, 1);
    app.settle_everything().await;
    assert_eq!((app.provider.asked(), app.provider.taken().len()), (1, 1));
    let message = &app.messages(&session).await[2];
    assert_eq!((&message["state"], &message["reason"]), (&json!("sent"), &json!(null)));
    assert!(message["provider_id"].as_str().unwrap().starts_with("mdr2-"));
}

async fn white_space_and_quotes_may_differ_in_the_list(backend: Backend) {
    let (app, session) = with_unknown(backend, Outcome::SentNoResponse, "she said  “don’t”\n\tgo ").await;
    app.provider.edit_list(|rows| rows.last_mut().unwrap().body = "she said \"don't\" go".into());
    assert_eq!(app.maintain().await.found, 1);
    assert_eq!(app.relays(&session).await, ["sent"]);
}

async fn a_text_that_two_readings_do_not_show_is_sent_again_once(backend: Backend) {
    let (app, session) = with_unknown(backend, Outcome::LostNoResponse, "hello").await;
    app.maintain().await;
    app.clock.advance(TimeDelta::seconds(299));
    assert_eq!(app.maintain().await.absent, 0, "it is too early to say");
    assert_eq!(app.provider.asked(), 1);
    app.clock.advance(TimeDelta::seconds(30));
    assert_eq!(app.maintain().await.absent, 1);
    app.settle_everything().await;
    assert_eq!(app.provider.taken_by(), [(BOB.to_owned(), "hello".to_owned())]);
    assert_eq!((app.provider.asked(), app.relays(&session).await), (2, vec![json!("sent")]));
}

async fn one_late_reading_alone_does_not_decide(backend: Backend) {
    let (app, _) = with_unknown(backend, Outcome::LostNoResponse, "hello").await;
    app.clock.advance(TimeDelta::seconds(1000));
    assert_eq!(app.maintain().await.absent, 0);
    app.clock.advance(TimeDelta::seconds(30));
    assert_eq!(app.maintain().await.absent, 1);
}

async fn while_the_list_cannot_be_read_nothing_is_sent_and_after_a_day_it_is_unknown_for_good(
    backend: Backend,
) {
    let (app, session) = with_unknown(backend, Outcome::LostNoResponse, "hello").await;
    app.provider.list_is_down(true);
    for _ in 0..23 {
        app.clock.advance(TimeDelta::hours(1));
        app.maintain().await;
    }
    let message = app.messages(&session).await[2].clone();
    assert_eq!((&message["state"], &message["date_settled"]), (&json!("unknown"), &json!(null)));
    app.clock.advance(TimeDelta::hours(1));
    assert_eq!(app.maintain().await.given_up, 1);
    app.provider.list_is_down(false);
    app.settle_everything().await;
    let message = app.messages(&session).await[2].clone();
    assert_eq!(message["state"], "unknown");
    assert!(message["date_settled"].is_string());
    assert_eq!(app.provider.asked(), 1);
}

async fn another_text_between_the_two_leaves_it_undecided(backend: Backend) {
    let (app, session) = with_unknown(backend, Outcome::SentNoResponse, "hello").await;
    app.provider.edit_list(|rows| rows.last_mut().unwrap().body = "hel".into());
    app.settle_everything().await;
    assert_eq!((app.provider.asked(), app.relays(&session).await), (1, vec![json!("unknown")]));
}

async fn media_without_a_text_stay_undecided(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    app.provider.always(Outcome::LostNoResponse);
    let included = json!([{"type": "media", "attributes": {"url": "https://media.example/1.png"}}]);
    let attributes = json!({"from": ALICE, "to": TN, "body": null});
    let data = json!({"type": "message", "id": fresh_id(), "attributes": attributes});
    assert_eq!(app.post(json!({"data": data, "included": included})).await.status, 200);
    app.provider.always(Outcome::Sent);
    app.settle_everything().await;
    assert_eq!((app.provider.asked(), app.relays(&session).await), (1, vec![json!("unknown")]));
}

async fn rows_from_before_the_attempt_do_not_count(backend: Backend) {
    let (app, session) = with_unknown(backend, Outcome::SentNoResponse, "hello").await;
    let before = app.clock.now() - TimeDelta::seconds(61);
    app.provider.edit_list(|rows| rows.last_mut().unwrap().sent_at = Some(before));
    app.settle_everything().await;
    assert_eq!((app.provider.asked(), app.relays(&session).await), (2, vec![json!("sent")]));
}

async fn two_equal_texts_are_never_credited_to_the_same_row(backend: Backend) {
    for (outcome, asked) in [(Outcome::LostNoResponse, 3), (Outcome::SentNoResponse, 2)] {
        let (app, session) = with_unknown(backend, outcome, "ok").await;
        app.clock.advance(TimeDelta::milliseconds(1));
        app.text(ALICE, TN, "ok").await;
        assert_eq!(app.relays(&session).await, ["unknown", "sent"]);
        app.settle_everything().await;
        assert_eq!(app.provider.bodies(), ["ok", "ok"]);
        assert_eq!((app.provider.asked(), app.relays(&session).await), (asked, vec![json!("sent"); 2]));
        let ids: Vec<_> =
            app.messages(&session).await[2..].iter().map(|m| m["provider_id"].clone()).collect();
        assert_ne!(ids[0], ids[1]);
    }
}

async fn of_two_equal_unknown_texts_one_row_settles_one(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    app.provider.always(Outcome::SentNoResponse);
    app.text(ALICE, TN, "ok").await;
    app.provider.always(Outcome::LostNoResponse);
    app.text(ALICE, TN, "ok").await;
    app.provider.always(Outcome::Sent);
    assert_eq!(app.maintain().await.found, 1);
    app.settle_everything().await;
    assert_eq!(app.provider.bodies(), ["ok", "ok"]);
    assert_eq!(app.relays(&session).await, ["sent", "sent"]);
}

async fn a_text_whose_sending_process_died_is_reconciled(backend: Backend) {
    for (outcome, asked) in [(Outcome::SentThenCrash, 1), (Outcome::Crash, 2)] {
        let app = backend.app().await;
        let session = app.conversation(None).await;
        app.provider.always(outcome);
        let payload = flat(&fresh_id(), ALICE, TN, "hello");
        assert_eq!(app.post(&payload).await.status, 500);
        app.provider.always(Outcome::Sent);
        assert_eq!(app.post(&payload).await.status, 200, "it is stored");
        app.maintain().await;
        assert_eq!(app.relays(&session).await, ["sending"], "its lease has not run out");
        app.settle_everything().await;
        assert_eq!(app.provider.taken_by(), [(BOB.to_owned(), "hello".to_owned())]);
        assert_eq!((app.provider.asked(), app.relays(&session).await), (asked, vec![json!("sent")]));
    }
}

async fn an_unknown_text_of_an_ended_session_is_credited_or_cancelled_and_never_sent(backend: Backend) {
    for (outcome, state) in [(Outcome::SentNoResponse, "sent"), (Outcome::LostNoResponse, "cancelled")] {
        let (app, session) = with_unknown(backend, outcome, "hello").await;
        app.end_session(&session).await;
        app.settle_everything().await;
        assert_eq!(app.relays(&session).await, [state]);
        assert_eq!(app.provider.asked(), 3, "the text and two end messages");
    }
}

async fn the_list_is_read_once_for_all_and_not_in_every_round(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    app.provider.always(Outcome::LostNoResponse);
    for n in 0..10 {
        app.text(ALICE, TN, &n.to_string()).await;
    }
    for _ in 0..6 {
        app.maintain().await;
        app.clock.advance(TimeDelta::seconds(5));
    }
    assert_eq!(app.provider.readings(), 1);
    app.maintain().await;
    assert_eq!(app.provider.readings(), 2);
}

async fn a_list_is_not_read_for_what_it_cannot_settle(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    app.provider.always(Outcome::LostNoResponse);
    let included = json!([{"type": "media", "attributes": {"url": "https://media.example/1.png"}}]);
    let data = json!({"type": "message", "id": fresh_id(), "attributes": {"from": ALICE, "to": TN}});
    assert_eq!(app.post(json!({"data": data, "included": included})).await.status, 200);
    app.settle_everything().await;
    assert_eq!(app.provider.readings(), 0);
}

async fn an_old_text_that_stays_undecided_does_not_keep_newer_ones_from_being_reconciled(backend: Backend) {
    let (app, session) = with_unknown(backend, Outcome::LostNoResponse, "old").await;
    app.clock.advance(TimeDelta::hours(10));
    app.provider.list_fails_before(app.clock.now() - TimeDelta::minutes(5));
    app.provider.always(Outcome::SentNoResponse);
    for n in 0..5 {
        app.text(ALICE, TN, &format!("new {n}")).await;
    }
    app.provider.always(Outcome::Sent);
    for _ in 0..6 {
        app.maintain().await;
        app.clock.advance(TimeDelta::seconds(30));
    }
    let states = app.relays(&session).await;
    assert_eq!(states[0], "unknown");
    assert!(states[1..].iter().filter(|state| **state == "sent").count() >= 3, "{states:?}");
    assert_eq!(app.provider.asked(), 6);
}
