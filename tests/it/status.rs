//! `GET /status`: what the service holds.

use chrono::TimeDelta;
use serde_json::{Value, json};
use sms_proxy::{
    domain::SenderLimit,
    http::{Auth, Parts, router},
    runtime::lambda,
    service::Options,
};
use test_support::{
    ALICE, App, BOB, Backend, Outcome, TN,
    events::{Call, GATEWAYS},
    on_each_backend, parts, unpaced,
};

on_each_backend! {
    an_empty_service_holds_nothing
    pool_sessions_and_outbox_are_counted
    an_expired_session_is_not_live_and_what_waited_in_an_ended_one_waits_no_more
    a_message_that_failed_is_counted_for_an_hour
    a_text_beyond_the_limit_of_its_sender_is_a_failure
    a_message_to_somebody_who_has_opted_out_is_no_failure
}

async fn status(app: &App) -> Value {
    let answer = app.call("GET", "/status", None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

async fn an_empty_service_holds_nothing(backend: Backend) {
    let app = backend.app().await;
    let (storage, counted_by) = match backend {
        Backend::Sqlite => ("sqlite", "store"),
        Backend::Dynamodb => ("dynamodb", "process"),
    };
    let expected = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "storage": storage,
        "provider": "flowroute",
        "pool": {"tns": 0, "in_use": 0, "free": 0, "draining": 0},
        "sessions": {"live": 0},
        "outbox": {
            "waiting": 0, "oldest_seconds": null, "unknown": 0, "failed_last_hour": 0, "failed_counted_by": counted_by,
        },
        "counted_up_to": 1000,
        "at_least": [],
    });
    assert_eq!(status(&app).await, expected);
}

async fn pool_sessions_and_outbox_are_counted(backend: Backend) {
    let app = backend.app().await;
    for tn in [TN, "12062992130", "12062992131"] {
        app.add_tn(tn).await;
    }
    let session = app.open_session(ALICE, BOB, Some(60)).await;
    let tn = session["virtual_tn"].as_str().unwrap().to_owned();
    let free = [TN, "12062992130", "12062992131"].into_iter().find(|free| *free != tn).unwrap();
    assert_eq!(app.call("PATCH", &format!("/tn/{free}"), Some(json!({"draining": true}))).await.status, 200);
    for (outcome, texts) in [(Outcome::Busy, 2), (Outcome::LostNoResponse, 1), (Outcome::Refused, 1)] {
        app.provider.always(outcome);
        for _ in 0..texts {
            app.text(ALICE, &tn, "on my way").await;
        }
    }
    app.clock.advance(TimeDelta::seconds(90));
    let status = status(&app).await;
    assert_eq!(status["pool"], json!({"tns": 3, "in_use": 1, "free": 1, "draining": 1}));
    assert_eq!(status["sessions"], json!({"live": 1}));
    let outbox = &status["outbox"];
    // The sender of the text that failed is told by a notice, which waits too.
    assert_eq!([&outbox["waiting"], &outbox["unknown"], &outbox["failed_last_hour"]], [3, 1, 1], "{outbox}");
    assert_eq!(outbox["oldest_seconds"], 90);
    assert_eq!(status["at_least"], json!([]));
    let text = status.to_string();
    for hidden in [TN, ALICE, BOB, "on my way", session["session_id"].as_str().unwrap()] {
        assert!(!text.contains(hidden), "{text}");
    }
}

async fn an_expired_session_is_not_live_and_what_waited_in_an_ended_one_waits_no_more(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(Some(10)).await;
    app.provider.always(Outcome::Busy);
    app.text(ALICE, TN, "on my way").await;
    assert_eq!(status(&app).await["outbox"]["waiting"], 1);
    app.clock.advance(TimeDelta::minutes(11));
    assert_eq!(status(&app).await["sessions"], json!({"live": 0}));
    app.provider.always(Outcome::Sent);
    app.settle_everything().await;
    let after = status(&app).await;
    assert_eq!(after["outbox"]["waiting"], 0, "{after}");
    assert_eq!(after["outbox"]["oldest_seconds"], Value::Null);
    assert_eq!(after["pool"], json!({"tns": 1, "in_use": 0, "free": 1, "draining": 0}));
    drop(session);
}

