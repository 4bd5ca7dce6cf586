//! A file of the SQLite database is removed or replaced while the server runs.

use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;
use test_support::{
    ALICE, TN,
    binary::{Binary, Server, eventually},
    flat, fresh_id, pair,
};

const DATABASE: &str = "sms-proxy.db";

/// A server with a session of Alice and Bob.
async fn with_a_session(folder: &Path) -> Server {
    let server = Binary::serve(folder, &[("SQLITE_PATH", DATABASE), ("MAINTENANCE_INTERVAL", "1")]).await;
    server.ok("POST", "/tn", Some(json!({"value": TN}))).await;
    server.ok("POST", "/session", Some(pair())).await;
    server
}

fn text() -> Option<Value> {
    Some(flat(&fresh_id(), ALICE, TN, "hello"))
}

fn file(folder: &TempDir, suffix: &str) -> PathBuf {
    folder.path().join(format!("{DATABASE}{suffix}"))
}

/// Changes the files, and asserts that the server says so by itself and takes nothing more.
async fn assert_noticed(change: impl Fn(&TempDir)) {
    let folder = TempDir::new().unwrap();
    let server = with_a_session(folder.path()).await;
    server.ok("POST", "/", text()).await;
    change(&folder);
    eventually("a round of maintenance notices it", || {
        let log = server.binary.stderr();
        log.lines()
            .any(|line| line.contains("ERROR") && line.contains("was removed or replaced"))
            .then_some(())
    })
    .await;
    server.call("POST", "/", text()).await.assert_error(503, "store_unavailable");
    server.call("GET", "/session", None).await.assert_error(503, "store_unavailable");
    server.call("GET", "/health", None).await.assert_error(503, "store_unavailable");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_file_is_noticed_and_nothing_more_is_taken() {
    for suffix in ["", "-wal", "-shm"] {
        assert_noticed(|folder| fs::remove_file(file(folder, suffix)).unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_file_is_noticed_and_nothing_more_is_taken() {
    for suffix in ["", "-wal", "-shm"] {
        let replace = |folder: &TempDir| {
            let (file, copy) = (file(folder, suffix), folder.path().join("copy"));
            fs::copy(&file, &copy).unwrap();
            fs::rename(copy, file).unwrap();
        };
        assert_noticed(replace).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moved_folder_is_noticed_and_works_again_once_it_is_moved_back() {
    let folder = TempDir::new().unwrap();
    let (data, elsewhere) = (folder.path().join("data"), folder.path().join("elsewhere"));
    fs::create_dir(&data).unwrap();
    let path = data.join(DATABASE);
    let server = Binary::serve(folder.path(), &[("SQLITE_PATH", path.to_str().unwrap())]).await;
    server.ok("POST", "/tn", Some(json!({"value": TN}))).await;
    fs::rename(&data, &elsewhere).unwrap();
    server.call("POST", "/session", Some(pair())).await.assert_error(503, "store_unavailable");
    assert!(!data.exists(), "nothing is created at the old place");
    fs::rename(&elsewhere, &data).unwrap();
    server.ok("POST", "/session", Some(pair())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_does_not_create_an_empty_database_in_place_of_a_removed_one() {
    let folder = TempDir::new().unwrap();
    let server = with_a_session(folder.path()).await;
    fs::remove_file(file(&folder, "")).unwrap();
    for path in ["/tn", "/session", "/health"] {
        server.call("GET", path, None).await.assert_error(503, "store_unavailable");
    }
    assert!(!file(&folder, "").exists());
}
