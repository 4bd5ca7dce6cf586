//! A request ends in time, whatever the store does; what it began goes on.

use crate::support::{ALICE, App, BOB, Outcome, TN, between::Between, flat, fresh_id, unpaced};
use axum::{body::Body, http::Request};
use chrono::TimeDelta;
use futures_util::stream;
use serde_json::{Value, json};
use sms_proxy::{http::Auth, service::Options};
use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;

/// A service whose requests take three seconds at most, and one on the same store that gives itself time.
struct Scene {
    hasty: App,
    patient: App,
    between: Between,
}

impl Scene {
    async fn new() -> Self {
        let (store, between) = Between::store().await;
        let folder = || TempDir::new().expect("a temporary folder");
        let hasty = Options { request_limit: Duration::from_secs(3), ..unpaced() };
        let hasty = App::on(Arc::clone(&store), folder(), hasty, Auth::default());
        // Its texts come after what the other one has put on record.
        hasty.clock.advance(TimeDelta::seconds(1));
        Self { hasty, patient: App::on(store, folder(), unpaced(), Auth::default()), between }
    }

    /// The store stands still from the moment on at which the provider has a text, until what this returns is dropped.
    fn hold_from_the_next_text_on(&self, outcome: Outcome) -> Arc<Mutex<Option<impl Sized + use<>>>> {
        let held = Arc::new(Mutex::new(None));
        let (holding, between) = (Arc::clone(&held), self.between.clone());
        self.hasty.provider.script(move |_| {
            let mut held = holding.lock().expect("no panic while it is held");
            if held.is_none() {
                *held = Some(between.try_hold().expect("the store is at rest"));
            }
            outcome.clone()
        });
        held
    }

    /// Waits until the relays of a session are in these states.
    async fn relays(&self, session: &Value, states: &[&str]) {
        for _ in 0..300 {
            if self.patient.relays(session).await == states {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the relays are {:?}", self.patient.relays(session).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_is_not_on_record_in_time_is_answered_with_503_and_goes_out_once_all_the_same() {
    let scene = Scene::new().await;
    let session = scene.patient.conversation(None).await;
    let text = flat(&fresh_id(), ALICE, TN, "on my way");
    let held = scene.between.hold().await;
    scene.hasty.post(&text).await.assert_error(503, "store_unavailable");
    assert_eq!(scene.hasty.provider.taken(), []);
    drop(held);
    scene.relays(&session, &["sent"]).await;
    assert_eq!(scene.patient.post(&text).await.status, 200);
    assert_eq!(scene.hasty.provider.bodies().len() + scene.patient.provider.bodies().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_is_on_record_is_answered_with_200_before_it_is_settled() {
    let scene = Scene::new().await;
    let session = scene.patient.conversation(None).await;
    let held = scene.hold_from_the_next_text_on(Outcome::Sent);
    let answer = scene.hasty.post(flat(&fresh_id(), ALICE, TN, "on my way")).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    drop(held.lock().expect("no panic while it is held").take().expect("the provider has the text"));
    scene.relays(&session, &["sent"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_whose_body_comes_slowly_has_as_much_time_as_any_other() {
    let scene = Scene::new().await;
    let session = scene.patient.conversation(None).await;
    let held = scene.hold_from_the_next_text_on(Outcome::Sent);
    let text = flat(&fresh_id(), ALICE, TN, "on my way").to_string();
    let slow = stream::once(async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok::<_, Infallible>(text)
    });
    let post = Request::post("/").header("content-type", "application/json");
    let answer = scene.hasty.send(post.body(Body::from_stream(slow)).expect("a valid request")).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    drop(held.lock().expect("no panic while it is held").take().expect("the provider has the text"));
    scene.relays(&session, &["sent"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_on_record_after_the_answer_is_undone() {
    let scene = Scene::new().await;
    scene.patient.add_tn(TN).await;
    let held = scene.between.hold().await;
    let pair = json!({"participant_a": ALICE, "participant_b": BOB});
    let answer = scene.hasty.call("POST", "/session", Some(pair)).await;
    answer.assert_error(503, "store_unavailable");
    drop(held);
    scene.hasty.service.finish().await;
    let pool = scene.patient.call("GET", "/tn", None).await.json();
    assert_eq!((&pool["available"], &pool["in_use"]), (&json!(1), &json!(0)));
    assert!(scene.between.calls()["TransactWriteItems"] >= 2, "it was opened and undone");
    scene.hasty.settle_everything().await;
    assert_eq!(scene.hasty.provider.asked(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_stands_when_its_start_is_refused_after_the_answer() {
    let scene = Scene::new().await;
    scene.patient.add_tn(TN).await;
    let held = scene.hold_from_the_next_text_on(Outcome::Refused);
    let pair = json!({"participant_a": ALICE, "participant_b": BOB});
    let answer = scene.hasty.call("POST", "/session", Some(pair)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    drop(held.lock().expect("no panic while it is held").take().expect("the provider has a text"));
    scene.hasty.service.finish().await;
    let session = answer.json();
    let states: Vec<Value> =
        scene.patient.messages(&session).await.into_iter().map(|message| message["state"].clone()).collect();
    assert_eq!(states, ["failed", "failed"]);
    let id = session["session_id"].as_str().expect("an id");
    assert_eq!(scene.patient.call("GET", &format!("/session/{id}"), None).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_is_on_record_is_answered_with_200_before_anybody_is_told() {
    let scene = Scene::new().await;
    let session = scene.patient.conversation(None).await;
    let id = session["session_id"].as_str().expect("an id");
    let held = scene.hold_from_the_next_text_on(Outcome::Sent);
    let answer = scene.hasty.call("DELETE", &format!("/session/{id}"), None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    drop(held.lock().expect("no panic while it is held").take().expect("the provider has a text"));
    scene.hasty.service.finish().await;
    assert_eq!(scene.hasty.provider.taken().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_does_not_come_in_time_is_answered_with_503() {
    let scene = Scene::new().await;
    let _held = scene.between.hold().await;
    for path in ["/tn", "/session", "/tn/12062992129"] {
        scene.hasty.call("GET", path, None).await.assert_error(503, "store_unavailable");
    }
}
