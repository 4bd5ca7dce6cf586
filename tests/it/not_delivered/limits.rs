//! Who is not told, and how often.

use super::{notices, refused, told, told_next};
use chrono::TimeDelta;
use test_support::{ALICE, BOB, Backend, EVE, NOT_DELIVERED, Outcome, TN, number, on_each_backend};

on_each_backend! {
    a_sender_is_told_once_an_hour_in_each_session
    a_sender_is_told_in_each_session
    a_clock_that_was_set_back_keeps_no_notice_away_for_long
    a_sender_who_has_opted_out_is_not_told
    a_sender_who_opts_out_before_the_notice_is_sent_does_not_get_it
    nobody_is_told_after_the_end_of_the_session
    nobody_is_told_after_the_expiry_of_the_session
    a_notice_that_waits_is_not_sent_after_the_session
}

async fn a_sender_is_told_once_an_hour_in_each_session(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    refused(&app, ALICE, TN).await;
    assert_eq!(told_next(&app).await, [ALICE]);
    let mut waited = TimeDelta::zero();
    for (millis, expected) in [(0, 0), (1, 0), (3_599_999, 0), (3_600_000, 1), (3_600_001, 0), (7_200_000, 1)]
    {
        app.clock.advance(TimeDelta::milliseconds(millis) - waited);
        waited = TimeDelta::milliseconds(millis);
        for _ in 0..3 {
            refused(&app, ALICE, TN).await;
        }
        assert_eq!(told_next(&app).await, vec![ALICE; expected], "after {millis} ms");
    }
    assert_eq!(notices(&app, &session).await, [["participant_a", "sent"]; 3]);
}

async fn a_sender_is_told_in_each_session(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    app.add_tn(&number(1)).await;
    app.open_session(ALICE, EVE, None).await;
    app.provider.clear();
    for (sender, tn) in [(ALICE, TN.to_owned()), (BOB, TN.to_owned()), (ALICE, number(1)), (EVE, number(1))] {
        refused(&app, sender, &tn).await;
        app.maintain().await;
        let told = app.provider.taken().into_iter().map(|text| (text.from, text.to, text.body));
        assert_eq!(Vec::from_iter(told), [(tn.clone(), sender.to_owned(), NOT_DELIVERED.to_owned())]);
        app.provider.clear();
        refused(&app, sender, &tn).await;
        assert_eq!(told_next(&app).await, [""; 0]);
    }
    // The next session of the same people on the same TN is another one.
    let sessions = app.call("GET", &format!("/session?participant={BOB}"), None).await.json();
    let mut first = sessions["sessions"][0].clone();
    first["session_id"] = first["id"].clone();
    app.end_session(&first).await;
    app.open_session(ALICE, BOB, None).await;
    app.provider.clear();
    refused(&app, ALICE, TN).await;
    assert_eq!(told_next(&app).await, [ALICE]);
}

async fn a_clock_that_was_set_back_keeps_no_notice_away_for_long(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    app.clock.advance(TimeDelta::days(3));
    refused(&app, ALICE, TN).await;
    assert_eq!(told_next(&app).await, [ALICE]);
    app.clock.advance(-TimeDelta::days(2));
    for expected in [1, 0] {
        refused(&app, ALICE, TN).await;
        assert_eq!(told_next(&app).await, vec![ALICE; expected]);
    }
}

async fn a_sender_who_has_opted_out_is_not_told(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    app.text(ALICE, TN, "STOP").await;
    refused(&app, ALICE, TN).await;
    app.text(BOB, TN, "STOP").await;
    app.text(ALICE, TN, "to one who has opted out, too").await;
    app.settle_everything().await;
    assert_eq!(app.relays(&session).await, ["failed", "failed"]);
    assert_eq!((told(&app), notices(&app, &session).await), (vec![], vec![]));
    app.text(ALICE, TN, "UNSTOP").await;
    app.text(ALICE, TN, "are you there?").await;
    assert_eq!(told_next(&app).await, [ALICE]);
}

async fn a_sender_who_opts_out_before_the_notice_is_sent_does_not_get_it(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    refused(&app, ALICE, TN).await;
    app.text(ALICE, TN, "STOP").await;
    app.settle_everything().await;
    assert_eq!(told(&app), [""; 0]);
    assert_eq!(notices(&app, &session).await, [["participant_a", "failed"]]);
}

async fn nobody_is_told_after_the_end_of_the_session(backend: Backend) {
    for outcome in [Outcome::Busy, Outcome::LostNoResponse, Outcome::Crash] {
        let app = backend.app().await;
        let session = app.conversation(None).await;
        app.provider.always(outcome.clone());
        let text = test_support::flat(&test_support::fresh_id(), ALICE, TN, "hi");
        assert!([200, 500].contains(&app.post(text).await.status));
        app.provider.always(Outcome::Sent);
        app.end_session(&session).await;
        app.provider.always(Outcome::Refused);
        app.settle_everything().await;
        app.clock.advance(TimeDelta::hours(25));
        app.settle_everything().await;
        assert_eq!(notices(&app, &session).await, [[""; 2]; 0], "{outcome:?}");
    }
}

async fn nobody_is_told_after_the_expiry_of_the_session(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(Some(24 * 60 + 5)).await;
    app.provider.always(Outcome::Busy);
    app.text(ALICE, TN, "hi").await;
    app.text(BOB, TN, "hi").await;
    app.clock.advance(TimeDelta::minutes(24 * 60 + 5));
    app.settle_everything().await;
    app.provider.always(Outcome::Sent);
    app.settle_everything().await;
    assert_eq!(notices(&app, &session).await, [[""; 2]; 0]);
    assert_eq!(told(&app), [""; 0]);
}

async fn a_notice_that_waits_is_not_sent_after_the_session(backend: Backend) {
    for minutes in [None, Some(5)] {
        let app = backend.app().await;
        let session = app.conversation(minutes).await;
        refused(&app, ALICE, TN).await;
        assert_eq!(notices(&app, &session).await, [["participant_a", "waiting"]]);
        match minutes {
            Some(_) => app.clock.advance(TimeDelta::minutes(5)),
            None => app.end_session(&session).await,
        }
        app.open_session(ALICE, BOB, None).await;
        app.settle_everything().await;
        assert_eq!(told(&app), [""; 0]);
        assert_eq!(notices(&app, &session).await, [["participant_a", "cancelled"]]);
    }
}
