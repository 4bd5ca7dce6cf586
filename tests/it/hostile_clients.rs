//! Clients that want to stop the local server: silent ones, unfinished heads, large heads.

use serde_json::{Value, json};
use sms_proxy::store::{Entry, Imported, Snapshot, Sqlite};
use std::{
    collections::VecDeque,
    fs,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use test_support::{
    ALICE, Backend, Records, TN,
    binary::{Binary, Server, WAIT_LIMIT, eventually, prepare, read},
    flat,
    flowroute_standin::FlowrouteStandin,
    fresh_id, number, pair,
};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::Semaphore, task::JoinSet};

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

/// Holds this many connections that have sent this, and opens others for the oldest ones until it is aborted. Signals that
/// all are there, or as many as the test may open.
async fn hold(address: std::net::SocketAddr, count: usize, sent: Arc<[u8]>, holding: Arc<Semaphore>) {
    let mut held = VecDeque::new();
    let mut is_full = false;
    loop {
        let connected = TcpStream::connect(address).await;
        if !is_full && (held.len() == count || connected.is_err()) {
            is_full = true;
            holding.add_permits(1);
        }
        if is_full {
            held.pop_front();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if let Ok(mut client) = connected {
            // The server reads no more than its limit, and then hangs up.
            let _ = tokio::time::timeout(Duration::from_millis(50), client.write_all(&sent)).await;
            held.push_back(client);
        }
    }
}

/// Asks for the whole list again and again, from 200 clients.
fn ask_for_lists(server: &Server, attack: &mut JoinSet<()>, holding: &Arc<Semaphore>) {
    for _ in 0..200 {
        let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
        let (url, holding) = (format!("http://{}/tn", server.address), Arc::clone(holding));
        attack.spawn(async move {
            holding.add_permits(1);
            loop {
                let _ = client.get(&url).header("x-api-key", KEYS[0].1).send().await;
            }
        });
    }
}

/// Records with 20,000 TNs.
async fn large_pool() -> Records {
    let records = Backend::Sqlite.records().await;
    let entries = (100..20_100).map(|n| {
        let (number, added_at) = (number(n).parse().unwrap(), chrono::Utc::now());
        Entry::Tn { number, added_at, draining: false }
    });
    fs::create_dir_all(records.database().parent().unwrap()).unwrap();
    let store = Sqlite::open(records.database()).unwrap();
    assert_eq!(store.import(entries.collect()).await.unwrap(), Imported::Done);
    drop(store);
    records
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn texts_are_relayed_and_health_answers_while_silent_and_unfinished_connections_and_lists_attack() {
    let records = large_pool().await;
    let flowroute = FlowrouteStandin::start().await;
    let settings = flowroute.settings(&[KEYS[0], ("FLOWROUTE_MAX_PER_SECOND", "0")]);
    let server = Binary::serve(records.folder(), &settings).await;
    let call = async |path: &str, body: Value| {
        let answer = read(server.request("POST", path).header("x-api-key", KEYS[0].1).json(&body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    call("/tn", json!({"value": TN})).await;
    let mut opening = pair();
    opening["virtual_tn"] = TN.into();
    call("/session", opening).await;
    flowroute.clear();

    // The test needs as many files as it may have.
    let _ = sms_proxy::runtime::process::connections();
    let head = format!("GET /health HTTP/1.1\r\nhost: localhost\r\nx: {}", "x".repeat(400_000));
    let holding = Arc::new(Semaphore::new(0));
    let mut attack = JoinSet::new();
    for (count, sent) in [(2500, ""), (2500, "GET /health HTTP/1.1\r\nhost: local"), (1000, &head)] {
        attack.spawn(hold(server.address, count, sent.as_bytes().into(), Arc::clone(&holding)));
    }
    ask_for_lists(&server, &mut attack, &holding);
    let all = holding.acquire_many(203);
    let _all = tokio::time::timeout(4 * WAIT_LIMIT, all).await.expect("all attack").unwrap();

    let mut times = Vec::new();
    for n in 1..=20 {
        let started = Instant::now();
        server.ok("GET", "/health", None).await;
        times.push(("health", started.elapsed()));
        let started = Instant::now();
        call("/", flat(&fresh_id(), ALICE, TN, "hello")).await;
        times.push(("text", started.elapsed()));
        assert_eq!(flowroute.taken().len(), n, "the text is relayed before it is answered");
    }
    assert_eq!(attack.len(), 203, "an attacker has stopped");
    attack.shutdown().await;
    for what in ["health", "text"] {
        let longest = times.iter().filter(|(of, _)| *of == what).map(|(_, time)| time).max();
        eprintln!("{what}: the longest of 20 took {longest:.1?}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow"]
async fn short_lists_are_answered_while_200_clients_ask_for_the_whole_pool_again_and_again() {
    let records = large_pool().await;
    let server = Binary::serve(records.folder(), &[KEYS[0]]).await;
    let call = async |method: &str, path: &str, body: Option<Value>| {
        let request = server.request(method, path).header("x-api-key", KEYS[0].1);
        read(if let Some(body) = body { request.json(&body) } else { request }).await
    };
    let session = call("POST", "/session", Some(pair())).await.json();
    let holding = Arc::new(Semaphore::new(0));
    let mut attack = JoinSet::new();
    ask_for_lists(&server, &mut attack, &holding);
    let all = holding.acquire_many(200);
    let _all = tokio::time::timeout(WAIT_LIMIT, all).await.expect("all attack").unwrap();
    for path in [
        format!("/message?session_id={}", session["session_id"].as_str().unwrap()),
        format!("/message?session_id={}&limit=1", session["session_id"].as_str().unwrap()),
        "/session".to_owned(),
        format!("/session?participant={ALICE}"),
        format!("/opt-out?number={ALICE}"),
        "/status".to_owned(),
    ] {
        for _ in 0..10 {
            let answer = call("GET", &path, None).await;
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
        }
    }
    assert_eq!(attack.len(), 200, "an attacker has stopped");
    attack.shutdown().await;
    let values = |page: &Value| -> Vec<Value> {
        page["virtual_tns"].as_array().unwrap().iter().map(|tn| tn["value"].clone()).collect()
    };
    let whole = values(&call("GET", "/tn", None).await.json());
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let page = call("GET", &format!("/tn?limit=1000{after}"), None).await.json();
        paged.extend(values(&page));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert!(whole.len() == 20_000 && whole == paged, "{} {}", whole.len(), paged.len());
    server.stop().await;
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
