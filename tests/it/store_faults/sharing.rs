//! Calls that go wrong: draining, sessions on a shared TN, sessions with an idempotency key, new expiries.

use super::{
    LASTING, Trouble,
    outages::{fails, told},
    transient::with_every_fault,
    with_each,
};
use crate::contract::{
    fixtures::{Shared, alice, at, bob, end, eve, fill_pool, messages, new_session, person, tn},
    sharing::{couple, new, none_free, open, sharing, shown, try_open},
};
use axum::{body::Body, http::Request};
use serde_json::{Value, json};
use sms_proxy::{
    domain::{EndCause, Session},
    store::OpenSession,
};
use test_support::{Answer, App, TN, fault_proxy::WRITES, number, pair};

#[tokio::test]
async fn a_number_drains_and_takes_sessions_again() {
    with_every_fault(async |store, fail| {
        fill_pool(&store, 1).await;
        let session = open(&store, new([alice(), bob()], 0, sharing(2))).await;
        fail();
        assert!(store.drain_tn(tn(1), true, at(1)).await.unwrap().unwrap().draining);
        assert_eq!(try_open(&store, new(couple(0), 1, sharing(2))).await, none_free());
        fail();
        assert!(!store.drain_tn(tn(1), false, at(2)).await.unwrap().unwrap().draining);
        open(&store, new(couple(0), 2, sharing(2))).await;
        assert_eq!(shown(&store, tn(1), 2).await.sessions, 2);
        assert!(end(&store, session.id, EndCause::Deleted, 3).await);
    })
    .await;
}

#[tokio::test]
#[ignore = "slow"]
async fn each_session_on_a_shared_number_is_counted_once() {
    with_every_fault(async |store, fail| {
        fill_pool(&store, 1).await;
        let first = open(&store, new(couple(0), 0, sharing(3))).await;
        fail();
        let second = open(&store, new(couple(1), 1, sharing(3))).await;
        assert_eq!(shown(&store, tn(1), 1).await.sessions, 2);
        // The last one makes the number full.
        fail();
        let third = open(&store, new(couple(2), 2, sharing(3))).await;
        assert_eq!(try_open(&store, new(couple(3), 2, sharing(3))).await, none_free());
        fail();
        assert!(end(&store, second.id, EndCause::Deleted, 3).await);
        assert!(!end(&store, second.id, EndCause::Deleted, 3).await);
        assert_eq!(shown(&store, tn(1), 3).await.sessions, 2);
        for (session, is_live) in [(&first, true), (&second, false), (&third, true)] {
            assert_eq!(store.session(session.id, at(3)).await.unwrap().is_some(), is_live);
        }
        let fourth = open(&store, new(couple(3), 4, sharing(3))).await;
        assert!(end(&store, fourth.id, EndCause::Deleted, 5).await);
    })
    .await;
}

/// The number of sessions on the first two numbers.
async fn on_both(store: &Shared) -> u32 {
    shown(store, tn(1), 9).await.sessions + shown(store, tn(2), 9).await.sessions
}

/// What an attempt gets that asks for the session of a key.
async fn repeated(store: &Shared, key: &str) -> OpenSession {
    try_open(store, new_session([alice(), bob()], 9, Some(60)).with_key(key)).await
}

