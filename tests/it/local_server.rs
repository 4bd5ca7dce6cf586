//! The local server's limits: slow, silent and many clients.

use axum::{
    Router,
    body::Bytes,
    routing::{get, post},
};
use serde_json::json;
use sms_proxy::runtime::server::{Limits, serve};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use test_support::{App, TN};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore},
    task::JoinHandle,
    time::timeout,
};

/// The time limit for what must happen.
const WAIT_LIMIT: Duration = Duration::from_secs(30);
/// How long to wait for what must not happen. If it is too short, a bug may be missed.
const MOMENT: Duration = Duration::from_millis(300);

/// A running server that the test can stop.
struct Running {
    address: SocketAddr,
    stop: Arc<Notify>,
    task: JoinHandle<()>,
}

async fn start(router: Router, limits: Limits) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let task = tokio::spawn(async move { serve(listener, router, limits, stopped.notified()).await });
    Running { address, stop, task }
}

impl Running {
    /// A new connection that has sent this.
    async fn client(&self, sent: &str) -> TcpStream {
        let mut client = TcpStream::connect(self.address).await.unwrap();
        client.write_all(sent.as_bytes()).await.unwrap();
        client
    }

    async fn stop(mut self) {
        self.stop.notify_one();
        timeout(WAIT_LIMIT, &mut self.task).await.expect("the server stops").unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.notify_one();
    }
}

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

/// What the server sends until it closes the connection.
async fn heard(client: &mut TcpStream) -> String {
    let mut said = Vec::new();
    let read = timeout(WAIT_LIMIT, client.read_to_end(&mut said)).await.expect("the connection is closed");
    // A reset closes it too.
    let _ = read;
    String::from_utf8(said).unwrap()
}

