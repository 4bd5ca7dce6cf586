//! What the service is compared with, each a process of its own: a stand-in for Flowroute, two forwarders that promise less,
//! and a Lambda function that does nothing.

use crate::load::whole;
use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use rusqlite::Connection;
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
};

/// Listens, and prints the address for the process that has started this one.
pub(crate) async fn listen() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    eprintln!("listening on http://{}", listener.local_addr().expect("its address"));
    listener
}

/// Takes every message at once, as Flowroute does when all is well.
pub(crate) async fn provider() {
    let listener = listen().await;
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        tokio::spawn(take_all(stream));
    }
}

async fn take_all(mut stream: TcpStream) {
    let mut read = Vec::with_capacity(2048);
    loop {
        match stream.read_buf(&mut read).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        while let Some(length) = whole(&read).filter(|&length| read.len() >= length) {
            read.drain(..length);
            let id = uuid::Uuid::new_v4().simple();
            let body = format!(r#"{{"data":{{"id":"mdr2-{id}","type":"message"}}}}"#);
            let head = "HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length:";
            let answer = format!("{head} {}\r\n\r\n{body}", body.len());
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

#[derive(serde::Deserialize)]
struct Text {
    to: String,
    body: String,
}

#[derive(Clone)]
struct Forwarder {
    http: reqwest::Client,
    url: Arc<str>,
    table: Option<Table>,
}

/// Forwards every text. With a database it stores the text before, and the outcome after: what any service has to do
/// that loses no text when the power fails, and nothing else.
pub(crate) async fn forwarder(provider: &str, database: Option<&Path>) {
    let forwarder = Forwarder {
        http: reqwest::Client::new(),
        url: format!("{provider}/v2.1/messages").into(),
        table: database.map(Table::open),
    };
    let router = Router::new().route("/", post(forward)).with_state(forwarder);
    let listener = axum::serve::ListenerExt::tap_io(listen().await, |stream: &mut TcpStream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await.expect("it serves");
}

async fn forward(State(forwarder): State<Forwarder>, body: Bytes) -> StatusCode {
    let Ok(text) = serde_json::from_slice::<Text>(&body) else { return StatusCode::BAD_REQUEST };
    let stored = match &forwarder.table {
        Some(table) => Some((table, table.write(Write::Text(text.body.clone())).await)),
        None => None,
    };
    let message = serde_json::json!({"data": {"type": "message", "attributes":
        {"to": "14000000000", "from": text.to, "body": text.body}}});
    let request = forwarder.http.post(&*forwarder.url).basic_auth("key", Some("secret"));
    let request = request.header("content-type", "application/vnd.api+json").body(message.to_string());
    let Ok(taken) = request.send().await else { return StatusCode::BAD_GATEWAY };
    let Ok(answer) = taken.bytes().await else { return StatusCode::BAD_GATEWAY };
    if let Some((table, row)) = stored {
        table.write(Write::Outcome(row, answer)).await;
    }
    StatusCode::OK
}

enum Write {
    Text(String),
    Outcome(i64, Bytes),
}

/// One table, and a thread that writes it: all writes that wait share a transaction.
#[derive(Clone)]
struct Table(mpsc::Sender<(Write, oneshot::Sender<i64>)>);

impl Table {
    fn open(path: &Path) -> Self {
        let db = Connection::open(path).expect("a database");
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE text (id INTEGER PRIMARY KEY, body TEXT, outcome TEXT) STRICT",
        )
        .expect("its table");
        let (queue, writes) = mpsc::channel(1024);
        std::thread::spawn(move || write_all(&db, writes));
        Self(queue)
    }

    async fn write(&self, write: Write) -> i64 {
        let (done, row) = oneshot::channel();
        self.0.send((write, done)).await.expect("the writer runs");
        row.await.expect("it is written")
    }
}

fn write_all(db: &Connection, mut writes: mpsc::Receiver<(Write, oneshot::Sender<i64>)>) {
    let (mut waiting, mut done) = (Vec::new(), Vec::new());
    while writes.blocking_recv_many(&mut waiting, 256) > 0 {
        let transaction = db.unchecked_transaction().expect("a transaction");
        for (write, reply) in waiting.drain(..) {
            let row = match write {
                Write::Text(body) => {
                    let sql = "INSERT INTO text (body) VALUES (?1)";
                    transaction.prepare_cached(sql).and_then(|mut insert| insert.insert([body]))
                }
                Write::Outcome(row, answer) => {
                    let sql = "UPDATE text SET body = NULL, outcome = ?2 WHERE id = ?1";
                    let outcome = String::from_utf8_lossy(&answer);
                    let mut update = transaction.prepare_cached(sql).expect("a statement");
                    update.execute(rusqlite::params![row, outcome]).map(|_| row)
                }
            };
            done.push((row.expect("a row"), reply));
        }
        transaction.commit().expect("a commit");
        for (row, reply) in done.drain(..) {
            let _ = reply.send(row);
        }
    }
}

/// A function that does nothing: its first poll comes as early as one can.
pub(crate) async fn bare_function() {
    let nothing = async |_: lambda_http::Request| Ok::<_, lambda_http::Error>("");
    let _ = lambda_http::run(lambda_http::service_fn(nothing)).await;
}

/// A port on which nobody answers, though connections are made.
pub(crate) async fn hanging() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok(connection) = listener.accept().await {
            held.push(connection);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    address
}
