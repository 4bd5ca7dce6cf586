//! The disk is full.

use crate::faults::fixture::{
    Conversation, Fixture, Poster, assert_all_can_be_changed, assert_nothing_can_be_changed,
};
use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::PathBuf,
    process::Command,
    time::Duration,
};
use test_support::{
    Backend,
    binary::{Binary, Server, prepare},
};

/// Enough for the database, its log and the test's file.
const SIZE: &str = "8m";

/// A command in a mount namespace of its own, whose mounts end with it.
fn namespace() -> Command {
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--user", "--map-root-user", "--mount"]);
    command
}

/// Starts the service with its database on a small disk of its own.
async fn serve_on_a_small_disk(fixture: &Fixture) -> Server {
    fs::create_dir(fixture.folder().join("disk")).unwrap();
    let mount = format!("mount -t tmpfs -o size={SIZE} small disk");
    let tried = namespace().args(["/bin/sh", "-c", &mount]).current_dir(fixture.folder()).output();
    assert!(
        tried.as_ref().is_ok_and(|output| output.status.success()),
        "this test mounts a disk in a namespace of its own (unshare, mount), and may not do so here; \
         it needs root, or a container with CAP_SYS_ADMIN: {tried:?}"
    );
    let mut command = namespace();
    prepare(&mut command, fixture.folder(), &fixture.settings(&[("SQLITE_PATH", "disk/sms-proxy.db")]));
    command.args(["/bin/sh", "-c", &format!("{mount} && exec \"$0\""), env!("CARGO_BIN_EXE_sms-proxy")]);
    Binary::start(command).listening().await
}

/// A file that fills the disk.
struct Filler(PathBuf);

impl Filler {
    fn new(server: &Server, fixture: &Fixture) -> Self {
        let folder = fixture.folder().join("disk");
        let seen_by_the_server = format!("/proc/{}/root{}/filler", server.binary.pid(), folder.display());
        let filler = Self(seen_by_the_server.into());
        filler.grow();
        filler
    }

    fn grow(&self) {
        let mut file = File::options().create(true).append(true).open(&self.0).unwrap();
        let error = loop {
            if let Err(error) = file.write_all(&[0; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    }

    fn remove(self) {
        fs::remove_file(&self.0).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_accepted_or_lost_while_the_disk_is_full_and_the_service_recovers() {
    let fixture = Fixture::new(Backend::Sqlite).await;
    let server = serve_on_a_small_disk(&fixture).await;
    let conversation = Conversation::begin(&server).await;
    fixture.flowroute.clear();
    let poster = Poster::to(&server);
    let mut texts = conversation.texts(20);
    poster.deliver_all(&texts).await;

    let filler = Filler::new(&server, &fixture);
    // The last page of the log may have room for one more.
    let mut refused = Vec::new();
    for n in 0..30 {
        let text = conversation.text(0, format!("on the full disk {n}"));
        match poster.post(&text).await {
            Some(200) => texts.push(text),
            Some(503) => refused.push(text),
            other => panic!("{other:?}"),
        }
    }
    assert!(refused.len() >= 25, "the disk is not full: {} of 30 were refused", refused.len());
    assert_nothing_can_be_changed(&server, &conversation).await;
    // Rounds of maintenance write so little that they may succeed.
    for n in 0..8 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        server.call("GET", "/health", None).await.assert_error(503, "store_unavailable");
        if n == 3 {
            assert_eq!(poster.post(&refused[0]).await, Some(503));
        }
    }
    filler.remove();

    poster.deliver_all(&refused).await;
    texts.extend(refused);
    conversation.all_sent(&server).await;
    fixture.assert_each_arrived_once(&texts);
    assert_all_can_be_changed(&server, conversation).await;
    server.stop().await;
}
