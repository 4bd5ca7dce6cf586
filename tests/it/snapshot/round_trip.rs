//! The same records make the same file, in whatever store they are.

use super::{
    BACKENDS,
    populated_store::{PopulatedStore, STATUSES},
    snapshot_store::{SnapshotStore, file, lines, records},
};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use serde_json::Value;
use sms_proxy::snapshot::Summary;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use test_support::{Backend, dynamodb::Table, on_each_backend};

on_each_backend! {
    every_store_exports_what_was_imported
    every_kind_of_record_is_in_the_file
    records_past_their_retention_are_not_exported
    the_api_shows_the_same_for_both_stores
    a_repeated_import_changes_nothing
    an_import_resumes_an_interrupted_one
    an_empty_store_exports_two_lines
}

async fn every_store_exports_what_was_imported(backend: Backend) {
    let source = PopulatedStore::on(backend).await.store;
    let file = source.export().await;
    assert_eq!(source.export().await, file, "an export changes nothing");
    for target in BACKENDS {
        let target = SnapshotStore::beside(&source, target).await;
        let imported = lines(&file).len();
        assert_eq!(target.import(&file).await.unwrap(), Summary { imported, known: 0, past: 0 });
        assert_eq!(target.export().await, file);
    }
}

async fn every_kind_of_record_is_in_the_file(backend: Backend) {
    let file = PopulatedStore::on(backend).await.store.export().await;
    let messages = records(&file, "message");
    let all = |name: &str| messages.iter().map(|message| message[name].clone().to_string()).collect();
    let kinds: BTreeSet<String> = all("kind");
    assert_eq!(kinds.len(), 6, "{kinds:?}");
    let states: BTreeSet<String> = all("state");
    assert_eq!(states.len(), 5, "all but sending: {states:?}");
    let some = |holds: fn(&Value) -> bool| assert!(messages.iter().any(holds));
    some(|message| message["state"] == "unknown" && message["settled_at"].is_null());
    some(|message| message["state"] == "unknown" && message["settled_at"].is_number());
    some(|message| message["state"] == "unknown" && message["revoked"] == true);
    some(|message| message["state"] == "unknown" && message["absent_at"].is_number());
    some(|message| message["state"] == "waiting" && message["media_urls"].as_array().is_some());
    some(|message| message["attempts"] == 0 && message["state"] == "failed");
    some(|message| message["receipt"]["level"] == 2 && message["receipt"]["status"] == STATUSES[2]);
    some(|message| message["receipt"]["at"].is_number() && message["receipt"]["code"].is_string());
    assert_eq!(records(&file, "opt_out").len(), 2);
    assert!(!records(&file, "inbound").is_empty());
    let sessions = records(&file, "session");
    assert!(sessions.iter().any(|session| session["ended_at"].is_number()));
    assert!(
        sessions.iter().any(|session| session["ended_at"].is_null() && session["expires_at"].is_number())
    );
    for message in messages {
        assert_eq!(
            message["body"].is_string(),
            message["settled_at"].is_null(),
            "only what is not settled has content"
        );
    }
}

async fn records_past_their_retention_are_not_exported(backend: Backend) {
    let source = PopulatedStore::on(backend).await.store;
    let fresh = source.export().await;
    source.app.clock.advance(TimeDelta::days(31));
    let old = source.export().await;
    let count = |file: &str, kind| records(file, kind).len();
    for kind in ["tn", "opt_out"] {
        assert_eq!(count(&old, kind), count(&fresh, kind));
    }
    assert!(records(&old, "session").iter().all(|session| session["ended_at"].is_null()));
    assert!(records(&old, "message").iter().all(|message| message["settled_at"].is_null()));
    assert_eq!(count(&old, "inbound"), 0);
    for target in BACKENDS {
        let target = SnapshotStore::beside(&source, target).await;
        let summary = target.import(&fresh).await.unwrap();
        assert_eq!(summary.past, lines(&fresh).len() - lines(&old).len());
        assert_eq!(target.export().await, old);
        assert_eq!(target.import(&fresh).await.unwrap().imported, 0);
    }
}

async fn the_api_shows_the_same_for_both_stores(backend: Backend) {
    let source = PopulatedStore::on(backend).await;
    let file = source.store.export().await;
    for target in BACKENDS {
        let target = SnapshotStore::beside(&source.store, target).await;
        target.import(&file).await.unwrap();
        for path in ["/tn", "/session"] {
            let of = async |store: &SnapshotStore| store.app.call("GET", path, None).await.json();
            assert_eq!(of(&target).await, of(&source.store).await);
        }
        for session in &source.all {
            let messages = target.app.messages(session).await;
            assert!(messages.len() >= 2);
            assert_eq!(messages, source.store.app.messages(session).await);
        }
    }
}

async fn a_repeated_import_changes_nothing(backend: Backend) {
    let source = PopulatedStore::on(Backend::Sqlite).await.store;
    let file = source.export().await;
    let target = SnapshotStore::beside(&source, backend).await;
    target.import(&file).await.unwrap();
    let known = lines(&file).len();
    for store in [&target, &source] {
        assert_eq!(store.import(&file).await.unwrap(), Summary { imported: 0, known, past: 0 });
        assert_eq!(store.export().await, file);
    }
}

async fn an_import_resumes_an_interrupted_one(backend: Backend) {
    let source = PopulatedStore::on(Backend::Sqlite).await.store;
    let whole = source.export().await;
    let all = lines(&whole);
    for part in [1, all.len() / 3, all.len() / 2, all.len() - 1] {
        let target = SnapshotStore::beside(&source, backend).await;
        target.import(file(&all[..part])).await.unwrap();
        let imported = all.len() - part;
        assert_eq!(target.import(&whole).await.unwrap(), Summary { imported, known: part, past: 0 });
        assert_eq!(target.export().await, whole);
    }
}

async fn an_empty_store_exports_two_lines(backend: Backend) {
    let store = SnapshotStore::of(backend).await;
    assert_eq!(store.export().await, file(&[]));
    assert_eq!(store.import(file(&[])).await.unwrap(), Summary::default());
}

/// When each message, session and inbound text of a table is forgotten.
async fn times_to_live(store: &SnapshotStore) -> BTreeMap<String, Option<AttributeValue>> {
    let Table { client, name, .. } = store.table.as_ref().unwrap();
    let items = client.scan().table_name(name).send().await.unwrap().items.unwrap();
    let key = |item: &HashMap<_, AttributeValue>, name| item[name].as_s().unwrap().clone();
    let kept = items.iter().map(|item| (key(item, "pk"), key(item, "sk"), item.get("ttl_at").cloned()));
    kept.filter(|(_, sk, _)| ["M", "S"].contains(&sk.as_str())).map(|(pk, _, ttl)| (pk, ttl)).collect()
}

#[tokio::test]
async fn dynamodb_keeps_the_time_to_live_of_imported_items() {
    let source = PopulatedStore::on(Backend::Dynamodb).await.store;
    let target = SnapshotStore::beside(&source, Backend::Dynamodb).await;
    target.import(source.export().await).await.unwrap();
    let times = times_to_live(&target).await;
    assert!(times.values().any(Option::is_none) && times.values().any(Option::is_some));
    assert_eq!(times, times_to_live(&source).await);
}
