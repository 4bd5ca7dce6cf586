//! Nobody but the owner reads what the service writes, and nothing else of its memory comes out.

use serde_json::json;
use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
};
use tempfile::TempDir;
use test_support::{
    TN,
    binary::{Binary, command, prepare},
};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap_or_else(|error| panic!("{path:?}: {error}")).permissions().mode() & 0o777
}

#[tokio::test]
async fn the_database_its_folder_and_an_export_are_readable_for_their_owner_only() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let settings = [("SQLITE_PATH", "data/deeper/sms-proxy.db")];
    let mut start = Command::new("/bin/sh");
    prepare(&mut start, folder.path(), &settings);
    start.args(["-c", "umask 022; exec \"$0\"", env!("CARGO_BIN_EXE_sms-proxy")]);
    let mut server = Binary::start(start).listening().await;
    server.ok("POST", "/tn", Some(json!({"value": TN}))).await;
    let files =
        ["sms-proxy.db", "sms-proxy.db-wal", "sms-proxy.db-shm"].map(|name| data.join("deeper").join(name));
    for file in &files {
        assert_eq!(mode(file), 0o600, "{file:?}");
    }
    assert_eq!((mode(&data), mode(&data.join("deeper"))), (0o700, 0o700));
    server.binary.kill();
    // As an earlier release left them.
    for file in &files {
        fs::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
    }
    let server = Binary::serve(folder.path(), &settings).await;
    server.ok("DELETE", &format!("/tn/{TN}"), None).await;
    for file in &files {
        assert_eq!(mode(file), 0o600, "{file:?}");
    }
    server.stop().await;
    let path = folder.path().join("export.jsonl");
    let out = File::create(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let mut export = command(folder.path(), &settings);
    assert!(export.arg("export").stdout(out).status().unwrap().success());
    assert_eq!(mode(&path), 0o600);
}

#[tokio::test]
async fn a_settings_file_that_others_can_read_is_warned_of() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("settings.toml");
    fs::write(&file, "org_name = 'Cabs'\n").unwrap();
    for (mode, warned) in [(0o644, true), (0o640, true), (0o604, true), (0o600, false), (0o400, false)] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let log = Binary::serve(folder.path(), &[]).await.stop().await;
        let line = log.lines().find(|line| line.contains("WARN") && line.contains("SETTINGS_FILE"));
        assert_eq!(
            line.is_some_and(|line| line.contains("chmod 600 settings.toml")),
            warned,
            "{mode:o}: {log}"
        );
    }
}

#[tokio::test]
async fn the_process_dumps_no_core() {
    let folder = TempDir::new().unwrap();
    let server = Binary::serve(folder.path(), &[]).await;
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.binary.pid())).unwrap();
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().take(2).collect::<Vec<_>>(), ["0", "0"]);
    server.stop().await;
}

/// In a process of its own the test below panics as the service would.
const CHILD: &str = "PANIC_OF_THE_TEST";

#[test]
fn a_panic_is_logged_with_its_place_and_without_its_message() {
    if std::env::var_os(CHILD).is_some() {
        sms_proxy::telemetry::logging::start(tracing::Level::INFO, false);
        sms_proxy::telemetry::logging::log_panics();
        let number = String::from("12065551212");
        let _ = std::thread::spawn(move || panic!("no session of {number}")).join();
        return;
    }
    let name = "private_files::a_panic_is_logged_with_its_place_and_without_its_message";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads", "1"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8(child.stderr).unwrap() + &String::from_utf8(child.stdout).unwrap();
    assert!(child.status.success(), "{said}");
    assert!(said.contains("ERROR") && said.contains("private_files.rs:"), "{said}");
    assert!(!said.contains("12065551212") && !said.contains("no session"), "{said}");
}