/// Reads until the answer to `GET /` is whole.
async fn assert_hello(client: &mut TcpStream) {
    let mut said = Vec::new();
    while !said.ends_with(b"hello") {
        let mut piece = [0; 1024];
        let length = timeout(WAIT_LIMIT, client.read(&mut piece)).await.expect("an answer").unwrap();
        assert!(length > 0, "closed early: {}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&piece[..length]);
    }
    assert!(said.starts_with(b"HTTP/1.1 200 OK"));
}

const GET: &str = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
const GET_AND_CLOSE: &str = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// Short limits, of which that for further requests is much longer.
fn quick() -> Limits {
    Limits { head: Duration::from_millis(200), keep_alive: Duration::from_secs(3), ..Limits::default() }
}

#[test]
fn a_connection_outlives_the_idle_time_of_a_load_balancer() {
    assert!(Limits::default().keep_alive > Duration::from_secs(60));
    assert!(Limits::default().head < Duration::from_secs(60));
}

#[tokio::test]
async fn a_connection_that_has_carried_a_request_is_kept_longer() {
    let server = start(hello(), quick()).await;
    let mut client = server.client(GET).await;
    assert_hello(&mut client).await;
    tokio::time::sleep(quick().head * 3).await;
    client.write_all(GET.as_bytes()).await.unwrap();
    assert_hello(&mut client).await;
    assert_eq!(heard(&mut client).await, "", "and is closed in the end");
}

#[tokio::test]
async fn a_request_that_takes_longer_than_its_head_may_is_answered() {
    let slow = || async {
        tokio::time::sleep(quick().head * 3).await;
        "hello"
    };
    let server = start(Router::new().route("/", get(slow)), quick()).await;
    assert_hello(&mut server.client(GET).await).await;
}

#[tokio::test]
async fn a_client_that_sends_nothing_is_disconnected() {
    let server = start(hello(), quick()).await;
    assert!(!heard(&mut server.client("").await).await.contains("200 OK"));
}

#[tokio::test]
async fn a_client_that_sends_half_a_head_is_disconnected() {
    let server = start(hello(), quick()).await;
    let mut client = server.client("GET / HTTP/1.1\r\nhost: local").await;
    assert!(!heard(&mut client).await.contains("200 OK"));
}

#[tokio::test]
async fn a_client_that_sends_its_head_slowly_is_disconnected() {
    let server = start(hello(), quick()).await;
    let client = server.client("GET / HTTP/1.1\r\n").await;
    let (mut from, mut to) = client.into_split();
    let dripping = tokio::spawn(async move {
        while to.write_all(b"x: y\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut said = Vec::new();
    let _ = timeout(WAIT_LIMIT, from.read_to_end(&mut said)).await.expect("the connection is closed");
    assert!(!String::from_utf8(said).unwrap().contains("200 OK"));
    timeout(WAIT_LIMIT, dripping).await.expect("writing fails").unwrap();
}

#[tokio::test]
async fn an_idle_client_is_disconnected() {
    let server = start(hello(), quick()).await;
    let mut client = server.client(GET).await;
    let said = heard(&mut client).await;
    assert!(said.ends_with("hello"), "{said}");
}

#[tokio::test]
async fn a_connection_serves_several_requests() {
    let server = start(hello(), Limits::default()).await;
    let mut client = server.client(GET).await;
    for _ in 0..3 {
        assert_hello(&mut client).await;
        client.write_all(GET.as_bytes()).await.unwrap();
    }
    assert_hello(&mut client).await;
}

/// A router whose `/slow` waits for a permit.
fn with_slow() -> (Router, Arc<Semaphore>) {
    let permits = Arc::new(Semaphore::new(0));
    let blocked = Arc::clone(&permits);
    let slow = get(async move || {
        blocked.acquire().await.unwrap().forget();
        "hello"
    });
    (hello().route("/slow", slow), permits)
}

#[tokio::test]
async fn a_connection_above_the_limit_waits_while_all_others_have_a_running_request() {
    let (router, permits) = with_slow();
    let server = start(router, Limits { connections: 2, ..Limits::default() }).await;
    let slow = GET_AND_CLOSE.replace("GET /", "GET /slow");
    let (mut first, mut second) = (server.client(&slow).await, server.client(&slow).await);
    let mut third = server.client(GET_AND_CLOSE).await;
    let waited = timeout(MOMENT, third.read(&mut [0; 1])).await;
    assert!(waited.is_err(), "the third is answered beside two others: {waited:?}");
    permits.add_permits(1);
    assert_hello(&mut third).await;
    permits.add_permits(1);
    assert_hello(&mut first).await;
    assert_hello(&mut second).await;
}

#[tokio::test]
async fn the_connection_that_has_waited_longest_for_a_head_makes_room_for_another() {
    let (router, permits) = with_slow();
    let endless = Duration::from_secs(600);
    let limits = Limits { connections: 4, head: endless, keep_alive: endless, ..Limits::default() };
    let server = start(router, limits).await;
    let mut idle = server.client(GET).await;
    assert_hello(&mut idle).await;
    let mut running = server.client(&GET_AND_CLOSE.replace("GET /", "GET /slow")).await;
    let mut silent = server.client("").await;
    let mut half = server.client("GET / HTTP/1.1\r\nhost: local").await;
    // An idle client is spared while half of the connections are silent or half open.
    for (n, oldest) in [&mut silent, &mut idle, &mut half].into_iter().enumerate() {
        let mut next = server.client(GET).await;
        assert_hello(&mut next).await;
        assert_eq!(heard(oldest).await, "", "{n}: hung up on");
        // It stays, as the youngest.
        tokio::spawn(async move { heard(&mut next).await });
    }
    permits.add_permits(1);
    assert_hello(&mut running).await;
}

#[tokio::test]
async fn connections_with_unfinished_bodies_and_unread_answers_make_room_too() {
    let routes = hello()
        .route("/body", post(async |_: Bytes| "hello"))
        .route("/long", get(async || "x".repeat(1 << 20)));
    let endless = Duration::from_secs(600);
    let limits =
        Limits { connections: 2, head: endless, keep_alive: endless, write: endless, ..Limits::default() };
    let server = start(routes, limits).await;
    let mut body =
        server.client("POST /body HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nhal").await;
    let unread = server.client(&GET.replace("GET /", "GET /long").repeat(100)).await;
    for _ in 0..4 {
        let mut client = server.client(GET).await;
        assert_hello(&mut client).await;
        tokio::spawn(async move { heard(&mut client).await });
    }
    assert_eq!(heard(&mut body).await, "");
    drop(unread);
}

#[tokio::test]
async fn the_next_head_on_a_connection_has_as_long_as_the_first() {
    let limits = Limits { keep_alive: Duration::from_secs(600), ..quick() };
    let server = start(hello(), limits).await;
    let mut client = server.client(GET).await;
    assert_hello(&mut client).await;
    tokio::time::sleep(quick().head * 2).await;
    client.write_all(b"GET / HTTP/1.1\r\nhost: loc").await.unwrap();
    assert_eq!(heard(&mut client).await, "");
}

#[tokio::test]
async fn a_head_may_have_32_kib_and_none_has_more_than_64() {
    let server = start(hello(), Limits::default()).await;
    let head =
        |size: usize| format!("GET / HTTP/1.1\r\nconnection: close\r\nx: {}\r\n\r\n", "x".repeat(size));
    let said = heard(&mut server.client(&head(32_000)).await).await;
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    let mut client = TcpStream::connect(server.address).await.unwrap();
    // The server may hang up before it has read everything.
    let _ = client.write_all(head(66_000).as_bytes()).await;
    let said = heard(&mut client).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 431 "), "{said}");
}

#[tokio::test]
async fn permits_of_silent_clients_are_released() {
    let server = start(hello(), Limits { connections: 2, ..quick() }).await;
    let mut silent = Vec::new();
    for _ in 0..6 {
        silent.push(server.client("POST").await);
    }
    assert_hello(&mut server.client(GET_AND_CLOSE).await).await;
}

#[tokio::test]
async fn clients_with_unfinished_bodies_do_not_block_others() {
    let app = App::new();
    let server = start(app.router.clone(), Limits::default()).await;
    let mut unfinished = Vec::new();
    for path in ["/tn", "/session", "/"].repeat(10) {
        let head = "HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 23";
        unfinished.push(server.client(&format!("POST {path} {head}\r\n\r\n{{\"value\": ")).await);
    }
    app.add_tn(TN).await;
    let mut client = server.client("GET /tn HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    let said = heard(&mut client).await;
    assert!(said.contains("200 OK") && said.contains(TN), "{said}");
    drop(unfinished);
    assert_eq!(app.call("GET", "/tn", None).await.json()["pool_size"], json!(1));
}

#[tokio::test]
async fn invalid_http_is_answered_400_and_disconnected() {
    let server = start(hello(), Limits::default()).await;
    let said = heard(&mut server.client("\u{16}\u{3}\u{1} hello?\r\n\r\n").await).await;
    assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
    assert_hello(&mut server.client(GET_AND_CLOSE).await).await;
}

#[tokio::test]
async fn a_stop_waits_for_a_running_request_and_accepts_no_new_client() {
    let (entered, permits) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let (inside, blocked) = (Arc::clone(&entered), Arc::clone(&permits));
    let slow = get(async move || {
        inside.notify_one();
        blocked.acquire().await.unwrap().forget();
        "hello"
    });
    let server = start(Router::new().route("/", slow), Limits::default()).await;
    let (address, mut client) = (server.address, server.client(GET).await);
    entered.notified().await;
    let stopping = tokio::spawn(server.stop());
    while TcpStream::connect(address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!stopping.is_finished());
    permits.add_permits(1);
    assert!(heard(&mut client).await.ends_with("hello"));
    stopping.await.unwrap();
}

#[tokio::test]
async fn a_stop_does_not_wait_for_an_endless_request() {
    let entered = Arc::new(Notify::new());
    let inside = Arc::clone(&entered);
    let endless = get(async move || {
        inside.notify_one();
        std::future::pending::<&'static str>().await
    });
    let limits = Limits { stop: Duration::from_millis(200), ..Limits::default() };
    let server = start(Router::new().route("/", endless), limits).await;
    let _client = server.client(GET).await;
    entered.notified().await;
    server.stop().await;
}
