//! SQLite cannot write: another process holds the lock, or the disk fails.

use crate::faults::fixture::{Conversation, Fixture, Poster, assert_nothing_is_accepted, health_becomes};
use rusqlite::Connection;
use std::{process::Command, time::Duration};
use test_support::{
    Backend,
    binary::{Binary, Server, eventually, prepare},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_accepted_while_another_process_holds_the_lock_and_the_service_recovers() {
    let fixture = Fixture::new(Backend::Sqlite).await;
    let (server, conversation) = fixture.begin(&[]).await;
    let texts = conversation.texts(5);
    Poster::to(&server).deliver_all(&texts).await;

    let other = Connection::open(fixture.database()).unwrap();
    other.busy_timeout(Duration::from_secs(5)).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let refused = assert_nothing_is_accepted(&server, &conversation).await;
    server.ok("GET", "/tn", None).await;
    other.execute_batch("COMMIT").unwrap();
    fixture.assert_recovered(&server, conversation, texts, refused).await;
}

/// Limits the size of files that the process writes.
fn limit_files(server: &Server, bytes: &str) {
    let pid = server.binary.pid().to_string();
    let set = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:unlimited")]).status();
    assert!(set.is_ok_and(|status| status.success()), "this test needs prlimit (package util-linux)");
}

/// Starts the service so that a write beyond the size limit is an error and no signal.
async fn serve_without_file_signal(fixture: &Fixture, settings: &[(&str, &str)]) -> Server {
    let mut command = Command::new("/bin/sh");
    prepare(&mut command, fixture.folder(), &fixture.settings(settings));
    command.args(["-c", "trap '' XFSZ; exec \"$0\"", env!("CARGO_BIN_EXE_sms-proxy")]);
    Binary::start(command).listening().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_accepted_while_the_disk_fails_and_texts_in_flight_are_reconciled() {
    let fixture = Fixture::new(Backend::Sqlite).await;
    let server = serve_without_file_signal(&fixture, &[]).await;
    let conversation = Conversation::begin(&server).await;
    fixture.flowroute.clear();
    fixture.flowroute.delay_answering(Duration::from_millis(700));
    let texts = conversation.texts(5);
    let poster = Poster::to(&server);
    let in_flight = tokio::spawn({
        let texts = texts.clone();
        async move { poster.deliver_all(&texts).await }
    });
    eventually("the texts are in flight", || (fixture.flowroute.taken().len() == texts.len()).then_some(()))
        .await;
    limit_files(&server, "0");
    in_flight.await.unwrap();
    let refused = assert_nothing_is_accepted(&server, &conversation).await;
    let states = conversation.states(&server).await;
    assert!(states.iter().any(|state| state == "sending"), "every outcome was stored: {states:?}");
    limit_files(&server, "unlimited");
    fixture.assert_recovered(&server, conversation, texts, refused).await;
    assert!(fixture.flowroute.readings() > 0, "nothing was looked up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_shows_that_the_disk_fails_although_nothing_else_is_written() {
    let fixture = Fixture::new(Backend::Sqlite).await;
    let server = serve_without_file_signal(&fixture, &[("MAINTENANCE_INTERVAL", "86400")]).await;
    health_becomes(&server, 200).await;
    limit_files(&server, "0");
    health_becomes(&server, 503).await;
    limit_files(&server, "unlimited");
    health_becomes(&server, 200).await;
}
