//! A late text of a session that has ended reaches nobody in the next one.

use chrono::{SecondsFormat, TimeDelta};
use serde_json::{Value, json};
use sms_proxy::{domain::Sharing, service::Options};
use test_support::{ALICE, Answer, App, BOB, Backend, EVE, TN, fresh_id, number, on_each_backend, unpaced};

on_each_backend! {
    a_late_text_with_a_time_stamp_reaches_nobody_in_a_session_on_the_same_tn
}

on_each_backend! { slow:
    with_strict_cool_off_a_tn_is_not_picked_before_its_time
    a_tn_that_cools_off_is_the_last_choice_and_a_late_text_reaches_nobody_else
}

/// How the first session ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Deleted,
    Expired,
}

/// A service with this number of sessions on a TN, whose only TN had a session of Alice and Bob until now.
async fn after_a_session(backend: Backend, sessions_per_tn: u32, strict: bool, end: End) -> App {
    let sharing = Sharing { sessions_per_tn, strict, ..Sharing::default() };
    let app = backend.app_with(Options { sharing, ..unpaced() }).await;
    let session = app.conversation(Some(5)).await;
    match end {
        End::Deleted => app.end_session(&session).await,
        End::Expired => {
            app.clock.advance(TimeDelta::minutes(5));
            assert_eq!(app.maintain().await.expired, 1);
        }
    }
    app
}

async fn try_open(app: &App, a: &str, b: &str) -> Answer {
    app.call("POST", "/session", Some(json!({"participant_a": a, "participant_b": b}))).await
}

async fn open(app: &App, a: &str, b: &str) -> Value {
    app.open_session(a, b, None).await["virtual_tn"].clone()
}

async fn drain(app: &App, tn: &str) {
    let body = Some(json!({"draining": true}));
    assert_eq!(app.call("PATCH", &format!("/tn/{tn}"), body).await.status, 200);
}

/// Asserts that a text to the TN gets the answer that there is no session, and reaches nobody else.
async fn assert_lost(app: &App, from: &str) {
    app.provider.clear();
    app.text(from, TN, "where are you?").await;
    let taken = app.provider.taken_by();
    assert_eq!((taken.len(), taken[0].0.as_str()), (1, from));
    assert!(taken[0].1.contains("An active session was not found"), "{taken:?}");
}

async fn a_tn_that_cools_off_is_the_last_choice_and_a_late_text_reaches_nobody_else(backend: Backend) {
    for (sessions_per_tn, end) in [(1, End::Deleted), (5, End::Expired), (5, End::Deleted)] {
        let app = after_a_session(backend, sessions_per_tn, false, end).await;
        app.clock.advance(TimeDelta::minutes(59));
        // Each as either participant, with people who have had no session.
        for (n, late) in [ALICE, BOB, ALICE, BOB].into_iter().enumerate() {
            let other = number(60 + n as u32);
            let [a, b] = if n < 2 { [late, &other] } else { [&other, late] };
            app.add_tn(&number(80 + n as u32)).await;
            let session = app.open_session(a, b, None).await;
            assert_ne!(session["virtual_tn"], TN, "{sessions_per_tn} {end:?}: {n}");
            assert_lost(&app, late).await;
            app.end_session(&session).await;
            drain(&app, session["virtual_tn"].as_str().unwrap()).await;
        }
        // No other will do.
        assert_eq!(open(&app, BOB, &number(70)).await, TN);
    }
}

async fn with_strict_cool_off_a_tn_is_not_picked_before_its_time(backend: Backend) {
    for (sessions_per_tn, end) in [(1, End::Expired), (5, End::Deleted)] {
        let app = after_a_session(backend, sessions_per_tn, true, end).await;
        let chosen = json!({"participant_a": EVE, "participant_b": ALICE, "virtual_tn": TN});
        for wait in [TimeDelta::zero(), TimeDelta::minutes(30), TimeDelta::milliseconds(30 * 60_000 - 1)] {
            app.clock.advance(wait);
            for (a, b) in [(ALICE, EVE), (EVE, ALICE), (BOB, EVE), (EVE, BOB)] {
                try_open(&app, a, b).await.assert_error(400, "no_tn_available");
            }
            let refused = app.call("POST", "/session", Some(chosen.clone())).await;
            refused.assert_error(400, "tn_unavailable");
            assert!(refused.body.contains("participant_b"), "{refused:?}");
            assert_lost(&app, ALICE).await;
            assert_lost(&app, BOB).await;
        }
        // Others may have it meanwhile, and the same two.
        let others = app.open_session(EVE, &number(70), None).await;
        assert_eq!(others["virtual_tn"], TN);
        app.end_session(&others).await;
        app.clock.advance(TimeDelta::milliseconds(1));
        assert_eq!(open(&app, ALICE, &number(71)).await, TN);
    }
    let app = after_a_session(backend, 5, true, End::Deleted).await;
    assert_eq!(open(&app, BOB, ALICE).await, TN, "the same two, at once");
}

async fn a_late_text_with_a_time_stamp_reaches_nobody_in_a_session_on_the_same_tn(backend: Backend) {
    for end in [End::Deleted, End::Expired] {
        let app = after_a_session(backend, 5, false, end).await;
        let sent_at = app.clock.now() - TimeDelta::seconds(1);
        app.clock.advance(TimeDelta::seconds(2));
        assert_eq!(open(&app, ALICE, EVE).await, TN, "there is no other");
        app.provider.clear();
        let text = |sent_at: chrono::DateTime<chrono::Utc>| {
            let sent_at = sent_at.to_rfc3339_opts(SecondsFormat::Millis, true);
            json!({"data": {"id": fresh_id(), "type": "message", "attributes": {
                "from": ALICE, "to": TN, "body": "where are you?", "timestamp": sent_at
            }}})
        };
        assert_eq!(app.post(text(sent_at)).await.status, 200);
        assert_eq!(app.provider.taken(), [], "{end:?}");
        assert_eq!(app.post(text(app.clock.now())).await.status, 200);
        assert_eq!(app.provider.taken_by(), [(EVE.to_owned(), "where are you?".to_owned())]);
    }
}
