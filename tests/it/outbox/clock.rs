//! The service's clock is set back while messages wait: they do not wait until it is as late again.

use chrono::TimeDelta;
use serde_json::{Value, json};
use test_support::{ALICE, App, BOB, Backend, EVE, Outcome, TN, flat, fresh_id, on_each_backend};

on_each_backend! {
    a_text_that_waits_is_sent_by_the_next_round
    a_text_that_was_tried_often_waits_no_longer_than_the_longest_backoff
    a_text_in_its_backoff_keeps_it_while_the_clock_is_right
    the_drain_lease_of_a_process_that_died_is_taken_over
    a_text_of_unknown_outcome_is_looked_up_from_the_new_time_on
    a_text_that_was_not_taken_is_sent_again_once
    strangers_are_answered_again
    texts_after_the_end_of_a_session_are_relayed
}

on_each_backend! { slow:
    a_text_whose_sender_died_is_reclaimed
}

/// How far the clock is set back.
const BACK: [TimeDelta; 4] =
    [TimeDelta::minutes(5), TimeDelta::hours(1), TimeDelta::days(1), TimeDelta::days(400)];

fn to_bob(body: &str) -> (String, String) {
    (BOB.to_owned(), body.to_owned())
}

/// A conversation whose text of Alice's has this outcome; the provider takes the next one.
async fn with_text(backend: Backend, outcome: Outcome) -> (App, Value) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    app.provider.clear();
    app.provider.always(outcome);
    app.text(ALICE, TN, "hello").await;
    app.provider.always(Outcome::Sent);
    (app, session)
}

async fn a_text_that_waits_is_sent_by_the_next_round(backend: Backend) {
    for back in BACK {
        let (app, _) = with_text(backend, Outcome::Busy).await;
        app.clock.advance(-back);
        assert_eq!(app.maintain().await.sent, 1, "{back}");
        assert_eq!(app.provider.taken_by(), [to_bob("hello")]);
    }
}

async fn a_text_that_was_tried_often_waits_no_longer_than_the_longest_backoff(backend: Backend) {
    let (app, _) = with_text(backend, Outcome::Busy).await;
    app.provider.always(Outcome::Busy);
    for _ in 0..12 {
        app.clock.advance(TimeDelta::minutes(16));
        app.maintain().await;
    }
    app.provider.always(Outcome::Sent);
    // It was created long before; only its due time is too far ahead.
    app.clock.advance(TimeDelta::minutes(-100));
    assert_eq!(app.maintain().await.sent, 1);
    assert_eq!(app.provider.taken_by(), [to_bob("hello")]);
}

async fn a_text_in_its_backoff_keeps_it_while_the_clock_is_right(backend: Backend) {
    let (app, _) = with_text(backend, Outcome::Busy).await;
    app.provider.always(Outcome::Busy);
    for _ in 0..10 {
        app.clock.advance(TimeDelta::minutes(16));
        app.maintain().await;
    }
    let asked = app.provider.asked();
    // The longest backoff is 15 minutes, with a quarter of jitter.
    for _ in 0..5 {
        app.clock.advance(TimeDelta::minutes(2));
        app.maintain().await;
    }
    assert_eq!(app.provider.asked(), asked);
}

async fn a_text_whose_sender_died_is_reclaimed(backend: Backend) {
    for (back, outcome, asked) in
        BACK.map(|back| [(back, Outcome::SentThenCrash, 1), (back, Outcome::Crash, 2)]).concat()
    {
        let app = backend.app().await;
        let session = app.conversation(None).await;
        app.provider.always(outcome);
        assert_eq!(app.post(flat(&fresh_id(), ALICE, TN, "hello")).await.status, 500);
        app.provider.always(Outcome::Sent);
        app.clock.advance(-back);
        assert_eq!(app.maintain().await.reclaimed, 1, "{back}");
        app.settle_everything().await;
        assert_eq!(app.provider.taken_by(), [to_bob("hello")], "{back}");
        assert_eq!(
            (app.provider.asked(), app.relays(&session).await),
            (asked, vec![json!("sent")]),
            "{back}"
        );
    }
}

async fn the_drain_lease_of_a_process_that_died_is_taken_over(backend: Backend) {
    for back in BACK {
        let (app, _) = with_text(backend, Outcome::Busy).await;
        let now = app.clock.now();
        assert!(app.store.acquire_drain_lease("dead", now, now + TimeDelta::seconds(30)).await.unwrap());
        app.clock.advance(-back);
        assert_eq!(app.maintain().await.sent, 1, "{back}");
    }
}

async fn a_text_of_unknown_outcome_is_looked_up_from_the_new_time_on(backend: Backend) {
    for back in BACK {
        let (app, session) = with_text(backend, Outcome::SentNoResponse).await;
        // The clock was fast: Flowroute's list has the right time.
        app.provider.edit_list(|rows| rows.last_mut().unwrap().sent_at = Some(app.clock.now() - back));
        app.clock.advance(-back);
        app.maintain().await;
        app.settle_everything().await;
        assert_eq!((app.provider.asked(), app.relays(&session).await), (1, vec![json!("sent")]), "{back}");
    }
}

async fn a_text_that_was_not_taken_is_sent_again_once(backend: Backend) {
    for back in BACK {
        let (app, session) = with_text(backend, Outcome::LostNoResponse).await;
        app.clock.advance(-back);
        app.maintain().await;
        app.clock.advance(TimeDelta::seconds(290));
        assert_eq!(app.maintain().await.absent, 0, "it is too early to say");
        app.clock.advance(TimeDelta::seconds(30));
        app.settle_everything().await;
        assert_eq!(app.provider.taken_by(), [to_bob("hello")], "{back}");
        assert_eq!((app.provider.asked(), app.relays(&session).await), (2, vec![json!("sent")]), "{back}");
    }
}

async fn strangers_are_answered_again(backend: Backend) {
    for back in BACK {
        let app = backend.app().await;
        app.add_tn(TN).await;
        for _ in 0..5 {
            app.text(EVE, TN, "hello?").await;
        }
        assert_eq!(app.provider.taken().len(), 3, "the quota of an hour");
        app.clock.advance(-back);
        app.text(EVE, TN, "hello?").await;
        assert_eq!(app.provider.taken().len(), 4, "{back}");
    }
}

async fn texts_after_the_end_of_a_session_are_relayed(backend: Backend) {
    for back in BACK {
        let app = backend.app().await;
        let first = app.conversation(None).await;
        app.end_session(&first).await;
        app.clock.advance(-back);
        app.open_session(ALICE, EVE, None).await;
        app.provider.clear();
        let sent_at = app.clock.now().to_rfc3339();
        let attributes = json!({"from": ALICE, "to": TN, "body": "hello, Eve", "timestamp": sent_at});
        let text = json!({"data": {"id": fresh_id(), "type": "message", "attributes": attributes}});
        assert_eq!(app.post(text).await.status, 200);
        assert_eq!(app.provider.taken_by(), [(EVE.to_owned(), "hello, Eve".to_owned())], "{back}");
    }
}
