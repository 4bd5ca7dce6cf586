//! What stops an export or an import, with nothing overwritten.

use super::{
    populated_store::{PopulatedStore, tn_of},
    snapshot_store::{SnapshotStore, file, lines},
};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use sms_proxy::{
    snapshot::Problem,
    store::{Exported, StoreError},
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use test_support::{ALICE, BOB, Backend, Outcome, dynamodb::Table, number, on_each_backend};

on_each_backend! {
    nothing_is_exported_while_a_message_is_leased
    a_store_with_other_records_is_not_changed
    a_store_with_a_different_record_is_not_changed
    a_session_whose_tn_is_not_free_is_not_stored
}

async fn nothing_is_exported_while_a_message_is_leased(backend: Backend) {
    let store = SnapshotStore::of(backend).await;
    let session = store.app.conversation(None).await;
    let empty = file(&[]);
    for outcome in [Outcome::Crash, Outcome::SentThenCrash] {
        store.app.provider.always(outcome);
        let text = test_support::flat("mdr2-dies", ALICE, tn_of(&session), "last words");
        store.app.post(text).await;
        let problem = store.exported().await.unwrap_err();
        assert!(matches!(problem, Problem::Leased(1)), "{problem}");
        assert!(problem.to_string().contains("sms-proxy maintenance"), "{problem}");
        assert!(matches!(store.import(&empty).await, Err(Problem::Leased(1))));
    }
    store.app.provider.always(Outcome::Sent);
    store.app.clock.advance(TimeDelta::minutes(1));
    assert!(store.exported().await.is_err(), "a lease that has run out is one until maintenance has seen it");
    store.app.maintain().await;
    assert!(store.export().await.contains("last words"));
}

/// Imports a file that must be refused, and asserts that nothing has changed.
async fn assert_refused(target: &SnapshotStore, file: &str) -> Problem {
    let before = target.export().await;
    let problem = target.import(file).await.unwrap_err();
    assert_eq!(target.export().await, before);
    let said = problem.to_string();
    for secret in [ALICE, BOB, &number(1000), "busy", "lost"] {
        assert!(!said.contains(secret), "{said}");
    }
    problem
}

async fn a_store_with_other_records_is_not_changed(backend: Backend) {
    let source = PopulatedStore::on(Backend::Sqlite).await.store;
    let whole = source.export().await;
    let all = lines(&whole);
    // Each record in its turn is the one that the file has not.
    for n in (0..all.len()).step_by(backend.many(5, 12) as usize).chain([all.len() - 1]) {
        let target = SnapshotStore::beside(&source, backend).await;
        target.import(file(&all[..=n])).await.unwrap();
        let mut without = all.clone();
        without.remove(n);
        let problem = assert_refused(&target, &file(&without)).await;
        match all[n].contains("\"opt_out_key\"") {
            true => assert!(problem.to_string().contains("no key of opt-outs"), "{problem}"),
            false => assert!(matches!(problem, Problem::Foreign(_)), "{problem}"),
        }
    }
}

async fn a_store_with_a_different_record_is_not_changed(backend: Backend) {
    let source = PopulatedStore::on(Backend::Sqlite).await;
    let whole = source.store.export().await;
    let target = SnapshotStore::beside(&source.store, backend).await;
    target.import(&whole).await.unwrap();
    target.app.text(ALICE, tn_of(&source.talk), "the service has gone on").await;
    let problem = assert_refused(&target, &whole).await;
    assert!(matches!(problem, Problem::Foreign(_)), "{problem}");

    for (record, of, instead) in [
        ("\"tn\"", "\"added_at\":1", "\"added_at\":2"),
        ("\"expires_at\"", "\"expires_at\":1", "\"expires_at\":2"),
        ("\"inbound\"", "\"received_at\":1", "\"received_at\":2"),
        ("busy now", "busy now", "busy then"),
        ("\"waiting\"", "\"due_at\":1", "\"due_at\":2"),
        ("\"receipt\":{", "\"level\":", "\"level\":1"),
        ("\"revoked\"", "\"revoked\":true", "\"revoked\":false"),
        ("\"reason\"", "\"reason\":\"", "\"reason\":\"not "),
        ("\"provider_id\"", "\"provider_id\":\"", "\"provider_id\":\"x"),
    ] {
        let mut all = lines(&whole);
        let changed = all.iter().position(|line| line.contains(record)).unwrap();
        assert!(all[changed].contains(of), "{}", all[changed]);
        all[changed] = all[changed].replacen(of, instead, 1);
        let target = SnapshotStore::beside(&source.store, backend).await;
        target.import(file(&all)).await.unwrap();
        let problem = assert_refused(&target, &whole).await;
        assert!(matches!(problem, Problem::Differs(_)), "{record}: {problem}");
    }
}

async fn a_session_whose_tn_is_not_free_is_not_stored(backend: Backend) {
    let source = SnapshotStore::of(Backend::Sqlite).await;
    source.app.conversation(None).await;
    let all = lines(&source.export().await);
    let (tn, session) = (all[0].clone(), all[1].clone());
    let target = SnapshotStore::beside(&source, backend).await;
    let problem = target.import(file(std::slice::from_ref(&session))).await.unwrap_err();
    assert!(matches!(problem, Problem::Conflict(_)), "{problem}");
    assert_eq!(target.export().await, file(&[]));
    target.import(file(&[tn.clone(), session.clone()])).await.unwrap();
    assert_eq!(target.export().await, file(&[tn, session]));
}

/// A scan is no picture of one moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_from_dynamodb_fails_if_records_change_meanwhile() {
    let store = SnapshotStore::of(Backend::Dynamodb).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (app, stop) = (store.app.clone(), Arc::clone(&stop));
        async move {
            for n in 0.. {
                if stop.load(Ordering::SeqCst) {
                    return n;
                }
                app.add_tn(&number(n)).await;
            }
            0
        }
    });
    let before = store.app.clock.now() - TimeDelta::days(30);
    let mut noticed = false;
    for _ in 0..200 {
        noticed |= store.snapshot.export(before).await.unwrap() == Exported::Changed;
        if noticed {
            break;
        }
    }
    assert!(noticed);
    stop.store(true, Ordering::SeqCst);
    let written = writer.await.unwrap() as usize;
    assert_eq!(lines(&store.export().await).len(), written);
}

#[tokio::test]
async fn an_item_of_a_newer_version_or_an_unknown_kind_is_an_error() {
    for (pk, version, words) in [("TN#9", "2", "version 2"), ("BETTER#1", "1", "does not know")] {
        let store = SnapshotStore::of(Backend::Dynamodb).await;
        store.app.add_tn(&number(1)).await;
        let Table { client, name, .. } = store.table.as_ref().unwrap();
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let request = client.put_item().table_name(name).item("pk", text(pk)).item("sk", text("x"));
        request.item("item_version", AttributeValue::N(version.to_owned())).send().await.unwrap();
        let problem = store.exported().await.unwrap_err();
        assert!(matches!(problem, Problem::Store(StoreError::Unreadable(_))), "{problem}");
        assert!(problem.to_string().contains(words), "{problem}");
    }
}
