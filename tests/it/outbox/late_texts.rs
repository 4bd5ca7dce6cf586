//! Texts that arrive after the session that they were sent in.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use test_support::{ALICE, App, BOB, Backend, EVE, Outcome, TN, fresh_id, on_each_backend};

on_each_backend! {
    the_first_session_of_a_number_loses_no_text_however_wrong_a_clock_is
    a_late_text_is_not_relayed_to_the_senders_next_partner
    only_the_senders_own_previous_session_counts
    a_late_text_after_the_session_is_answered_as_a_strangers
    a_session_that_was_not_created_makes_no_text_late
}

/// A text that Flowroute took at this time.
async fn text_at(app: &App, from: &str, time: DateTime<Utc>, body: &str) {
    let attributes = json!({"from": from, "to": TN, "body": body, "timestamp": time.to_rfc3339()});
    let text = json!({"data": {"id": fresh_id(), "type": "message", "attributes": attributes}});
    assert_eq!(app.post(text).await.status, 200);
}

/// The texts that reached people since the last call, without notices: the recipient and the text of each.
fn relayed(app: &App) -> Vec<(String, String)> {
    let mut taken = app.provider.taken_by();
    app.provider.clear();
    taken.retain(|(_, body)| !body.starts_with('['));
    taken
}

fn to(person: &str, body: &str) -> Vec<(String, String)> {
    vec![(person.to_owned(), body.to_owned())]
}

async fn the_first_session_of_a_number_loses_no_text_however_wrong_a_clock_is(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    for skew in [-90_000, -3_600, -300, -30, -5, -1, 0, 1, 30, 3_600, 90_000].map(TimeDelta::seconds) {
        text_at(&app, ALICE, app.clock.now() + skew, "hello").await;
        assert_eq!(relayed(&app), to(BOB, "hello"), "{skew}");
    }
}

async fn a_late_text_is_not_relayed_to_the_senders_next_partner(backend: Backend) {
    let app = backend.app().await;
    let first = app.conversation(None).await;
    app.clock.advance(TimeDelta::seconds(60));
    let end = app.clock.now();
    app.end_session(&first).await;
    app.clock.advance(TimeDelta::seconds(1));
    app.open_session(ALICE, EVE, None).await;
    app.clock.advance(TimeDelta::seconds(1));
    app.provider.clear();
    for before in [1, 500, 3_000, 3_600_000, 90_000_000].map(TimeDelta::milliseconds) {
        text_at(&app, ALICE, end - before, "where are you?").await;
        assert_eq!(relayed(&app), [], "{before}");
    }
    for after in [0, 1, 999, 2_000].map(TimeDelta::milliseconds) {
        text_at(&app, ALICE, end + after, "hello, Eve").await;
        assert_eq!(relayed(&app), to(EVE, "hello, Eve"), "{after}");
    }
}

async fn only_the_senders_own_previous_session_counts(backend: Backend) {
    let app = backend.app().await;
    let first = app.conversation(None).await;
    app.clock.advance(TimeDelta::seconds(60));
    app.end_session(&first).await;
    app.open_session(ALICE, EVE, None).await;
    app.provider.clear();
    // Eve had no session on this TN. Her clock is behind.
    text_at(&app, EVE, app.clock.now() - TimeDelta::minutes(10), "hello, Alice").await;
    assert_eq!(relayed(&app), to(ALICE, "hello, Alice"));
    // Flowroute's flat texts have no time.
    app.text(ALICE, TN, "hello, Eve").await;
    assert_eq!(relayed(&app), to(EVE, "hello, Eve"));
}

async fn a_late_text_after_the_session_is_answered_as_a_strangers(backend: Backend) {
    let app = backend.app().await;
    let first = app.conversation(None).await;
    let during = app.clock.now();
    app.clock.advance(TimeDelta::seconds(60));
    app.end_session(&first).await;
    for others in [false, true] {
        if others {
            let session: Value = app.open_session(BOB, EVE, None).await;
            assert_eq!(session["virtual_tn"], TN);
        }
        app.provider.clear();
        text_at(&app, ALICE, during, "are you there?").await;
        let answers = app.provider.taken_by();
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].0, ALICE);
        assert!(answers[0].1.contains("An active session was not found"), "{answers:?}");
    }
}

async fn a_session_that_was_not_created_makes_no_text_late(backend: Backend) {
    let app = backend.app().await;
    app.add_tn(TN).await;
    app.provider.always(Outcome::Refused);
    let pair = json!({"participant_a": ALICE, "participant_b": BOB});
    app.call("POST", "/session", Some(pair)).await.assert_error(502, "provider_rejected");
    app.provider.always(Outcome::Sent);
    app.open_session(ALICE, EVE, None).await;
    app.provider.clear();
    text_at(&app, ALICE, app.clock.now() - TimeDelta::seconds(20), "hello, Eve").await;
    assert_eq!(relayed(&app), to(EVE, "hello, Eve"));
}
