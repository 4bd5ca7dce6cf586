//! Many callers at once: one of them wins, and the provider is reached once.

use crate::support::{ALICE, App, BOB, TN, flat, fresh_id, fresh_number, number};
use serde_json::{Value, json};
use std::collections::HashSet;
use tokio::task::JoinSet;

const ROUNDS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn as_many_sessions_open_as_there_are_free_tns_each_on_its_own() {
    for _ in 0..ROUNDS {
        let app = App::new();
        for n in 0..25 {
            app.add_tn(&number(n)).await;
        }
        let mut calls = JoinSet::new();
        for _ in 0..120 {
            let app = app.clone();
            let body = json!({"participant_a": fresh_number(), "participant_b": fresh_number()});
            calls.spawn(async move { app.call("POST", "/session", Some(body)).await });
        }
        let answers = calls.join_all().await;
        let (opened, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        let tns: HashSet<Value> = opened.iter().map(|answer| answer.json()["virtual_tn"].clone()).collect();
        assert_eq!((opened.len(), tns.len()), (25, 25));
        for answer in refused {
            answer.assert_error(400, "no_tn_available");
        }
        assert_eq!(app.provider.taken().len(), 50);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_text_posted_thirty_times_at_once_goes_out_once() {
    let app = App::new();
    app.conversation(None).await;
    for _ in 0..ROUNDS {
        app.provider.clear();
        let payload = flat(&fresh_id(), ALICE, TN, "once");
        let mut posts = JoinSet::new();
        for _ in 0..30 {
            let (app, payload) = (app.clone(), payload.clone());
            posts.spawn(async move { app.post(payload).await.status });
        }
        assert!(posts.join_all().await.into_iter().all(|status| status == 200));
        assert_eq!(app.provider.taken_by(), [(BOB.to_owned(), "once".to_owned())]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_that_is_ended_twelve_times_at_once_ends_once() {
    let app = App::new();
    app.add_tn(TN).await;
    for _ in 0..ROUNDS {
        let session = app.open_session(ALICE, BOB, None).await;
        app.provider.clear();
        let path = format!("/session/{}", session["session_id"].as_str().unwrap());
        let mut calls = JoinSet::new();
        for _ in 0..12 {
            let (app, path) = (app.clone(), path.clone());
            calls.spawn(async move { app.call("DELETE", &path, None).await.status });
        }
        let mut statuses = calls.join_all().await;
        statuses.sort_unstable();
        assert_eq!(statuses, [&[200][..], &[404; 11]].concat());
        let told: Vec<String> = app.provider.taken_by().into_iter().map(|(to, _)| to).collect();
        assert_eq!(told, [ALICE, BOB]);
    }
}
