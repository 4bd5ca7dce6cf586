//! Stands between the real binary and the DynamoDB engine: for a while it lets nothing through, or spoils it.
#![allow(dead_code, reason = "each test target uses a part of it")]

use super::dynamodb::engine_url;
use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use hyper::{Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpSocket},
    task::{JoinHandle, JoinSet},
};

/// What becomes of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Way {
    /// It reaches the engine, and the answer comes back.
    #[default]
    Open,
    /// It is not done: too many requests.
    Throttled,
    /// It is not done: something went wrong.
    Failing,
    /// It is not done, and no answer comes.
    Hanging,
    /// It is done, and the connection is cut instead of an answer.
    Unheard,
}

/// A call that the engine has answered.
#[derive(Debug, Clone)]
pub struct Passed {
    /// What was asked, as JSON.
    pub asked: String,
    /// When the answer was about to leave.
    pub answered: Instant,
}

#[derive(Default)]
struct Desk {
    way: Way,
    /// Only calls whose JSON has one of these in it go that way, and all if there are none.
    with: Vec<String>,
    delay: Duration,
    passed: Vec<Passed>,
    spoilt: usize,
}

/// The engine as the binary sees it.
pub struct Gate {
    address: SocketAddr,
    url: String,
    desk: Arc<Mutex<Desk>>,
    task: JoinHandle<()>,
    /// Keeps the port while nobody listens.
    closed: Option<TcpSocket>,
}

impl Gate {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let desk = Arc::<Mutex<Desk>>::default();
        let task = tokio::spawn(serve(listener, Arc::clone(&desk)));
        Self { address, url: format!("http://{address}"), desk, task, closed: None }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap()
    }

    /// All calls go this way from now on.
    pub fn way(&self, way: Way) {
        self.only(&[], way);
    }

    /// Calls with one of these words in them go this way from now on, others are open.
    pub fn only(&self, with: &[&str], way: Way) {
        let mut desk = self.desk();
        desk.way = way;
        desk.with = with.iter().map(|&with| with.to_owned()).collect();
    }

    /// Holds back the engine's answers for so long from now on.
    pub fn delay(&self, delay: Duration) {
        self.desk().delay = delay;
    }

    /// The calls that the engine has answered.
    pub fn passed(&self) -> Vec<Passed> {
        self.desk().passed.clone()
    }

    /// How many calls did not go well.
    pub fn spoilt(&self) -> usize {
        self.desk().spoilt
    }

    /// Cuts every connection, and lets nobody connect from now on.
    pub async fn close(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        self.closed = Some(socket);
    }

    /// Listens again.
    pub fn open(&mut self) {
        let listener = self.closed.take().expect("it is closed").listen(1024).unwrap();
        self.task = tokio::spawn(serve(listener, Arc::clone(&self.desk)));
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves until it is aborted; its connections end with it.
async fn serve(listener: TcpListener, desk: Arc<Mutex<Desk>>) {
    let engine = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (desk, engine) = (Arc::clone(&desk), engine.clone());
        let service = service_fn(move |request| pass(Arc::clone(&desk), engine.clone(), request));
        connections.spawn(async move {
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// `Err`: no answer, the connection is cut.
type Answered = io::Result<Response<Body>>;

async fn pass(desk: Arc<Mutex<Desk>>, engine: reqwest::Client, request: Request<Incoming>) -> Answered {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let asked = String::from_utf8_lossy(&body).into_owned();
    let (way, delay) = {
        let mut desk = desk.lock().unwrap();
        let meant = desk.with.is_empty() || desk.with.iter().any(|with| asked.contains(with));
        let way = if meant { desk.way } else { Way::Open };
        desk.spoilt += usize::from(way != Way::Open);
        (way, desk.delay)
    };
    match way {
        Way::Open => {
            let answer = forward(engine, &head.headers, body).await?;
            tokio::time::sleep(delay).await;
            desk.lock().unwrap().passed.push(Passed { asked, answered: Instant::now() });
            Ok(answer)
        }
        Way::Throttled => Ok(refusal(400, "ProvisionedThroughputExceededException")),
        Way::Failing => Ok(refusal(500, "InternalServerError")),
        Way::Hanging => std::future::pending().await,
        Way::Unheard => {
            forward(engine, &head.headers, body).await?;
            Err(io::ErrorKind::ConnectionAborted.into())
        }
    }
}

/// Asks the engine in a task of its own: what has reached it is done, also when the binary hangs up.
async fn forward(engine: reqwest::Client, headers: &axum::http::HeaderMap, body: Bytes) -> Answered {
    let mut request = engine.post(engine_url());
    for name in ["x-amz-target", "content-type", "authorization", "x-amz-date"] {
        request = request.header(name, &headers[name]);
    }
    let asked = tokio::spawn(async move {
        let answer = request.body(body).send().await?;
        Ok::<_, reqwest::Error>((answer.status(), answer.bytes().await?))
    });
    let (status, body) = asked.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
    Ok(json_response(status, Body::from(body)))
}

fn refusal(status: u16, code: &str) -> Response<Body> {
    let body =
        json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "as scripted"});
    json_response(StatusCode::from_u16(status).unwrap(), Body::from(body.to_string()))
}

fn json_response(status: StatusCode, body: Body) -> Response<Body> {
    let answer = Response::builder().status(status).header("content-type", "application/x-amz-json-1.0");
    answer.body(body).unwrap()
}
