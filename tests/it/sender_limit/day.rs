//! Texts beyond the limit of a day fail, and their sender is told.

use super::{arrived, limited, numbers, texts};
use crate::lambda::function::Cloud;
use chrono::TimeDelta;
use serde_json::{Value, json};
use test_support::{
    ALICE, App, BOB, Backend, EVE, NOT_DELIVERED, TN, events::HTTP_DEFAULT, flat, fresh_id, on_each_backend,
    pair,
};

on_each_backend! {
    texts_beyond_the_limit_of_a_day_fail_with_the_reason_and_the_sender_is_told_once_an_hour
    a_day_ends_24_hours_after_each_text
    texts_that_failed_for_the_limit_do_not_count
    a_repeated_text_that_failed_stays_failed
    the_limit_is_for_each_sender_and_session
}

on_each_backend! { slow:
    by_default_the_thousand_and_first_text_of_a_day_fails
}

on_each_backend! { with 2 threads:
    a_function_lets_texts_wait_and_fail
}

const REASON: &str = "its sender has sent more texts in 24 hours than SENDER_TEXTS_PER_DAY";

/// The states and reasons of the relays of a session.
async fn relays(app: &App, session: &Value) -> Vec<(Value, Value)> {
    let relays = app.messages(session).await.into_iter().filter(|message| message["kind"] == "relay");
    relays.map(|relay| (relay["state"].clone(), relay["reason"].clone())).collect()
}

async fn texts_beyond_the_limit_of_a_day_fail_with_the_reason_and_the_sender_is_told_once_an_hour(
    backend: Backend,
) {
    let (app, session) = limited(backend, 100, 3).await;
    texts(&app, 0..6).await;
    app.maintain().await;
    let taken: Vec<_> = app.provider.taken().into_iter().map(|text| (text.to, text.body)).collect();
    let mut expected: Vec<_> = numbers(0..3).into_iter().map(|body| (BOB.to_owned(), body)).collect();
    expected.push((ALICE.to_owned(), NOT_DELIVERED.to_owned()));
    assert_eq!(taken, expected);
    let sent = (json!("sent"), json!(null));
    let failed = (json!("failed"), json!(REASON));
    assert_eq!(relays(&app, &session).await, [vec![sent; 3], vec![failed; 3]].concat());
    app.provider.clear();
    app.clock.advance(TimeDelta::hours(1));
    texts(&app, 6..8).await;
    app.maintain().await;
    assert_eq!(app.provider.taken_by(), [(ALICE.to_owned(), NOT_DELIVERED.to_owned())]);
}

async fn by_default_the_thousand_and_first_text_of_a_day_fails(backend: Backend) {
    let per_day = sms_proxy::service::Options::default().sender_limit.per_day;
    // The limit of a minute is another.
    let (app, session) = limited(backend, 1_000, per_day).await;
    texts(&app, 0..1_001).await;
    assert_eq!(arrived(&app), numbers(0..1_000));
    assert_eq!(relays(&app, &session).await.pop().unwrap(), (json!("failed"), json!(REASON)));
}

async fn a_day_ends_24_hours_after_each_text(backend: Backend) {
    let (app, _) = limited(backend, 100, 2).await;
    let hour = TimeDelta::hours(1);
    app.text(ALICE, TN, "at 0:00").await;
    app.clock.advance(hour);
    app.text(ALICE, TN, "at 1:00").await;
    app.clock.advance(hour * 23 - TimeDelta::milliseconds(1));
    app.text(ALICE, TN, "too early").await;
    app.clock.advance(TimeDelta::milliseconds(1));
    app.text(ALICE, TN, "at 24:00").await;
    app.text(ALICE, TN, "too many").await;
    app.clock.advance(hour);
    app.text(ALICE, TN, "at 25:00").await;
    assert_eq!(arrived(&app), ["at 0:00", "at 1:00", "at 24:00", "at 25:00"]);
}

async fn texts_that_failed_for_the_limit_do_not_count(backend: Backend) {
    let (app, _) = limited(backend, 100, 5).await;
    texts(&app, 0..5).await;
    app.clock.advance(TimeDelta::hours(20));
    texts(&app, 5..9).await;
    arrived(&app);
    app.clock.advance(TimeDelta::hours(4));
    texts(&app, 9..15).await;
    assert_eq!(arrived(&app), numbers(9..14));
}

async fn a_repeated_text_that_failed_stays_failed(backend: Backend) {
    let (app, session) = limited(backend, 100, 1).await;
    texts(&app, 0..1).await;
    let failed = flat(&fresh_id(), ALICE, TN, "beyond");
    for later in [TimeDelta::zero(), TimeDelta::minutes(2), TimeDelta::hours(24)] {
        app.clock.advance(later);
        assert_eq!(app.post(&failed).await.status, 200);
    }
    assert_eq!(arrived(&app), ["0"]);
    assert_eq!(app.relays(&session).await, ["sent", "failed"]);
}

async fn the_limit_is_for_each_sender_and_session(backend: Backend) {
    let (app, session) = limited(backend, 100, 2).await;
    texts(&app, 0..3).await;
    assert_eq!(arrived(&app), numbers(0..2));
    for body in ["one", "two", "three"] {
        app.text(BOB, TN, body).await;
    }
    assert_eq!(arrived(&app), ["one", "two"], "the other participant");
    app.end_session(&session).await;
    app.clock.advance(TimeDelta::seconds(1));
    app.open_session(ALICE, BOB, None).await;
    app.provider.clear();
    texts(&app, 3..6).await;
    assert_eq!(arrived(&app), numbers(3..5), "the next session of the same people");
    app.add_tn("12062992130").await;
    app.open_session(ALICE, EVE, None).await;
    app.provider.clear();
    app.text(ALICE, "12062992130", "to Eve").await;
    assert_eq!(arrived(&app), ["to Eve"], "another session of the sender");
}

async fn a_function_lets_texts_wait_and_fail(backend: Backend) {
    let cloud = Cloud::on(backend).await;
    let settings =
        [("FLOWROUTE_MAX_PER_SECOND", "0"), ("SENDER_TEXTS_PER_MINUTE", "2"), ("SENDER_TEXTS_PER_DAY", "3")];
    let function = cloud.instance_with(HTTP_DEFAULT, &settings).await;
    function.ok("POST", "/tn", Some(json!({"value": TN}))).await;
    let session = function.ok("POST", "/session", Some(pair())).await;
    cloud.flowroute.clear();
    for n in numbers(0..5) {
        function.deliver(&flat(&fresh_id(), ALICE, TN, &n)).await;
    }
    assert_eq!(cloud.flowroute.taken(), [(BOB.to_owned(), "0".to_owned()), (BOB.to_owned(), "1".to_owned())]);
    let messages = function.messages(session["session_id"].as_str().unwrap()).await;
    let relays = messages.iter().filter(|message| message["kind"] == "relay");
    let states: Vec<_> = relays.map(|relay| &relay["state"]).collect();
    assert_eq!(states, ["sent", "sent", "waiting", "failed", "failed"]);
    cloud.flowroute.clear();
    function.maintain().await;
    assert_eq!(cloud.flowroute.taken(), [(ALICE.to_owned(), NOT_DELIVERED.to_owned())]);
}
