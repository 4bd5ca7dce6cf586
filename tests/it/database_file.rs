//! The database file at start-up: created, emptied, migrated, refused.

use rusqlite::Connection;
use serde_json::json;
use sms_proxy::store::Sqlite;
use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
    sync::Barrier,
    thread,
};
use tempfile::TempDir;
use test_support::{
    TN,
    binary::{Binary, prepare},
};

const PRODUCTION: &str = "local-sqlite/sms-proxy.db";
const TEST: &str = "local-sqlite/test.db";

/// The files of a directory whose names begin like this, with their contents.
fn contents(folder: &Path, beginning: &str) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.is_file()).map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read(path).unwrap())
    });
    files.filter(|(name, _)| name.starts_with(beginning)).collect()
}

/// A database that the service has written, at its default path.
async fn written(folder: &Path) -> PathBuf {
    let server = Binary::serve(folder, &[]).await;
    server.ok("POST", "/tn", Some(json!({"value": TN}))).await;
    server.stop().await;
    folder.join(PRODUCTION)
}

#[tokio::test]
async fn a_stop_leaves_one_complete_file() {
    let folder = TempDir::new().unwrap();
    let file = written(folder.path()).await;
    let left = contents(file.parent().unwrap(), "");
    assert_eq!(left.keys().collect::<Vec<_>>(), ["sms-proxy.db"]);
}

/// Asserts that a start is refused with these words and changes nothing in the file's directory.
async fn assert_refused(file: &Path, words: &str) {
    let folder = file.parent().unwrap();
    let before = contents(folder, "");
    let elsewhere = TempDir::new().unwrap();
    let (code, said) = Binary::refusal(elsewhere.path(), &[("SQLITE_PATH", file.to_str().unwrap())]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(words) && said.contains(file.to_str().unwrap()), "{said}");
    assert!(contents(folder, "") == before, "a file was changed: {:?}", contents(folder, "").keys());
}

#[tokio::test]
async fn missing_directories_are_created() {
    let folder = TempDir::new().unwrap();
    let server = Binary::serve(folder.path(), &[("SQLITE_PATH", "one/two/three.db")]).await;
    server.ok("POST", "/tn", Some(json!({"value": TN}))).await;
    server.stop().await;
    assert!(folder.path().join("one/two/three.db").is_file());
    assert!(!folder.path().join("local-sqlite").exists());
}

#[tokio::test]
async fn debug_mode_empties_the_test_database_and_not_the_other_one() {
    let folder = TempDir::new().unwrap();
    let production = written(folder.path()).await;
    let local = production.parent().unwrap();
    let before = contents(local, "sms-proxy.db");
    for _ in 0..2 {
        let server = Binary::serve(folder.path(), &[("DEBUG_MODE", "true")]).await;
        assert_eq!(server.ok("GET", "/tn", None).await.json()["pool_size"], 0);
        server.ok("POST", "/tn", Some(json!({"value": "12062992130"}))).await;
        server.stop().await;
        assert!(folder.path().join(TEST).is_file());
        assert!(contents(local, "sms-proxy.db") == before, "the production file was changed");
    }
    let server = Binary::serve(folder.path(), &[]).await;
    assert_eq!(server.ok("GET", "/tn", None).await.json()["virtual_tns"][0]["value"], TN);
}

#[tokio::test]
async fn debug_mode_empties_only_its_own_file() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("mine.db");
    fs::write(&file, "not to be touched").unwrap();
    let settings = [("DEBUG_MODE", "1"), ("SQLITE_PATH", "mine.db")];
    Binary::serve(folder.path(), &settings).await.stop().await;
    assert_eq!(fs::read(&file).unwrap(), b"not to be touched");

    let (code, said) = Binary::refusal(folder.path(), &[("SQLITE_PATH", TEST)]).await;
    assert_eq!(code, 2);
    assert!(said.contains("SQLITE_PATH: "), "{said}");
}

#[tokio::test]
async fn an_empty_file_becomes_a_database() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("empty.db"), "").unwrap();
    let server = Binary::serve(folder.path(), &[("SQLITE_PATH", "empty.db")]).await;
    server.ok("POST", "/tn", Some(json!({"value": TN}))).await;
}

/// Asserts that many processes can open this file at the same moment.
fn open_concurrently(file: &Path) {
    let start = Barrier::new(8);
    thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                start.wait();
                Sqlite::open(file).unwrap();
            });
        }
    });
}

