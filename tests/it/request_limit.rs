//! A request ends within its limit, however slow the store is; its work continues.

use axum::{body::Body, http::Request};
use chrono::TimeDelta;
use futures_util::stream;
use serde_json::Value;
use sms_proxy::service::Options;
use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};
use test_support::{ALICE, App, Outcome, TN, fault_proxy::FaultProxy, flat, fresh_id, pair, unpaced};

/// A service whose requests take three seconds at most, and one on the same store with the default limit.
struct TwoServices {
    limited: App,
    other: App,
    proxy: FaultProxy,
}

impl TwoServices {
    async fn new() -> Self {
        let (store, proxy) = FaultProxy::store().await;
        let options = Options { request_limit: Duration::from_secs(3), ..unpaced() };
        let limited = App::on(Arc::clone(&store), options);
        // Its texts arrive after everything that the other one has stored.
        limited.clock.advance(TimeDelta::seconds(1));
        Self { limited, other: App::on(store, unpaced()), proxy }
    }

    /// Pauses the store once the provider has the next message, until the returned guard is dropped.
    fn pause_at_next_send(&self, outcome: Outcome) -> Arc<Mutex<Option<impl Sized + use<>>>> {
        let held = Arc::new(Mutex::new(None));
        let (holding, proxy) = (Arc::clone(&held), self.proxy.clone());
        self.limited.provider.script(move |_| {
            let mut held = holding.lock().expect("no panic while it is held");
            if held.is_none() {
                *held = Some(proxy.try_pause().expect("the store is at rest"));
            }
            outcome.clone()
        });
        held
    }

    /// Waits until the relays of a session are in these states.
    async fn relays(&self, session: &Value, states: &[&str]) {
        for _ in 0..300 {
            if self.other.relays(session).await == states {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the relays are {:?}", self.other.relays(session).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_is_not_stored_before_the_limit_is_answered_503_and_sent_once() {
    let services = TwoServices::new().await;
    let session = services.other.conversation(None).await;
    let text = flat(&fresh_id(), ALICE, TN, "on my way");
    let held = services.proxy.pause().await;
    services.limited.post(&text).await.assert_error(503, "store_unavailable");
    assert_eq!(services.limited.provider.taken(), []);
    drop(held);
    services.relays(&session, &["sent"]).await;
    assert_eq!(services.other.post(&text).await.status, 200);
    assert_eq!(services.limited.provider.bodies().len() + services.other.provider.bodies().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_text_is_answered_200_before_it_is_settled() {
    let services = TwoServices::new().await;
    let session = services.other.conversation(None).await;
    let held = services.pause_at_next_send(Outcome::Sent);
    let answer = services.limited.post(flat(&fresh_id(), ALICE, TN, "on my way")).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    drop(held.lock().expect("no panic while it is held").take().expect("the provider has the text"));
    services.relays(&session, &["sent"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_request_body_does_not_shorten_the_limit() {
    let services = TwoServices::new().await;
    let session = services.other.conversation(None).await;
    let held = services.pause_at_next_send(Outcome::Sent);
    let text = flat(&fresh_id(), ALICE, TN, "on my way").to_string();
    let slow = stream::once(async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok::<_, Infallible>(text)
    });
    let post = Request::post("/").header("content-type", "application/json");
    let answer = services.limited.send(post.body(Body::from_stream(slow)).expect("a valid request")).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    drop(held.lock().expect("no panic while it is held").take().expect("the provider has the text"));
    services.relays(&session, &["sent"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_stored_after_the_response_is_rolled_back() {
    let services = TwoServices::new().await;
    services.other.add_tn(TN).await;
    let held = services.proxy.pause().await;
    let answer = services.limited.call("POST", "/session", Some(pair())).await;
    answer.assert_error(503, "store_unavailable");
    drop(held);
    services.limited.service.finish().await;
    assert_eq!(services.other.pool().await, (1, 0));
    assert!(services.proxy.calls()["TransactWriteItems"] >= 2, "it was opened and rolled back");
    services.limited.settle_everything().await;
    assert_eq!(services.limited.provider.asked(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_kept_if_its_start_notice_is_refused_after_the_response() {
    let services = TwoServices::new().await;
    services.other.add_tn(TN).await;
    let held = services.pause_at_next_send(Outcome::Refused);
    let answer = services.limited.call("POST", "/session", Some(pair())).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    drop(held.lock().expect("no panic while it is held").take().expect("the provider has a text"));
    services.limited.service.finish().await;
    let session = answer.json();
    let states: Vec<Value> =
        services.other.messages(&session).await.into_iter().map(|message| message["state"].clone()).collect();
    assert_eq!(states, ["failed", "failed"]);
    let id = session["session_id"].as_str().expect("an id");
    assert_eq!(services.other.call("GET", &format!("/session/{id}"), None).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_end_is_answered_200_before_its_notices_are_sent() {
    let services = TwoServices::new().await;
    let session = services.other.conversation(None).await;
    let id = session["session_id"].as_str().expect("an id");
    let held = services.pause_at_next_send(Outcome::Sent);
    let answer = services.limited.call("DELETE", &format!("/session/{id}"), None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    drop(held.lock().expect("no panic while it is held").take().expect("the provider has a text"));
    services.limited.service.finish().await;
    assert_eq!(services.limited.provider.taken().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_takes_longer_than_the_limit_is_answered_503() {
    let services = TwoServices::new().await;
    let _held = services.proxy.pause().await;
    for path in ["/tn", "/session", "/tn/12062992129"] {
        services.limited.call("GET", path, None).await.assert_error(503, "store_unavailable");
    }
}
