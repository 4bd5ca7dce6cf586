//! What is acknowledged is stored: on disk, by the order of system calls in strace, or in DynamoDB, by the order of its
//! responses.

use serde_json::json;
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use test_support::{
    ALICE, Backend, TN,
    binary::{Binary, Server, eventually, prepare, read},
    fault_proxy::FaultProxy,
    flat,
    flowroute_standin::FlowrouteStandin,
    fresh_id, pair,
};

const TRACED: &str = "trace=fsync,fdatasync,read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg";

/// A system call, and the trace's lines at which it began and ended.
#[derive(Debug)]
struct SystemCall {
    text: String,
    begun: usize,
    ended: usize,
}

/// Starts the server under strace. The server is our child, and strace ends with it.
async fn serve_traced(folder: &Path, settings: &[(&str, &str)]) -> (Server, PathBuf) {
    let trace = folder.join("strace.txt");
    let mut command = Command::new("strace");
    prepare(&mut command, folder, settings);
    command.args(["--daemonize", "--follow-forks", "--decode-fds=path", "--string-limit=80", "-e", TRACED]);
    command.arg("--output").arg(&trace).arg(env!("CARGO_BIN_EXE_sms-proxy"));
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let there = Command::new("strace").arg("--version").output().is_ok_and(|output| output.status.success());
    assert!(there, "this test needs strace (Debian, Ubuntu: apt-get install strace)");
    (Binary::start(command).listening().await, trace)
}

/// Stops the server and reads its trace.
async fn trace_of(server: Server, trace: &Path) -> Vec<SystemCall> {
    server.stop().await;
    let whole =
        |text: &String| text.lines().last().is_some_and(|line| line.ends_with("+++ exited with 0 +++"));
    let text = eventually("the trace ends", || fs::read_to_string(trace).ok().filter(whole)).await;
    parse(&text)
}

/// A call is one line, or two if a call of another thread is logged while it runs.
fn parse(trace: &str) -> Vec<SystemCall> {
    let mut calls: Vec<SystemCall> = Vec::new();
    let mut unfinished = HashMap::new();
    for (n, line) in trace.lines().enumerate() {
        let (thread, text) = line.split_once(' ').unwrap();
        let text = text.trim_start();
        if let Some((_, rest)) = text.strip_prefix("<... ").and_then(|text| text.split_once(" resumed>")) {
            let call: &mut SystemCall = &mut calls[unfinished.remove(thread).unwrap()];
            call.text.push_str(rest);
            call.ended = n;
        } else {
            let (text, ended) = match text.strip_suffix("<unfinished ...>") {
                Some(beginning) => {
                    unfinished.insert(thread, calls.len());
                    (beginning, usize::MAX)
                }
                None => (text, n),
            };
            calls.push(SystemCall { text: text.to_owned(), begun: n, ended });
        }
    }
    calls
}

/// The first call that begins after this line and contains these bytes.
#[track_caller]
fn containing<'a>(calls: &'a [SystemCall], bytes: &str, after: usize) -> &'a SystemCall {
    let quoted = format!("\"{bytes}");
    let found = calls.iter().find(|call| call.begun > after && call.text.contains(&quoted));
    found.unwrap_or_else(|| panic!("no call contains {bytes} after line {after}: {calls:#?}"))
}

/// Asserts that the write-ahead log was synced after one line and before another.
#[track_caller]
fn assert_synced(calls: &[SystemCall], after: usize, before: usize) {
    let synced = calls.iter().any(|call| {
        let sync = call.text.starts_with("fsync(") || call.text.starts_with("fdatasync(");
        let log = call.text.contains("/sms-proxy.db-wal>") && call.text.ends_with("= 0");
        sync && log && call.begun > after && call.ended < before
    });
    assert!(synced, "the log is not synced between lines {after} and {before}: {calls:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tn_is_on_disk_before_the_response() {
    let folder = TempDir::new().unwrap();
    let (server, trace) = serve_traced(folder.path(), &[]).await;
    server.ok("POST", "/tn", Some(json!({"value": TN}))).await;
    let calls = trace_of(server, &trace).await;
    let request = containing(&calls, "POST /tn HTTP/1.1", 0);
    let answer = containing(&calls, "HTTP/1.1 200 OK", request.ended);
    assert_synced(&calls, request.ended, answer.begun);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_is_on_disk_before_it_is_sent_and_its_outcome_before_it_is_shown() {
    let folder = TempDir::new().unwrap();
    let flowroute = FlowrouteStandin::start().await;
    let (server, trace) = serve_traced(folder.path(), &flowroute.settings(&[])).await;
    server.ok("POST", "/tn", Some(json!({"value": TN}))).await;
    let session = server.ok("POST", "/session", Some(pair())).await.json();
    let text = flat(&fresh_id(), ALICE, TN, "keep this");
    assert_eq!(read(server.request("POST", "/").json(&text)).await.status, 200);
    let path = format!("/message?session_id={}", session["session_id"].as_str().unwrap());
    assert_eq!(server.ok("GET", &path, None).await.json()["messages"][2]["state"], "sent");
    let calls = trace_of(server, &trace).await;
    let request = containing(&calls, "POST / HTTP/1.1", 0);
    let sent = containing(&calls, "POST /v2.1/messages HTTP/1.1", request.ended);
    let answer = containing(&calls, "HTTP/1.1 200 OK", sent.ended);
    let shown = containing(&calls, "HTTP/1.1 200 OK", answer.ended);
    assert_synced(&calls, request.ended, sent.begun);
    assert_synced(&calls, sent.ended, shown.begun);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dynamodb_confirms_a_text_before_it_is_sent_and_its_outcome_before_the_response() {
    let (proxy, flowroute) = (FaultProxy::start().await, FlowrouteStandin::start().await);
    let records = Backend::Dynamodb.records_through(Some(proxy.url())).await;
    let server = Binary::serve(records.folder(), &flowroute.settings(&records.settings())).await;
    server.ok("POST", "/tn", Some(json!({"value": TN}))).await;
    let session = server.ok("POST", "/session", Some(pair())).await.json();
    flowroute.clear();
    // Long enough that a service that does not wait for the response is noticed.
    proxy.delay_responses(Duration::from_millis(150));
    let text = flat(&fresh_id(), ALICE, TN, "keep this");
    assert_eq!(read(server.request("POST", "/").json(&text)).await.status, 200);
    let acknowledged = Instant::now();
    let path = format!("/message?session_id={}", session["session_id"].as_str().unwrap());
    let relay = server.ok("GET", &path, None).await.json()["messages"][2].clone();
    let sent = flowroute.arrivals();
    let (record, outcome) =
        (confirmed(&proxy, "keep this"), confirmed(&proxy, relay["provider_id"].as_str().unwrap()));
    assert_eq!(sent.len(), 1);
    assert!(record < sent[0], "it was sent before it was stored");
    assert!(sent[0] < outcome && outcome < acknowledged, "it was acknowledged before its outcome was stored");
}

/// When DynamoDB confirmed the one write that contains these words.
#[track_caller]
fn confirmed(proxy: &FaultProxy, words: &str) -> Instant {
    let writes: Vec<_> = proxy.answered().into_iter().filter(|call| call.request.contains(words)).collect();
    assert_eq!(writes.len(), 1, "{writes:?}");
    writes[0].at
}
