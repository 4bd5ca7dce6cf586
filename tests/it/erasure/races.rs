//! What others do to a person at the moment of the erasure.

use super::{counts, erase, found};
use crate::{contract::fixtures::concurrently, snapshot::snapshot_store::SnapshotStore};
use serde_json::json;
use test_support::{ALICE, BOB, Backend, TN, flat, fresh_id, number, on_each_backend};

/// The number of concurrent callers.
const CALLERS: u32 = 16;

on_each_backend! { with 4 threads:
    of_many_erasures_at_once_each_succeeds_and_one_is_enough
}

on_each_backend! { slow, with 4 threads:
    after_sessions_and_texts_at_the_same_moment_a_second_erasure_leaves_nothing
}

async fn of_many_erasures_at_once_each_succeeds_and_one_is_enough(backend: Backend) {
    for _ in 0..backend.many(20, 6) {
        let store = SnapshotStore::of(backend).await;
        store.app.conversation(None).await;
        store.app.provider.clear();
        let calls = (0..CALLERS).map(|_| {
            let app = store.app.clone();
            async move { counts(&erase(&app, ALICE).await) }
        });
        let answers = concurrently(calls).await;
        let sum = |n: usize| answers.iter().map(|counts| counts[n]).sum::<u64>();
        assert_eq!([sum(0), sum(1)], [1, 1], "{answers:?}");
        assert_eq!(store.app.provider.taken_by().len(), 1, "the other is told once");
        assert_eq!(found(&store, ALICE).await, Vec::<String>::new());
    }
}

async fn after_sessions_and_texts_at_the_same_moment_a_second_erasure_leaves_nothing(backend: Backend) {
    for _ in 0..backend.many(20, 6) {
        let store = SnapshotStore::of(backend).await;
        let app = &store.app;
        app.conversation(None).await;
        for n in 0..CALLERS {
            app.add_tn(&number(1000 + n)).await;
        }
        let calls = (0..CALLERS).map(|n| {
            let app = app.clone();
            async move {
                match n % 4 {
                    0 => {
                        let body = json!({"number": ALICE});
                        let status = app.call("POST", "/participant/erase", Some(body)).await.status;
                        assert!([200, 503].contains(&status), "{status}");
                    }
                    1 => {
                        let body = json!({"participant_a": ALICE, "participant_b": number(n)});
                        assert_eq!(app.call("POST", "/session", Some(body)).await.status, 200);
                    }
                    2 => assert_eq!(app.post(flat(&fresh_id(), BOB, TN, "to her")).await.status, 200),
                    _ => assert_eq!(app.post(flat(&fresh_id(), ALICE, TN, "from her")).await.status, 200),
                }
            }
        });
        concurrently(calls).await;
        erase(app, ALICE).await;
        assert_eq!(found(&store, ALICE).await, Vec::<String>::new());
        assert_eq!(app.pool().await, (17, 0), "every TN is free again");
        app.provider.clear();
        app.settle_everything().await;
        assert!(app.provider.taken_by().iter().all(|(to, _)| to != ALICE));
        assert_eq!(counts(&erase(app, ALICE).await), [0; 4]);
    }
}
