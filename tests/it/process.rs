//! The real binary as a process: starting, stopping, and dying.

use crate::support::{
    ALICE, BOB, Loopback, Reply, TN,
    binary::{Binary, Server, command, eventually, read},
    flat,
    flowroute_standin::FlowrouteStandin,
    fresh_id,
};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, net::TcpStream};

const DATABASE: &str = "local-sqlite/sms-proxy.db";

/// A TN with a session of Alice and Bob on it.
async fn conversation(server: &Server) -> Value {
    server.ok("POST", "/tn", Some(json!({"value": TN}))).await;
    let pair = json!({"participant_a": ALICE, "participant_b": BOB, "expiry_window": 60});
    server.ok("POST", "/session", Some(pair)).await.json()
}

/// The states of all relays on record.
fn relays(folder: &Path) -> Vec<String> {
    let db = Connection::open_with_flags(folder.join(DATABASE), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    db.busy_timeout(Duration::from_secs(5)).unwrap();
    let mut states = db.prepare("SELECT state FROM outbound WHERE kind = 'relay'").unwrap();
    states.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// A conversation behind a provider that takes a second for each text from now on.
async fn slow_conversation(folder: &Path) -> (Server, FlowrouteStandin) {
    let flowroute = FlowrouteStandin::start().await;
    let server = Binary::serve(folder, &flowroute.settings(&[])).await;
    conversation(&server).await;
    flowroute.clear();
    flowroute.delay(Duration::from_secs(1));
    (server, flowroute)
}

/// Posts a text on a connection of its own and returns when the provider has got it, but not yet answered.
async fn post_until_the_provider_has_it(
    server: &Server,
    flowroute: &FlowrouteStandin,
    text: &Value,
) -> TcpStream {
    let mut client = TcpStream::connect(server.address).await.unwrap();
    let text = text.to_string();
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json";
    let request = format!("{head}\r\ncontent-length: {}\r\n\r\n{text}", text.len());
    client.write_all(request.as_bytes()).await.unwrap();
    eventually("the provider has the text", || (!flowroute.taken().is_empty()).then_some(())).await;
    client
}

#[tokio::test]
async fn tns_and_sessions_survive_a_stop_and_a_sudden_death() {
    let folder = TempDir::new().unwrap();
    let server = Binary::serve(folder.path(), &[]).await;
    conversation(&server).await;
    server.ok("POST", "/tn", Some(json!({"value": "12062992130"}))).await;
    let before = (server.ok("GET", "/tn", None).await.body, server.ok("GET", "/session", None).await.body);
    let log = server.stop().await;
    assert!(log.contains("stopped"), "{log}");

    let mut server = Binary::serve(folder.path(), &[]).await;
    let after = (server.ok("GET", "/tn", None).await.body, server.ok("GET", "/session", None).await.body);
    assert_eq!(before, after);
    server.ok("POST", "/tn", Some(json!({"value": "12062992131"}))).await;
    let before = (server.ok("GET", "/tn", None).await.body, after.1);
    server.binary.kill();

    let server = Binary::serve(folder.path(), &[]).await;
    let after = (server.ok("GET", "/tn", None).await.body, server.ok("GET", "/session", None).await.body);
    assert_eq!(before, after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_finishes_the_running_requests() {
    let folder = TempDir::new().unwrap();
    let (server, flowroute) = slow_conversation(folder.path()).await;
    let text = flat(&fresh_id(), ALICE, TN, "before you go");
    let post = tokio::spawn(read(server.request("POST", "/").json(&text)));
    eventually("the provider has the text", || (!flowroute.taken().is_empty()).then_some(())).await;
    server.stop().await;
    assert_eq!(post.await.unwrap().status, 200);
    assert_eq!(relays(folder.path()), ["sent"]);
    assert_eq!(flowroute.taken(), [(BOB.to_owned(), "before you go".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_whose_client_has_gone_is_settled() {
    let folder = TempDir::new().unwrap();
    let (server, flowroute) = slow_conversation(folder.path()).await;
    let text = flat(&fresh_id(), ALICE, TN, "cannot wait");
    drop(post_until_the_provider_has_it(&server, &flowroute, &text).await);
    eventually("the text is settled", || (relays(folder.path()) == ["sent"]).then_some(())).await;
    let again = read(server.request("POST", "/").json(&text)).await;
    assert_eq!(again.status, 200);
    assert_eq!(flowroute.taken(), [(BOB.to_owned(), "cannot wait".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_a_text_whose_client_has_gone() {
    let folder = TempDir::new().unwrap();
    let (server, flowroute) = slow_conversation(folder.path()).await;
    let text = flat(&fresh_id(), ALICE, TN, "cannot wait");
    drop(post_until_the_provider_has_it(&server, &flowroute, &text).await);
    server.stop().await;
    assert_eq!(relays(folder.path()), ["sent"]);
    assert_eq!(flowroute.taken().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_was_going_out_at_a_sudden_death_is_not_sent_again() {
    let folder = TempDir::new().unwrap();
    let (mut server, flowroute) = slow_conversation(folder.path()).await;
    let text = flat(&fresh_id(), ALICE, TN, "last words");
    let _client = post_until_the_provider_has_it(&server, &flowroute, &text).await;
    server.binary.kill();
    flowroute.delay(Duration::ZERO);
    let server = Binary::serve(folder.path(), &flowroute.settings(&[])).await;
    assert_eq!(read(server.request("POST", "/").json(&text)).await.status, 200);
    assert_eq!(flowroute.taken(), [(BOB.to_owned(), "last words".to_owned())]);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_idle_clients() {
    let folder = TempDir::new().unwrap();
    let server = Binary::serve(folder.path(), &[]).await;
    let _silent = TcpStream::connect(server.address).await.unwrap();
    server.ok("GET", "/health", None).await;
    let log = server.stop().await;
    assert!(!log.contains("still running"), "{log}");
}

#[tokio::test]
async fn help_and_version_answer() {
    let folder = TempDir::new().unwrap();
    for (option, expected) in [("--help", "Usage: sms-proxy"), ("--version", env!("CARGO_PKG_VERSION"))] {
        let mut command = command(folder.path(), &[("LOG_LEVEL", "nonsense")]);
        command.arg(option);
        let mut binary = Binary::start(command);
        assert!(binary.ended().await.success(), "{}", binary.stderr());
        assert!(binary.stdout().contains(expected), "{}", binary.stdout());
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn an_unknown_command_is_refused() {
    let folder = TempDir::new().unwrap();
    let mut command = command(folder.path(), &[]);
    command.arg("surf");
    let mut binary = Binary::start(command);
    assert_eq!(binary.ended().await.code(), Some(2));
    assert!(binary.stderr().contains("surf"), "{}", binary.stderr());
}

#[tokio::test]
async fn bad_settings_are_all_named_and_nothing_is_made() {
    let folder = TempDir::new().unwrap();
    let bad = [
        ("BIND_ADDR", "everywhere"),
        ("LOG_LEVEL", "loud"),
        ("LEASE_SECONDS", "5"),
        ("MESSAGE_RETENTION_DAYS", "1"),
        ("FLOWROUTE_SECRET_KEY", "a secret with spaces"),
        ("API_KEYS", "too-short"),
    ];
    let (code, said) = Binary::refusal(folder.path(), &bad).await;
    assert_eq!(code, 2, "{said}");
    for (name, _) in bad {
        assert!(said.lines().any(|line| line.starts_with(&format!("{name}: "))), "{name} is not in: {said}");
    }
    assert!(!said.contains("a secret") && !said.contains("too-short"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let folder = TempDir::new().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, said) = Binary::refusal(folder.path(), &[("BIND_ADDR", &address)]).await;
    assert_eq!(code, 1);
    assert!(said.contains("BIND_ADDR") && said.contains(&address), "{said}");
}

/// What `sms-proxy health` says of the server at this address: its exit code, and its words.
async fn health_of(address: &str) -> (i32, String) {
    let folder = TempDir::new().unwrap();
    let settings = [("BIND_ADDR", address), ("ALLOW_UNAUTHENTICATED", "true")];
    let mut command = command(folder.path(), &settings);
    command.arg("health");
    let mut binary = Binary::start(command);
    let code = binary.ended().await.code().expect("no signal");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a probe makes nothing");
    (code, binary.stderr())
}

#[tokio::test]
async fn the_health_command_tells_whether_the_server_is_well() {
    let folder = TempDir::new().unwrap();
    let server = Binary::serve(folder.path(), &[]).await;
    let address = server.address.to_string();
    assert_eq!(health_of(&address).await, (0, String::new()));
    // As in a container, where the server listens everywhere.
    assert_eq!(health_of(&format!("0.0.0.0:{}", server.address.port())).await, (0, String::new()));
    server.stop().await;
    let (code, said) = health_of(&address).await;
    assert!(code == 1 && said.contains("nothing answers"), "{code}: {said}");
    let unwell = Loopback::always(Reply::answer(503, "")).await;
    let (code, said) = health_of(unwell.url("http").trim_start_matches("http://")).await;
    assert!(code == 1 && said.contains("503"), "{code}: {said}");
}
