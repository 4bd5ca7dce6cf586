//! What is not limited, and what does not count.

use super::{arrived, arrived_after, limited, numbers, texts};
use crate::snapshot::{BACKENDS, snapshot_store::SnapshotStore};
use chrono::TimeDelta;
use serde_json::json;
use sms_proxy::{domain::SenderLimit, service::Options};
use std::sync::Arc;
use test_support::{ALICE, App, BOB, Backend, TN, fresh_id, on_each_backend, unpaced};

on_each_backend! {
    opt_out_words_are_never_held_back
    texts_to_one_who_has_opted_out_fail_for_that_reason
    a_text_that_waits_fails_if_its_recipient_opts_out_meanwhile
    notices_of_the_service_do_not_count
    a_text_that_waits_keeps_its_pictures
    the_limit_goes_on_after_an_import
}

async fn opt_out_words_are_never_held_back(backend: Backend) {
    let (app, _) = limited(backend, 1, 2).await;
    texts(&app, 0..4).await;
    assert_eq!(arrived(&app), numbers(0..1));
    app.text(ALICE, TN, "STOP").await;
    let opted_out = app.call("GET", &format!("/opt-out?number={ALICE}"), None).await;
    assert!(opted_out.body.contains(TN), "{opted_out:?}");
    app.text(ALICE, TN, "UNSTOP").await;
    let opted_out = app.call("GET", &format!("/opt-out?number={ALICE}"), None).await;
    assert!(!opted_out.body.contains(TN), "{opted_out:?}");
}

async fn texts_to_one_who_has_opted_out_fail_for_that_reason(backend: Backend) {
    let (app, session) = limited(backend, 1, 2).await;
    app.text(BOB, TN, "STOP").await;
    texts(&app, 0..4).await;
    let relays = app.messages(&session).await.into_iter().filter(|message| message["kind"] == "relay");
    let reasons: Vec<_> = relays.map(|relay| relay["reason"].clone()).collect();
    assert_eq!(reasons, ["the recipient has opted out of this number (STOP)"; 4]);
}

async fn a_text_that_waits_fails_if_its_recipient_opts_out_meanwhile(backend: Backend) {
    let (app, session) = limited(backend, 1, 100).await;
    texts(&app, 0..2).await;
    app.text(BOB, TN, "STOP").await;
    arrived(&app);
    assert_eq!(arrived_after(&app, TimeDelta::minutes(1)).await, numbers(0..0));
    assert_eq!(app.relays(&session).await, ["sent", "failed"]);
}

async fn notices_of_the_service_do_not_count(backend: Backend) {
    let (app, _) = limited(backend, 2, 2).await;
    // The start message to Bob, and a notice to Bob that a text of his has failed.
    for n in 0..3 {
        app.text(BOB, TN, &n.to_string()).await;
    }
    app.maintain().await;
    app.provider.clear();
    texts(&app, 0..2).await;
    assert_eq!(arrived(&app), numbers(0..2));
}

async fn a_text_that_waits_keeps_its_pictures(backend: Backend) {
    let (app, _) = limited(backend, 1, 100).await;
    texts(&app, 0..1).await;
    app.provider.clear();
    let included = json!([{"type": "media", "attributes": {"url": "https://media.example/1.png"}}]);
    let attributes = json!({"from": ALICE, "to": TN, "body": "look"});
    let data = json!({"type": "message", "id": fresh_id(), "attributes": attributes});
    assert_eq!(app.post(json!({"data": data, "included": included})).await.status, 200);
    app.clock.advance(TimeDelta::minutes(1));
    app.maintain().await;
    let taken = app.provider.taken();
    assert_eq!((taken.len(), &taken[0].body[..], taken[0].media_urls.len()), (1, "look", 1));
}

async fn the_limit_goes_on_after_an_import(backend: Backend) {
    let sender_limit = SenderLimit { per_minute: 2, per_day: 4 };
    let options = || Options { sender_limit, ..unpaced() };
    let source = SnapshotStore::of(backend).await;
    let app = source.app.beside(Arc::clone(&source.app.store), options());
    app.conversation(None).await;
    texts(&app, 0..6).await;
    assert_eq!(arrived(&app), numbers(0..2));
    let file = source.export().await;
    for target in BACKENDS {
        let target = SnapshotStore::beside(&source, target).await;
        target.import(&file).await.unwrap();
        let app: App = target.app.beside(Arc::clone(&target.app.store), options());
        // Two wait, and those that failed do not count.
        texts(&app, 6..7).await;
        assert_eq!(arrived(&app), numbers(0..0));
        assert_eq!(arrived_after(&app, TimeDelta::minutes(1)).await, numbers(2..4));
        app.clock.advance(TimeDelta::hours(24));
        texts(&app, 7..9).await;
        assert_eq!(arrived(&app), numbers(7..9));
        assert_eq!(target.export().await.matches("SENDER_TEXTS_PER_DAY").count(), 3);
    }
}
