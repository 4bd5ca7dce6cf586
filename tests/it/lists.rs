//! Lists: their contents, and their cost on DynamoDB.

use chrono::TimeDelta;
use serde_json::Value;
use sms_proxy::store::{Entry, Imported, Snapshot, Sqlite};
use std::{collections::BTreeMap, sync::Arc};
use tempfile::TempDir;
use test_support::{ALICE, App, BOB, Backend, TN, fault_proxy::FaultProxy, number, on_each_backend, unpaced};
use tokio::task::JoinSet;

on_each_backend! {
    messages_of_successive_sessions_on_one_tn_are_kept_apart
    session_pages_count_all_and_show_live_sessions
    what_is_no_next_of_a_page_of_messages_is_refused_as_after
}

async fn what_is_no_next_of_a_page_of_messages_is_refused_as_after(backend: Backend) {
    let app = backend.app().await;
    let session = app.conversation(None).await;
    let id = session["session_id"].as_str().unwrap();
    for bad in
        ["", "-", "x", "1", "1-", "-1", "1-x", "1-1-", "1-1-1", "1--1", id, "12065551212", "%201-1", "1-1 "]
    {
        let path = format!("/message?session_id={id}&limit=1&after={}", bad.replace(' ', "%20"));
        app.call("GET", &path, None).await.assert_error(400, "invalid_after");
    }
    assert_eq!(paged(&app, &session, 1).await, app.messages(&session).await);
}

/// The messages of a session, read page by page.
async fn paged(app: &App, session: &Value, limit: usize) -> Vec<Value> {
    let id = session["session_id"].as_str().unwrap();
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/message?session_id={id}&limit={limit}{after}");
        let page = app.call("GET", &path, None).await.json();
        let messages = page["messages"].as_array().unwrap();
        assert!(messages.len() <= limit);
        all.extend(messages.iter().cloned());
        let Some(next) = page["next"].as_str() else { return all };
        after = format!("&after={next}");
    }
}

async fn messages_of_successive_sessions_on_one_tn_are_kept_apart(backend: Backend) {
    let app = backend.app().await;
    app.add_tn(TN).await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let session = app.open_session(ALICE, BOB, None).await;
        for n in 0..3 {
            app.text(if n == 1 { BOB } else { ALICE }, TN, "hello").await;
            app.clock.advance(TimeDelta::seconds(1));
        }
        app.end_session(&session).await;
        sessions.push(session);
        app.clock.advance(TimeDelta::seconds(1));
    }
    for session in &sessions {
        let whole = app.messages(session).await;
        let kinds: Vec<_> = whole.iter().map(|message| message["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["start", "start", "relay", "relay", "relay", "end", "end"]);
        for limit in [1, 2, 6, 7, 8] {
            assert_eq!(paged(&app, session, limit).await, whole, "{limit} a page");
        }
    }
}

async fn session_pages_count_all_and_show_live_sessions(backend: Backend) {
    let app = backend.app().await;
    let mut live = Vec::new();
    for n in 0..24 {
        app.add_tn(&number(n)).await;
        let minutes = if n % 3 == 0 { Some(1) } else { None };
        let session = app.open_session(&number(100 + n), &number(200 + n), minutes).await;
        if minutes.is_none() {
            live.push(session["session_id"].clone());
        }
        app.clock.advance(TimeDelta::milliseconds(1));
    }
    app.clock.advance(TimeDelta::minutes(2));
    for limit in [1, 5, 16, 100] {
        let (mut shown, mut after) = (Vec::new(), String::new());
        loop {
            let page = app.call("GET", &format!("/session?limit={limit}{after}"), None).await.json();
            assert_eq!(page["total_sessions"], 16, "{limit} a page, {after}");
            shown.extend(page["sessions"].as_array().unwrap().iter().map(|session| session["id"].clone()));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(shown, live, "{limit} a page");
    }
    for path in ["/tn?limit=1", "/tn?limit=24", "/tn"] {
        let pool = app.call("GET", path, None).await.json();
        assert_eq!((&pool["pool_size"], &pool["in_use"]), (&24.into(), &16.into()), "{path}");
    }
}

/// DynamoDB may keep items for two days past their time to live.
#[tokio::test]
async fn items_that_dynamodb_should_have_deleted_are_not_shown() {
    let app = Backend::Dynamodb.app().await;
    let session = app.conversation(None).await;
    app.text(ALICE, TN, "hello").await;
    app.clock.advance(TimeDelta::days(10));
    app.end_session(&session).await;
    app.clock.advance(TimeDelta::days(19));
    assert_eq!(app.messages(&session).await.len(), 5);
    app.clock.advance(TimeDelta::days(2));
    let whole = app.messages(&session).await;
    let left: Vec<_> = whole.iter().map(|message| message["kind"].clone()).collect();
    assert_eq!(left, ["end", "end"], "the others were settled 31 days ago");
    assert_eq!(paged(&app, &session, 1).await, whole);
    app.clock.advance(TimeDelta::days(10));
    let path = format!("/message?session_id={}", session["session_id"].as_str().unwrap());
    app.call("GET", &path, None).await.assert_error(404, "session_not_found");
}

#[tokio::test]
async fn each_shard_of_a_list_is_read_once() {
    let (store, proxy) = FaultProxy::store().await;
    let app = App::on(store, unpaced());
    let session = app.conversation(None).await;
    for n in 0..20 {
        app.add_tn(&number(n)).await;
    }
    let id = session["session_id"].as_str().unwrap();
    let only = |calls: &[(&str, u32)]| -> BTreeMap<String, u32> {
        calls.iter().map(|(call, times)| ((*call).to_owned(), *times)).collect()
    };
    for (path, expected) in [
        ("/tn".to_owned(), only(&[("Query", 10)])),
        ("/tn?limit=5".to_owned(), only(&[("Query", 10)])),
        ("/session".to_owned(), only(&[("Query", 16)])),
        ("/session?limit=5".to_owned(), only(&[("Query", 16)])),
        (
            format!("/message?session_id={id}&limit=5"),
            only(&[("GetItem", 1), ("Query", 2), ("BatchGetItem", 2)]),
        ),
    ] {
        proxy.calls();
        assert_eq!(app.call("GET", &path, None).await.status, 200);
        assert_eq!(proxy.calls(), expected, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_reads_do_not_wait_for_many_long_lists() {
    let folder = TempDir::new().unwrap();
    let store = Arc::new(Sqlite::open(folder.path().join("sms-proxy.db")).unwrap());
    let app = Arc::new(App::on(store.clone(), unpaced()));
    let session = app.conversation(None).await;
    let tns = (100..20_000).map(|n| {
        let (number, added_at) = (number(n).parse().unwrap(), app.clock.now());
        Entry::Tn { number, added_at, draining: false }
    });
    assert_eq!(store.import(tns.collect()).await.unwrap(), Imported::Done);

    let mut lists = JoinSet::new();
    for _ in 0..200 {
        let app = Arc::clone(&app);
        lists.spawn(async move { app.call("GET", "/tn", None).await.status });
    }
    assert_eq!(lists.join_next().await.unwrap().unwrap(), 200);
    let shown = format!("/session/{}", session["session_id"].as_str().unwrap());
    for _ in 0..20 {
        assert_eq!(app.call("GET", &shown, None).await.status, 200);
        assert_eq!(app.call("GET", "/health", None).await.status, 200);
        app.text(ALICE, TN, "hello").await;
    }
    lists.shutdown().await;
    assert_eq!(app.relays(&session).await, ["sent"; 20]);
}