async fn a_message_that_failed_is_counted_for_an_hour(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    app.provider.always(Outcome::Refused);
    app.text(ALICE, TN, "one").await;
    app.clock.advance(TimeDelta::minutes(30));
    app.text(BOB, TN, "two").await;
    let failed = async || status(&app).await["outbox"]["failed_last_hour"].clone();
    assert_eq!(failed().await, 2);
    app.clock.advance(TimeDelta::minutes(32));
    assert_eq!(failed().await, 1);
    app.clock.advance(TimeDelta::minutes(30));
    assert_eq!(failed().await, 0);
    app.clock.advance(TimeDelta::hours(-5));
    app.text(BOB, TN, "three").await;
    assert!(failed().await.as_u64().unwrap() >= 1, "after the clock was set back");
}

async fn a_text_beyond_the_limit_of_its_sender_is_a_failure(backend: Backend) {
    let sender_limit = SenderLimit { per_day: 1, ..unpaced().sender_limit };
    let app = backend.app_with(Options { sender_limit, ..unpaced() }).await;
    app.conversation(None).await;
    app.text(ALICE, TN, "one").await;
    assert_eq!(status(&app).await["outbox"]["failed_last_hour"], 0);
    app.text(ALICE, TN, "two").await;
    assert_eq!(status(&app).await["outbox"]["failed_last_hour"], 1);
}

async fn a_message_to_somebody_who_has_opted_out_is_no_failure(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    app.text(BOB, TN, "STOP").await;
    app.text(ALICE, TN, "on my way").await;
    let status = status(&app).await;
    assert_eq!(status["outbox"]["failed_last_hour"], 0, "{status}");
}

#[tokio::test]
async fn a_count_at_its_maximum_says_at_least() {
    let app = App::new();
    let db = rusqlite::Connection::open(app.database()).unwrap();
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1001)
         INSERT INTO tn (value, added_at, pick_key, sessions, draining) SELECT 12065550000 + i, 0, i, 0, 0 FROM n";
    db.execute(many, []).unwrap();
    let status = status(&app).await;
    assert_eq!(status["pool"], json!({"tns": 1000, "in_use": 0, "free": 1000, "draining": 0}));
    assert_eq!(status["at_least"], json!(["pool.tns", "pool.in_use", "pool.free", "pool.draining"]));
}

#[tokio::test]
async fn the_failures_among_many_settled_messages_are_at_least_as_many_as_shown() {
    let app = App::new();
    let db = rusqlite::Connection::open(app.database()).unwrap();
    let now = app.clock.now().timestamp_millis();
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10050)
         INSERT INTO outbound (id, kind, from_tn, recipient, created_at, state, lease, attempts, revoked, settled_at)
         SELECT CAST(printf('%016d', i) AS BLOB), 'start', 12062992129, 12065551212, ?1,
             iif(i > 10040, 'failed', 'sent'), 1, 1, 0, ?1 - i FROM n";
    db.execute(many, [now]).unwrap();
    let status = status(&app).await;
    assert_eq!(status["outbox"]["failed_last_hour"], 0, "the newest 10,000 were sent: {status}");
    assert_eq!(status["at_least"], json!(["outbox.failed_last_hour"]));
}

#[tokio::test]
async fn behind_a_gateway_it_asks_for_a_key_and_is_the_same_and_there_are_no_metrics() {
    let key = "an-api-key-0123456789";
    let app = App::with(unpaced(), Auth::default());
    let auth = Auth { api_keys: vec![key.into()], ..Auth::default() };
    let guarded = router(Parts { auth, ..parts(&app.service) });
    let app = App { router: guarded, ..app };
    let with_key = [("x-api-key", key)];
    for gateway in GATEWAYS {
        let event = |path, headers| {
            let call = Call { method: "GET", path, headers, ..Call::default() };
            lambda::request(lambda_http::request::from_str(&gateway.event(&call).to_string()).unwrap())
        };
        assert_eq!(app.send(event("/status", &[])).await.status, 401);
        let answer = app.send(event("/status", &with_key)).await;
        assert_eq!((answer.status, answer.json()["storage"].as_str()), (200, Some("sqlite")));
        assert_eq!(app.send(event("/metrics", &with_key)).await.status, 404);
    }
    for (method, status) in [("HEAD", 200), ("POST", 405), ("DELETE", 405)] {
        let request = axum::http::Request::builder().method(method).uri("/status").header("x-api-key", key);
        assert_eq!(app.send(request.body(axum::body::Body::empty()).unwrap()).await.status, status);
    }
}
