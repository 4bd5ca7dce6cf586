//! The real binary as a process: starting, stopping, crashing.

use chrono::Utc;
use serde_json::{Value, json};
use sms_proxy::domain::{Kind, Page, SessionId, State};
use std::{
    process::Command,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use test_support::{
    ALICE, BOB, Backend, Loopback, Records, Reply, TN,
    binary::{Binary, Server, WAIT_LIMIT, command, eventually, prepare, read},
    flat,
    flowroute_standin::{FlowrouteStandin, Mode},
    fresh_id, on_each_backend,
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

on_each_backend! { with 2 threads:
    tns_and_sessions_survive_a_stop_and_a_crash
    a_conversation_continues_after_a_stop_and_a_crash
    a_maintenance_round_beside_the_server_sends_waiting_texts
    a_stop_finishes_the_running_requests
    a_text_whose_client_disconnected_is_settled
    a_stop_waits_for_a_text_whose_client_disconnected
    a_text_being_sent_during_a_crash_is_not_sent_again
}

/// A TN with a session of Alice and Bob on it.
async fn conversation(server: &Server) -> Value {
    server.ok("POST", "/tn", Some(json!({"value": TN}))).await;
    let pair = json!({"participant_a": ALICE, "participant_b": BOB, "expiry_window": 60});
    server.ok("POST", "/session", Some(pair)).await.json()
}

/// A conversation with a provider that takes a second for each further text.
struct Slow {
    records: Records,
    flowroute: FlowrouteStandin,
    session: SessionId,
}

impl Slow {
    async fn conversation(backend: Backend) -> (Self, Server) {
        let (records, flowroute) = (backend.records().await, FlowrouteStandin::start().await);
        let server = Binary::serve(records.folder(), &flowroute.settings(&records.settings())).await;
        let session = conversation(&server).await["session_id"].as_str().unwrap().parse().unwrap();
        flowroute.clear();
        flowroute.delay_answering(Duration::from_secs(1));
        (Self { records, flowroute, session }, server)
    }

    /// The states of the session's relays, whether or not a server runs.
    async fn relays(&self) -> Vec<State> {
        let messages =
            self.records.store().messages(self.session, Page::default(), Utc::now()).await.unwrap();
        let messages = messages.expect("the session is stored").items.into_iter();
        messages
            .filter(|message| message.outbound.text.kind == Kind::Relay)
            .map(|message| message.status.state)
            .collect()
    }
}

/// Posts a text on a new connection. Returns once the provider has it and before the provider answers.
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

async fn tns_and_sessions_survive_a_stop_and_a_crash(backend: Backend) {
    let records = backend.records().await;
    let server = Binary::serve(records.folder(), &records.settings()).await;
    conversation(&server).await;
    server.ok("POST", "/tn", Some(json!({"value": "12062992130"}))).await;
    let before = (server.ok("GET", "/tn", None).await.body, server.ok("GET", "/session", None).await.body);
    let log = server.stop().await;
    assert!(log.contains("stopped"), "{log}");

    let mut server = Binary::serve(records.folder(), &records.settings()).await;
    let after = (server.ok("GET", "/tn", None).await.body, server.ok("GET", "/session", None).await.body);
    assert_eq!(before, after);
    server.ok("POST", "/tn", Some(json!({"value": "12062992131"}))).await;
    let before = (server.ok("GET", "/tn", None).await.body, after.1);
    server.binary.kill();

    let server = Binary::serve(records.folder(), &records.settings()).await;
    let after = (server.ok("GET", "/tn", None).await.body, server.ok("GET", "/session", None).await.body);
    assert_eq!(before, after);
}

async fn a_conversation_continues_after_a_stop_and_a_crash(backend: Backend) {
    let (records, flowroute) = (backend.records().await, FlowrouteStandin::start().await);
    let settings = flowroute.settings(&records.settings());
    let server = Binary::serve(records.folder(), &settings).await;
    conversation(&server).await;
    flowroute.clear();
    let first = flat(&fresh_id(), ALICE, TN, "first");
    assert_eq!(read(server.request("POST", "/").json(&first)).await.status, 200);
    server.stop().await;

    let mut server = Binary::serve(records.folder(), &settings).await;
    let second = flat(&fresh_id(), BOB, TN, "second");
    for text in [&first, &second, &first] {
        assert_eq!(read(server.request("POST", "/").json(text)).await.status, 200);
    }
    server.binary.kill();

    let server = Binary::serve(records.folder(), &settings).await;
    let third = flat(&fresh_id(), ALICE, TN, "third");
    for text in [&second, &third] {
        assert_eq!(read(server.request("POST", "/").json(text)).await.status, 200);
    }
    let expected = [(ALICE, "second"), (BOB, "first"), (BOB, "third")];
    assert_eq!(flowroute.taken(), expected.map(|(to, body)| (to.to_owned(), body.to_owned())));
}

async fn a_maintenance_round_beside_the_server_sends_waiting_texts(backend: Backend) {
    let (records, flowroute) = (backend.records().await, FlowrouteStandin::start().await);
    let more = [&records.settings()[..], &[("MAINTENANCE_INTERVAL", "3600")]].concat();
    let settings = flowroute.settings(&more);
    let server = Binary::serve(records.folder(), &settings).await;
    conversation(&server).await;
    flowroute.clear();
    flowroute.mode(Mode::Answer(503));
    let text = flat(&fresh_id(), ALICE, TN, "later");
    assert_eq!(read(server.request("POST", "/").json(&text)).await.status, 200);
    flowroute.mode(Mode::Take);
    let store = records.store();
    while store.due(10, chrono::Utc::now()).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for sent in ["1 texts sent", "0 texts sent"] {
        let mut command = command(records.folder(), &settings);
        command.arg("maintenance");
        let mut round = Binary::start(command);
        assert_eq!(round.ended().await.code(), Some(0), "{}", round.stderr());
        assert!(round.stdout().contains(sent), "{}", round.stdout());
    }
    assert_eq!(read(server.request("POST", "/").json(&text)).await.status, 200);
    assert_eq!(flowroute.taken(), [(BOB.to_owned(), "later".to_owned())]);
}

/// Whether this process ignores SIGHUP, which its children inherit.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(ignored.trim(), 16).unwrap() & 1 == 1
}

async fn a_stop_finishes_the_running_requests(backend: Backend) {
    // By an init system, by Ctrl-C, and by a terminal that is closed, unless these tests run under `nohup`, too.
    let is_ignored = |signal: &str| signal == "HUP" && ignores_hangup();
    for signal in ["TERM", "INT", "HUP"].into_iter().filter(|signal| !is_ignored(signal)) {
        let (slow, server) = Slow::conversation(backend).await;
        let text = flat(&fresh_id(), ALICE, TN, "before you go");
        let post = tokio::spawn(read(server.request("POST", "/").json(&text)));
        eventually("the provider has the text", || (!slow.flowroute.taken().is_empty()).then_some(())).await;
        server.stop_by(signal).await;
        assert_eq!(post.await.unwrap().status, 200, "{signal}");
        assert_eq!(slow.relays().await, [State::Sent], "{signal}");
        assert_eq!(slow.flowroute.taken(), [(BOB.to_owned(), "before you go".to_owned())], "{signal}");
    }
}

async fn a_text_whose_client_disconnected_is_settled(backend: Backend) {
    let (slow, server) = Slow::conversation(backend).await;
    let text = flat(&fresh_id(), ALICE, TN, "cannot wait");
    drop(post_until_the_provider_has_it(&server, &slow.flowroute, &text).await);
    let give_up = Instant::now() + WAIT_LIMIT;
    while slow.relays().await != [State::Sent] {
        assert!(Instant::now() < give_up, "the text is not settled");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let again = read(server.request("POST", "/").json(&text)).await;
    assert_eq!(again.status, 200);
    assert_eq!(slow.flowroute.taken(), [(BOB.to_owned(), "cannot wait".to_owned())]);
}

async fn a_stop_waits_for_a_text_whose_client_disconnected(backend: Backend) {
    let (slow, server) = Slow::conversation(backend).await;
    let text = flat(&fresh_id(), ALICE, TN, "cannot wait");
    drop(post_until_the_provider_has_it(&server, &slow.flowroute, &text).await);
    server.stop().await;
    assert_eq!(slow.relays().await, [State::Sent]);
    assert_eq!(slow.flowroute.taken().len(), 1);
}

async fn a_text_being_sent_during_a_crash_is_not_sent_again(backend: Backend) {
    let (slow, mut server) = Slow::conversation(backend).await;
    let text = flat(&fresh_id(), ALICE, TN, "last words");
    let _client = post_until_the_provider_has_it(&server, &slow.flowroute, &text).await;
    server.binary.kill();
    slow.flowroute.delay_answering(Duration::ZERO);
    let settings = slow.flowroute.settings(&slow.records.settings());
    let server = Binary::serve(slow.records.folder(), &settings).await;
    assert_eq!(read(server.request("POST", "/").json(&text)).await.status, 200);
    assert_eq!(slow.flowroute.taken(), [(BOB.to_owned(), "last words".to_owned())]);
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
async fn help_and_version_are_printed() {
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
async fn all_bad_settings_are_named_and_no_file_is_created() {
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
async fn an_address_in_use_is_named() {
    let folder = TempDir::new().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, said) = Binary::refusal(folder.path(), &[("BIND_ADDR", &address)]).await;
    assert_eq!(code, 1);
    assert!(said.contains("BIND_ADDR") && said.contains(&address), "{said}");
}

/// The exit code and the output of `sms-proxy health` for the server at this address.
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
async fn the_health_command_reports_the_servers_health() {
    let folder = TempDir::new().unwrap();
    let server = Binary::serve(folder.path(), &[]).await;
    let address = server.address.to_string();
    assert_eq!(health_of(&address).await, (0, String::new()));
    // As in a container, where the server listens on all interfaces.
    assert_eq!(health_of(&format!("0.0.0.0:{}", server.address.port())).await, (0, String::new()));
    server.stop().await;
    let (code, said) = health_of(&address).await;
    assert!(code == 1 && said.contains("nothing answers"), "{code}: {said}");
    let unwell = Loopback::always(Reply::answer(503, "")).await;
    let (code, said) = health_of(unwell.url("http").trim_start_matches("http://")).await;
    assert!(code == 1 && said.contains("503"), "{code}: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_started_with_nohup_outlives_its_terminal() {
    let folder = TempDir::new().unwrap();
    let mut command = Command::new("/bin/sh");
    prepare(&mut command, folder.path(), &[]);
    command.args(["-c", "trap '' HUP; exec \"$0\"", env!("CARGO_BIN_EXE_sms-proxy")]);
    let server = Binary::start(command).listening().await;
    server.binary.signal("HUP");
    for _ in 0..3 {
        server.ok("GET", "/health", None).await;
    }
    let log = server.stop().await;
    assert_eq!(log.matches("stopping").count(), 1, "by SIGTERM: {log}");
}