#[tokio::test]
#[ignore = "slow"]
async fn a_session_with_a_key_opens_once() {
    with_every_fault(async |store, fail| {
        fill_pool(&store, 2).await;
        open(&store, new([eve(), person(9)], 0, sharing(5))).await;
        for sessions_per_tn in [1, 5] {
            let mut new = new_session([alice(), bob()], 0, Some(60));
            new.sharing = sharing(sessions_per_tn);
            let key = format!("{sessions_per_tn}");
            fail();
            let OpenSession::Opened { session, notices } = try_open(&store, new.with_key(&key)).await else {
                panic!("the key was not used before")
            };
            assert_eq!(notices.len(), 2);
            assert_eq!(repeated(&store, &key).await, OpenSession::Repeated(session.clone()));
            assert_eq!(messages(&store, session.id).await.len(), 2);
            assert_eq!(on_both(&store).await, 2);
            fail();
            assert!(end(&store, session.id, EndCause::RolledBack, 2).await);
            assert_eq!(on_both(&store).await, 1);
            assert!(matches!(repeated(&store, &key).await, OpenSession::Opened { .. }));
            assert!(end(&store, session.id, EndCause::Deleted, 10).await);
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "slow"]
async fn an_expiry_is_changed_once() {
    with_every_fault(async |store, fail| {
        fill_pool(&store, 1).await;
        let session = open(&store, new([alice(), bob()], 0, sharing(2))).await;
        for expires_at in [Some(at(60)), Some(at(600)), None] {
            let expected = Session { expires_at, ..session.clone() };
            fail();
            assert_eq!(
                store.set_expiry(session.id, expires_at, at(1)).await.unwrap(),
                Some(expected.clone())
            );
            assert_eq!(store.session(session.id, at(1)).await.unwrap(), Some(expected.clone()));
            let due = store.expired_sessions(9, at(1_000)).await.unwrap();
            assert_eq!(due, Vec::from_iter(expires_at.map(|_| expected)));
            let still = u32::from(expires_at.is_none());
            assert_eq!(shown(&store, tn(1), 1_000).await.sessions, still);
        }
        assert!(end(&store, session.id, EndCause::Deleted, 2).await);
    })
    .await;
}

async fn open_with_key(app: &App) -> Answer {
    let request = Request::post("/session").header("content-type", "application/json");
    let request = request.header("idempotency-key", "the-key").body(Body::from(pair().to_string()));
    app.send(request.unwrap()).await
}

#[tokio::test]
async fn a_session_with_a_key_that_was_reported_as_failed_is_got_by_a_repeat() {
    with_each(WRITES, LASTING, async |trouble| {
        let Trouble { troubled, well, fault, .. } = trouble;
        well.add_tn(TN).await;
        trouble.begins();
        let first = open_with_key(troubled).await;
        trouble.ends().await;
        if first.status != 200 {
            first.assert_error(503, "store_unavailable");
        }
        let session = open_with_key(well).await;
        assert_eq!(session.status, 200, "{fault:?}: {session:?}");
        for app in [well, troubled] {
            // On a busy machine a call may time out.
            let mut again = open_with_key(app).await;
            for _ in 0..50 {
                if again.status == 503 {
                    again = open_with_key(app).await;
                }
            }
            assert_eq!((again.status, &again.body), (200, &session.body), "{fault:?}");
        }
        assert_eq!(well.pool().await, (0, 1), "{fault:?}");
        trouble.comes_to_rest().await;
        assert_eq!(told(well, "has started"), [1, 1], "{fault:?}");
        well.end_session(&session.json()).await;
        assert_eq!(well.pool().await, (1, 0), "{fault:?}");
    })
    .await;
}

#[tokio::test]
#[ignore = "slow"]
async fn a_tn_drains_and_an_expiry_changes_by_retries() {
    with_each(WRITES, LASTING, async |trouble| {
        let Trouble { well, fault, .. } = trouble;
        let session = well.conversation(Some(30)).await;
        let (tn, path) =
            (format!("/tn/{TN}"), format!("/session/{}", session["session_id"].as_str().unwrap()));
        for (path, body, field, shown) in [
            (&tn, json!({"draining": true}), "draining", json!(true)),
            (&path, json!({"expiry_window": null}), "expiry_date", Value::Null),
            (&tn, json!({"draining": false}), "draining", Value::Null),
        ] {
            fails(trouble, "PATCH", path, Some(body.clone())).await;
            assert_eq!(well.call("PATCH", path, Some(body)).await.status, 200, "{fault:?}");
            assert_eq!(well.call("GET", path, None).await.json()[field], shown, "{fault:?}");
        }
        well.end_session(&session).await;
        assert_eq!(well.pool().await, (1, 0), "{fault:?}");
        well.open_session(&number(1), &number(2), None).await;
    })
    .await;
}
