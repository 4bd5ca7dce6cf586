//! The store does not write: another process holds its lock, or the disk fails.

use crate::support::{
    Backend, Conversation, Poster, Scene, assert_all_can_be_changed, assert_nothing_can_be_changed,
    binary::{Binary, Server, eventually, prepare},
};
use rusqlite::Connection;
use serde_json::Value;
use std::{
    process::Command,
    time::{Duration, Instant},
};

/// Posts texts that must not be accepted, and asserts that nothing else is either; the texts.
async fn refused(server: &Server, conversation: &Conversation) -> Vec<Value> {
    let texts: Vec<Value> = (0..10).map(|n| conversation.text(0, format!("refused {n}"))).collect();
    let begun = Instant::now();
    let statuses = Poster::to(server).post_all(&texts).await;
    assert!(begun.elapsed() < Duration::from_secs(6), "it took {:?}", begun.elapsed());
    assert!(statuses.iter().all(|status| *status == Some(503)), "{statuses:?}");
    assert_nothing_can_be_changed(server, conversation).await;
    texts
}

/// Asserts that the service works again, and that what was refused is accepted now.
async fn assert_well_again(
    scene: &Scene,
    server: &Server,
    conversation: Conversation,
    accepted: Vec<Value>,
    refused: Vec<Value>,
) {
    Poster::to(server).deliver_all(&refused).await;
    conversation.all_sent(server).await;
    scene.assert_each_arrived_once(accepted.iter().chain(&refused));
    assert_all_can_be_changed(server, conversation).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_another_process_holds_the_lock_nothing_is_accepted_and_then_all_is_well() {
    let scene = Scene::set(Backend::Sqlite).await;
    let server = scene.serve(&[]).await;
    let conversation = Conversation::begin(&server).await;
    scene.flowroute.clear();
    let texts = conversation.texts(5);
    Poster::to(&server).deliver_all(&texts).await;

    let other = Connection::open(scene.database()).unwrap();
    other.busy_timeout(Duration::from_secs(5)).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let refused = refused(&server, &conversation).await;
    server.ok("GET", "/tn", None).await;
    other.execute_batch("COMMIT").unwrap();
    assert_well_again(&scene, &server, conversation, texts, refused).await;
}

/// From now on the process cannot write to files beyond this many bytes.
fn limit_files(server: &Server, bytes: &str) {
    let pid = server.binary.pid().to_string();
    let set = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:unlimited")]).status();
    assert!(set.is_ok_and(|status| status.success()), "this test needs prlimit (package util-linux)");
}

/// Starts the service so that a write to a file that may not grow is an error, and not its end.
async fn serve_without_file_signal(scene: &Scene) -> Server {
    let mut command = Command::new("/bin/sh");
    prepare(&mut command, scene.folder(), &scene.settings(&[]));
    command.args(["-c", "trap '' XFSZ; exec \"$0\"", env!("CARGO_BIN_EXE_sms-proxy")]);
    Binary::start(command).listening().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_disk_fails_nothing_is_accepted_and_what_was_under_way_is_looked_up() {
    let scene = Scene::set(Backend::Sqlite).await;
    let server = serve_without_file_signal(&scene).await;
    let conversation = Conversation::begin(&server).await;
    scene.flowroute.clear();
    scene.flowroute.delay(Duration::from_millis(700));
    let texts = conversation.texts(5);
    let poster = Poster::to(&server);
    let under_way = tokio::spawn({
        let texts = texts.clone();
        async move { poster.deliver_all(&texts).await }
    });
    eventually("the texts are under way", || (scene.flowroute.taken().len() == texts.len()).then_some(()))
        .await;
    limit_files(&server, "0");
    under_way.await.unwrap();
    let refused = refused(&server, &conversation).await;
    let states = conversation.states(&server).await;
    assert!(states.iter().any(|state| state == "sending"), "every outcome was written down: {states:?}");
    limit_files(&server, "unlimited");
    assert_well_again(&scene, &server, conversation, texts, refused).await;
    assert!(scene.flowroute.readings() > 0, "nothing was looked up");
}
