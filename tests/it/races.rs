//! Concurrent callers: one of them wins, and the provider is called once.

use serde_json::{Value, json};
use std::collections::HashSet;
use test_support::{ALICE, BOB, Backend, TN, flat, fresh_id, fresh_number, number, on_each_backend};
use tokio::task::JoinSet;

const ROUNDS: usize = 20;

on_each_backend! { with 4 threads:
    one_text_posted_thirty_times_concurrently_is_sent_once
    a_session_deleted_twelve_times_concurrently_ends_once
}

on_each_backend! { slow, with 4 threads:
    as_many_sessions_open_as_there_are_free_tns_each_on_its_own_tn
}

async fn as_many_sessions_open_as_there_are_free_tns_each_on_its_own_tn(backend: Backend) {
    let (free, callers) = (backend.many(25, 6), backend.many(120, 18));
    for _ in 0..ROUNDS {
        let app = backend.app().await;
        for n in 0..free {
            app.add_tn(&number(n)).await;
        }
        let mut calls = JoinSet::new();
        for _ in 0..callers {
            let app = app.clone();
            let body = json!({"participant_a": fresh_number(), "participant_b": fresh_number()});
            calls.spawn(async move { app.call("POST", "/session", Some(body)).await });
        }
        let answers = calls.join_all().await;
        let (opened, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        let tns: HashSet<Value> = opened.iter().map(|answer| answer.json()["virtual_tn"].clone()).collect();
        assert_eq!((opened.len(), tns.len()), (free as usize, free as usize));
        for answer in refused {
            answer.assert_error(400, "no_tn_available");
        }
        assert_eq!(app.provider.taken().len(), 2 * free as usize);
    }
}

async fn one_text_posted_thirty_times_concurrently_is_sent_once(backend: Backend) {
    let app = backend.app().await;
    app.conversation(None).await;
    for _ in 0..ROUNDS {
        app.provider.clear();
        let payload = flat(&fresh_id(), ALICE, TN, "once");
        let mut posts = JoinSet::new();
        for _ in 0..backend.many(30, 10) {
            let (app, payload) = (app.clone(), payload.clone());
            posts.spawn(async move { app.post(payload).await.status });
        }
        assert!(posts.join_all().await.into_iter().all(|status| status == 200));
        assert_eq!(app.provider.taken_by(), [(BOB.to_owned(), "once".to_owned())]);
    }
}

async fn a_session_deleted_twelve_times_concurrently_ends_once(backend: Backend) {
    let app = backend.app().await;
    app.add_tn(TN).await;
    let callers = backend.many(12, 8);
    for _ in 0..ROUNDS {
        let session = app.open_session(ALICE, BOB, None).await;
        app.provider.clear();
        let path = format!("/session/{}", session["session_id"].as_str().unwrap());
        let mut calls = JoinSet::new();
        for _ in 0..callers {
            let (app, path) = (app.clone(), path.clone());
            calls.spawn(async move { app.call("DELETE", &path, None).await.status });
        }
        let mut statuses = calls.join_all().await;
        statuses.sort_unstable();
        assert_eq!(statuses, [&[200][..], &vec![404; callers as usize - 1]].concat());
        let notified: Vec<String> = app.provider.taken_by().into_iter().map(|(to, _)| to).collect();
        assert_eq!(notified, [ALICE, BOB]);
    }
}
