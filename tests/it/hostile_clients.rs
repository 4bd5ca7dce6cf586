//! Clients that want to stop the local server: silent ones, unfinished heads, large heads.

use serde_json::json;
use std::{fs, process::Command};
use tempfile::TempDir;
use test_support::{
    TN,
    binary::{Binary, Server, WAIT_LIMIT, eventually, prepare, read},
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

const KEYS: [(&str, &str); 1] = [("API_KEYS", "an-api-key-0123456789")];

/// More clients than the server has permits for.
const CLIENTS: usize = 1300;

/// This many connections that have sent this.
async fn clients(server: &Server, count: usize, sent: &[u8]) -> Vec<TcpStream> {
    // The test needs as many files as the server.
    let _ = sms_proxy::runtime::process::connections();
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = TcpStream::connect(server.address).await.unwrap();
        // The server may hang up meanwhile.
        let _ = client.write_all(sent).await;
        clients.push(client);
    }
    clients
}

/// The memory of the server in MB.
fn memory(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.binary.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_and_half_open_connections_do_not_keep_others_out() {
    let folder = TempDir::new().unwrap();
    let server = Binary::serve(folder.path(), &KEYS).await;
    for sent in ["", "GET /health HTTP/1.1\r\nhost: local", "POST / HTTP/1.1\r\n"] {
        let _hostile = clients(&server, CLIENTS, sent.as_bytes()).await;
        for _ in 0..20 {
            server.ok("GET", "/health", None).await;
            let add =
                server.request("POST", "/tn").header("x-api-key", KEYS[0].1).json(&json!({"value": TN}));
            assert!([200, 400].contains(&read(add).await.status));
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_unfinished_heads_take_little_memory_and_give_it_back() {
    let folder = TempDir::new().unwrap();
    let server = Binary::serve(folder.path(), &KEYS).await;
    let head = format!("GET /health HTTP/1.1\r\nhost: localhost\r\nx: {}", "x".repeat(400_000));
    let hostile = clients(&server, 1000, head.as_bytes()).await;
    server.ok("GET", "/health", None).await;
    assert!(memory(&server) < 150, "{} MB", memory(&server));
    drop(hostile);
    // Heads just below the limit are held until they time out or their client goes.
    let hostile = clients(&server, 1000, &head.as_bytes()[..60_000]).await;
    server.ok("GET", "/health", None).await;
    assert!(memory(&server) < 150, "{} MB", memory(&server));
    drop(hostile);
    eventually("the memory is given back", || (memory(&server) < 75).then_some(())).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_low_limit_of_open_files_is_raised_or_leaves_files_for_the_database() {
    let folder = TempDir::new().unwrap();
    for (limits, warned) in [("-Sn 64", false), ("-n 200", true)] {
        let mut start = Command::new("/bin/sh");
        prepare(&mut start, folder.path(), &[]);
        let script = format!("ulimit {limits}; exec \"$0\"");
        start.args(["-c", &script, env!("CARGO_BIN_EXE_sms-proxy")]);
        let server = Binary::start(start).listening().await;
        let _silent = clients(&server, 300, b"").await;
        for _ in 0..10 {
            server.call("POST", "/tn", Some(json!({"value": TN}))).await;
            server.ok("GET", "/tn", None).await;
        }
        let log = server.stop().await;
        assert_eq!(log.contains("limit of open files"), warned, "{log}");
        assert!(!log.contains("connection not accepted"), "{log}");
    }
}

#[tokio::test]
async fn many_connections_at_once_are_queued() {
    let listener = sms_proxy::runtime::server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    for n in 0..400 {
        let client = tokio::time::timeout(WAIT_LIMIT, TcpStream::connect(address)).await;
        queued.push(client.unwrap_or_else(|_| panic!("the queue is full after {n}")).unwrap());
    }
}
