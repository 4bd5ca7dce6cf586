//! The commands of the real binary, and its sudden death.

use super::{
    BACKENDS,
    populated_store::{PopulatedStore, tn_of},
    snapshot_store::{SnapshotStore, file, lines},
};
use sms_proxy::snapshot::Problem;
use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Output, Stdio},
    time::Instant,
};
use tempfile::TempDir;
use test_support::{ALICE, Backend, Outcome, binary::command, flat, number, on_each_backend};

on_each_backend! {
    the_commands_move_everything
    an_export_names_the_action_if_a_message_is_leased
}

on_each_backend! { slow:
    an_import_that_crashes_repeatedly_has_the_same_result
}

/// How often an import must have been killed in its midst.
const DEATHS: usize = 3;

/// The binary on a store, with this command.
fn on(store: &SnapshotStore, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = command(folder, &store.settings());
    command.args(arguments).stdin(Stdio::null());
    command
}

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_owned()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn run(mut command: Command) -> (Option<i32>, String, String) {
    texts(&command.output().unwrap())
}

async fn the_commands_move_everything(backend: Backend) {
    let folder = TempDir::new().unwrap();
    let source = PopulatedStore::on(backend).await.store;
    let (code, whole, said) = run(on(&source, folder.path(), &["export"]));
    let count = lines(&whole).len();
    assert_eq!((code, said), (Some(0), format!("exported {count} records\n")));
    assert_eq!(whole, source.export().await);
    let path = folder.path().join("backup.jsonl");
    fs::write(&path, &whole).unwrap();
    for target in BACKENDS {
        let target = SnapshotStore::beside(&source, target).await;
        let mut import = on(&target, folder.path(), &["import"]);
        import.stdin(File::open(&path).unwrap());
        let (code, stdout, said) = run(import);
        assert_eq!((code, stdout.as_str()), (Some(0), ""), "{said}");
        assert!(said.contains(&format!("imported {count} records; 0 were there already")), "{said}");
        let (code, _, said) = run(on(&target, folder.path(), &["import", "backup.jsonl"]));
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(&format!("imported 0 records; {count} were there already")), "{said}");
        let (_, again, _) = run(on(&target, folder.path(), &["export"]));
        assert_eq!(again, whole);
    }
}

async fn an_export_names_the_action_if_a_message_is_leased(backend: Backend) {
    let folder = TempDir::new().unwrap();
    let store = SnapshotStore::of(backend).await;
    let session = store.app.conversation(None).await;
    store.app.provider.always(Outcome::Crash);
    store.app.post(flat("mdr2-dies", ALICE, tn_of(&session), "last words")).await;
    let (code, out, said) = run(on(&store, folder.path(), &["export"]));
    assert_eq!((code, out.as_str()), (Some(1), ""), "{said}");
    for words in ["1 messages are leased", "stop the service", "LEASE_SECONDS", "`sms-proxy maintenance`"] {
        assert!(said.contains(words), "{said}");
    }
}

/// A file with the records of this many sessions.
async fn long_file(sessions: u32) -> String {
    let store = SnapshotStore::of(Backend::Sqlite).await;
    let app = &store.app;
    for n in 0..sessions + 10 {
        app.add_tn(&number(1000 + n)).await;
    }
    for n in 0..sessions {
        let session = app.open_session(&number(2 * n), &number(2 * n + 1), Some(60 + n)).await;
        for text in 0..5 {
            let from = number(2 * n + text % 2);
            app.provider
                .always([Outcome::Sent, Outcome::Busy, Outcome::SentNoResponse][text as usize % 3].clone());
            app.text(&from, tn_of(&session), &format!("text {text}")).await;
        }
        app.provider.always(Outcome::Sent);
        match n % 4 {
            0 => app.end_session(&session).await,
            1 => app.text(&number(2 * n), tn_of(&session), "STOP").await,
            _ => {}
        }
    }
    store.export().await
}

/// An export, when what was under way at a death has come to rest.
async fn at_rest(store: &SnapshotStore) -> String {
    loop {
        match store.exported().await {
            Err(Problem::Changed) => {}
            file => return file.unwrap(),
        }
    }
}

async fn an_import_that_crashes_repeatedly_has_the_same_result(backend: Backend) {
    let folder = TempDir::new().unwrap();
    let sessions = backend.many(40, 12);
    let whole = long_file(sessions).await;
    fs::write(folder.path().join("backup.jsonl"), &whole).unwrap();
    let import = |store: &SnapshotStore| on(store, folder.path(), &["import", "backup.jsonl"]);

    let started = Instant::now();
    let (code, _, said) = run(import(&SnapshotStore::of(backend).await));
    assert_eq!(code, Some(0), "{said}");
    let takes = started.elapsed();

    let mut deaths = 0;
    while deaths < DEATHS {
        let target = SnapshotStore::of(backend).await;
        let mut held = file(&[]);
        while held != whole {
            let mut process = import(&target).stderr(Stdio::null()).spawn().unwrap();
            tokio::time::sleep(takes.mul_f64(rand::random_range(0.0..1.1))).await;
            process.kill().unwrap();
            process.wait().unwrap();
            let now = at_rest(&target).await;
            let (before, after) = (lines(&held).len(), lines(&now).len());
            assert!(lines(&now).iter().all(|line| whole.contains(line)) && before <= after);
            deaths += usize::from(before < after && now != whole);
            held = now;
        }
        let (code, _, said) = run(import(&target));
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("imported 0 records"), "{said}");
        assert_eq!(target.app.call("GET", "/tn", None).await.json()["in_use"], sessions / 4 * 3);
    }
}

#[tokio::test]
async fn unreadable_and_unwritable_files_are_named() {
    let folder = TempDir::new().unwrap();
    let run = |arguments: &[&str], path: &str| {
        let mut command = command(folder.path(), &[("SQLITE_PATH", path)]);
        run({
            command.args(arguments).stdin(Stdio::null());
            command
        })
    };
    let (code, out, said) = run(&["export"], "nowhere.db");
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(said.contains("there is no database nowhere.db"), "{said}");
    let (code, _, said) = run(&["import", "nothing.jsonl"], "nowhere.db");
    assert_eq!(code, Some(1));
    assert!(said.contains("cannot read nothing.jsonl"), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    fs::write(folder.path().join("empty.jsonl"), file(&[])).unwrap();
    assert_eq!(run(&["import", "empty.jsonl"], "new.db").0, Some(0));
    let (code, _, said) = run(&["import"], "new.db");
    assert_eq!(code, Some(1));
    assert!(said.contains("line 1: it is not the beginning of a file"), "{said}");
    let mut full = command(folder.path(), &[("SQLITE_PATH", "new.db")]);
    full.arg("export").stdout(File::create("/dev/full").unwrap());
    let (code, _, said) = texts(&full.output().unwrap());
    assert_eq!(code, Some(1));
    assert!(said.contains("cannot write the export"), "{said}");
}

#[tokio::test]
async fn the_help_describes_the_file() {
    let folder = TempDir::new().unwrap();
    let mut help = command(folder.path(), &[]);
    help.args(["export", "--help"]);
    let (code, said, _) = run(help);
    assert_eq!(code, Some(0));
    assert!(said.contains("phone numbers and texts"), "{said}");
}
