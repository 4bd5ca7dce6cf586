//! When a text was sent.

use super::{arrived, json_api};
use chrono::TimeDelta;
use serde_json::{Value, json};
use test_support::{ALICE, App, Backend, EVE, TN, logged, on_each_backend};

on_each_backend! {
    a_stamp_is_read_in_utc_and_keeps_late_texts_from_the_next_partner
    an_unreadable_stamp_is_logged_and_the_text_is_relayed
}

/// A text of Alice with this stamp.
async fn text_at(app: &App, stamp: Value) {
    let text = json_api(json!({"from": ALICE, "to": TN, "body": "hi", "timestamp": stamp}));
    assert_eq!(app.post(&text).await.status, 200);
}

async fn a_stamp_is_read_in_utc_and_keeps_late_texts_from_the_next_partner(backend: Backend) {
    let app = backend.app().await;
    let first = app.conversation(None).await;
    app.clock.advance(TimeDelta::seconds(60));
    let end = app.clock.now();
    app.end_session(&first).await;
    app.clock.advance(TimeDelta::seconds(60));
    app.open_session(ALICE, EVE, None).await;
    app.provider.clear();
    for (seconds, arrives) in [(-30, false), (30, true)] {
        let sent = end + TimeDelta::seconds(seconds);
        let east = sent + TimeDelta::minutes(330);
        for stamp in [
            json!(sent.format("%Y-%m-%dT%H:%M:%S").to_string()),
            json!(sent.format("%Y-%m-%d %H:%M:%S").to_string()),
            json!(sent.format("%Y-%m-%d %H:%M:%S%.6f").to_string()),
            json!(sent.format("%Y-%m-%dT%H:%M:%S+0000").to_string()),
            json!(sent.format("%Y-%m-%dT%H:%M:%S%.3f+00:00").to_string()),
            json!(sent.format("%Y-%m-%d %H:%M:%S +0000 UTC").to_string()),
            json!(sent.format("%Y-%m-%d %H:%M:%S GMT").to_string()),
            json!(sent.format("%Y-%m-%dt%H:%M:%S,%3fz").to_string()),
            json!(sent.format(" %Y-%m-%dT%H:%M:%SZ ").to_string()),
            json!(sent.format("%a, %d %b %Y %H:%M:%S +0000").to_string()),
            json!(east.format("%Y-%m-%dT%H:%M:%S+05:30").to_string()),
            json!(east.format("%Y-%m-%dT%H:%M:%S+0530").to_string()),
            json!(sent.timestamp()),
            json!(sent.timestamp().to_string()),
            json!(sent.timestamp_millis()),
            json!(sent.timestamp_micros()),
            json!(sent.timestamp() as f64 + 0.5),
        ] {
            text_at(&app, stamp.clone()).await;
            assert_eq!(arrived(&app).len(), usize::from(arrives), "{stamp}");
        }
    }
    assert!(!logged().contains("unreadable timestamp"));
}

async fn an_unreadable_stamp_is_logged_and_the_text_is_relayed(backend: Backend) {
    let app = backend.app().await;
    let first = app.conversation(None).await;
    app.clock.advance(TimeDelta::seconds(60));
    app.end_session(&first).await;
    app.open_session(ALICE, EVE, None).await;
    app.provider.clear();
    for stamp in [
        json!("yesterday"),
        json!("2020-01-01"),
        json!("01/02/2020 03:04:05"),
        json!("2020-01-01 00:00:00 PST"),
        json!("2020-13-01T00:00:00Z"),
        json!(0),
        json!(-5),
        json!("20200101000000"),
        json!(true),
        json!({"seconds": 1}),
        json!("NaN"),
        json!("1e999"),
    ] {
        let before = logged().matches("WARN").count();
        text_at(&app, stamp.clone()).await;
        assert_eq!(arrived(&app), [(EVE.to_owned(), "hi".to_owned())], "{stamp}");
        let lines = logged();
        assert_eq!(lines.matches("WARN").count(), before + 1, "{stamp}: {lines}");
        assert!(lines.contains("unreadable timestamp") && lines.contains("id=\"mdr2-"), "{lines}");
    }
    for stamp in [Value::Null, json!(""), json!("  ")] {
        text_at(&app, stamp).await;
        assert_eq!(arrived(&app).len(), 1);
    }
    assert_eq!(logged().matches("WARN").count(), 12);
}
