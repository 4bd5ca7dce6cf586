//! Lists of TNs and sessions, against a program that holds the same list in memory.

use crate::{
    fill::fill,
    load::{People, exchange},
    process::{DATABASE, Server},
    references::listen,
    report::{Aim, Figures, Table, median},
};
use axum::{Json, Router, extract::State, routing::get};
use serde::{Deserialize, Serialize};
use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, task::JoinSet};

/// A list: its name, its path, and its two aims.
type Which = (&'static str, &'static str, [&'static str; 2]);
const LISTS: [Which; 2] = [
    (
        "TNs",
        "/tn",
        [
            "time for 100,000 TNs, of that from memory",
            "MB of memory for each of 8 such lists at once, by MB of JSON",
        ],
    ),
    (
        "sessions",
        "/session",
        [
            "time for 100,000 sessions, of that from memory",
            "MB of memory for each of 8 such lists at once, by MB of JSON",
        ],
    ),
];
/// The largest pages that the service gives.
const PAGE: &str = "limit=1000";
/// How many clients ask for a whole list at the same time.
const CLIENTS: usize = 8;

/// What the answers to `GET /tn` and `GET /session` hold, in memory.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum List {
    Tns { available: u64, in_use: u64, pool_size: u64, virtual_tns: Vec<Tn> },
    Sessions { total_sessions: u64, sessions: Vec<Session> },
}

#[derive(Clone, Serialize, Deserialize)]
struct Tn {
    session_id: Option<String>,
    value: String,
}

#[derive(Clone, Serialize, Deserialize)]
struct Session {
    id: String,
    date_created: String,
    expiry_date: Option<String>,
    virtual_tn: String,
    participant_a: String,
    participant_b: String,
}

/// Answers each request with the lists of these files, which it holds in memory and serialises anew.
pub(crate) async fn reference(folder: &Path) {
    let mut router = Router::new();
    for (_, path, _) in LISTS {
        let json = std::fs::read(folder.join(&path[1..])).expect("the file of a list");
        let list: Arc<List> = Arc::new(serde_json::from_slice(&json).expect("a list"));
        router = router.merge(
            Router::new().route(path, get(async |State(list): State<Arc<List>>| Json(list))).with_state(list),
        );
    }
    axum::serve(listen().await, router).await.expect("it serves");
}

/// A client that asks for lists.
struct Client {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Client {
    async fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, answer: Vec::new() }
    }

    /// The body of the answer.
    async fn get(&mut self, path: &str) -> &[u8] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
        let status =
            exchange(&mut self.stream, request.as_bytes(), &mut self.answer).await.expect("an answer");
        assert_eq!(status, 200, "{path}");
        let head = self.answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
        &self.answer[head + 4..]
    }

    /// The milliseconds that a whole list takes.
    async fn whole(&mut self, path: &str) -> f64 {
        let begun = Instant::now();
        self.get(path).await;
        millis(begun.elapsed())
    }

    /// The milliseconds that all pages of a list take.
    async fn pages(&mut self, path: &str) -> f64 {
        const NEXT: &[u8] = b"\"next\":\"";
        let (begun, mut after) = (Instant::now(), String::new());
        loop {
            let page = self.get(&format!("{path}?{PAGE}{after}")).await;
            let end = &page[page.len().saturating_sub(100)..];
            let Some(at) = end.windows(NEXT.len()).position(|bytes| bytes == NEXT) else { break };
            let next = end[at + NEXT.len()..].split(|&byte| byte == b'"').next().unwrap_or_default();
            after = format!("&after={}", String::from_utf8_lossy(next));
        }
        millis(begun.elapsed())
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

pub(crate) async fn measure(folder: &Path, rounds: usize) -> Figures {
    let mut table = Table::new(&[
        "list",
        "of",
        "MB of JSON",
        "ms",
        "from memory ms",
        "times",
        "in pages of 1,000 ms",
        "MB of memory",
        "of them for 8 clients at once",
    ]);
    let mut aims = Vec::new();
    for sessions in [100, 100_000] {
        let folder = folder.join(sessions.to_string());
        fill(&folder.join(DATABASE), People { sessions, per_tn: 1 }, 0);
        for (name, path, [aim, memory_aim]) in LISTS {
            let service = Server::service(&folder, "http://127.0.0.1:1", &[]);
            let idle = service.memory("VmRSS");
            let mut client = Client::connect(service.address).await;
            for (_, path, _) in LISTS {
                std::fs::write(folder.join(&path[1..]), client.get(path).await).expect("the file of a list");
            }
            let json = std::fs::metadata(folder.join(&path[1..])).expect("the file").len() as f64 / 1e6;
            let reference = Server::reference(&["held-lists", &folder.display().to_string()]);
            let mut from_memory = Client::connect(reference.address).await;
            assert_eq!(from_memory.get(path).await, client.get(path).await, "the same list");
            let mut turns = Vec::new();
            for _ in 0..rounds {
                turns.push([
                    client.whole(path).await,
                    from_memory.whole(path).await,
                    client.pages(path).await,
                ]);
            }
            let [ms, memory_ms, pages_ms] =
                std::array::from_fn(|which| median(turns.iter().map(|turn: &[f64; 3]| turn[which])));
            let most = service.memory("VmHWM");
            let mut clients = JoinSet::new();
            for _ in 0..CLIENTS {
                let address = service.address;
                clients.spawn(async move { Client::connect(address).await.whole(path).await });
            }
            clients.join_all().await;
            let most_at_once = service.memory("VmHWM");
            table.row(vec![
                name.into(),
                sessions.to_string(),
                format!("{json:.2}"),
                format!("{ms:.1}"),
                format!("{memory_ms:.1}"),
                format!("{:.1}", ms / memory_ms),
                format!("{pages_ms:.1}"),
                format!("{most:.0}"),
                format!("{most_at_once:.0}"),
            ]);
            if sessions == 100_000 {
                aims.push(Aim::at_most(aim, 4.0, ms / memory_ms));
                let each = (most_at_once - idle) / json / CLIENTS as f64;
                aims.push(Aim::at_most(memory_aim, 3.0, each));
            }
        }
    }
    Figures { aims, ..Figures::of(table) }
}