#[test]
fn concurrent_processes_create_the_database_once() {
    for _ in 0..20 {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join(PRODUCTION);
        open_concurrently(&file);
    }
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_refused() {
    let folder = TempDir::new().unwrap();
    for text in ["shopping: milk\n".repeat(400), "milk".to_owned()] {
        let file = folder.path().join("list.txt");
        fs::write(&file, text).unwrap();
        assert_refused(&file, "is not an sms-proxy database").await;
    }
}

#[tokio::test]
async fn another_programs_database_is_refused() {
    for (journal, version) in [("delete", 0), ("wal", 0), ("delete", 1)] {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("other.db");
        let db = Connection::open(&file).unwrap();
        db.pragma_update(None, "journal_mode", journal).unwrap();
        db.pragma_update(None, "user_version", version).unwrap();
        db.execute_batch("CREATE TABLE tn (value TEXT); INSERT INTO tn VALUES ('theirs')").unwrap();
        db.close().unwrap();
        assert_refused(&file, "is not an sms-proxy database").await;
    }
}

#[tokio::test]
async fn a_damaged_database_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = written(folder.path()).await;
    let whole = fs::read(&file).unwrap();
    let page = 4096;
    let scrambled: Vec<u8> =
        whole.iter().enumerate().map(|(n, byte)| if n < page { *byte } else { 0xA5 }).collect();
    for damaged in [&scrambled[..], &whole[..whole.len() - page], &whole[..page]] {
        fs::write(&file, damaged).unwrap();
        assert_refused(&file, "is damaged").await;
    }
    fs::write(&file, whole).unwrap();
    let server = Binary::serve(folder.path(), &[]).await;
    assert_eq!(server.ok("GET", "/tn", None).await.json()["pool_size"], 1);
}

#[tokio::test]
async fn a_newer_versions_database_is_refused() {
    for journal in ["wal", "delete"] {
        let folder = TempDir::new().unwrap();
        let file = written(folder.path()).await;
        let db = Connection::open(&file).unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
        db.pragma_update(None, "journal_mode", journal).unwrap();
        db.close().unwrap();
        assert_refused(&file, "was written by a newer sms-proxy").await;
    }
}

/// The user and the group of nobody.
const NOBODY: u32 = 65534;

/// Starts the binary as a user who may read these paths and write only those that everybody may write.
async fn refusal_of_nobody(folder: &Path) -> (i32, String) {
    // The user may not reach the directory of the original. It is copied by another process: a file that this one has open
    // for writing, and so a child that another test starts at the moment, cannot be executed.
    let program = folder.join("sms-proxy");
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_sms-proxy")).arg(&program).status();
    assert!(copied.unwrap().success());
    let mut command = Command::new(program);
    prepare(&mut command, folder, &[("SQLITE_PATH", "data/sms-proxy.db")]);
    command.uid(NOBODY).gid(NOBODY);
    let mut binary = Binary::start(command);
    let status = binary.ended().await;
    (status.code().expect("no signal"), binary.stderr())
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_database_that_cannot_be_written_is_refused_with_the_file_and_the_user() {
    // What may be read only: the file, the write-ahead log of a server that was killed, or the folder.
    for read_only in ["sms-proxy.db", "sms-proxy.db-wal", "sms-proxy.db-shm", ""] {
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("data");
        let mut server = Binary::serve(folder.path(), &[("SQLITE_PATH", "data/sms-proxy.db")]).await;
        server.ok("POST", "/tn", Some(json!({"value": TN}))).await;
        server.binary.kill();
        if read_only.is_empty() {
            fs::remove_file(data.join("sms-proxy.db-wal")).unwrap();
            fs::remove_file(data.join("sms-proxy.db-shm")).unwrap();
        }
        for entry in fs::read_dir(&data).unwrap() {
            set_mode(&entry.unwrap().path(), 0o666);
        }
        set_mode(folder.path(), 0o755);
        set_mode(&data, 0o777);
        set_mode(&data.join(read_only), if read_only.is_empty() { 0o555 } else { 0o444 });
        let (code, said) = refusal_of_nobody(folder.path()).await;
        assert_eq!(code, 1, "{read_only}: {said}");
        for words in ["data/sms-proxy.db cannot be written", &format!("user {NOBODY}")] {
            assert!(said.contains(words), "{read_only}: {said}");
        }
        assert!(!said.contains("listening"), "{said}");
    }
}

#[tokio::test]
async fn a_directory_in_place_of_the_file_is_named() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    let (code, said) = Binary::refusal(folder.path(), &[("SQLITE_PATH", "data")]).await;
    assert_eq!(code, 1);
    assert!(said.contains("data: it is a directory"), "{said}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_created_is_named() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("taken"), "").unwrap();
    let (code, said) = Binary::refusal(folder.path(), &[("SQLITE_PATH", "taken/sms-proxy.db")]).await;
    assert_eq!(code, 1);
    assert!(said.contains("cannot create taken"), "{said}");
}
