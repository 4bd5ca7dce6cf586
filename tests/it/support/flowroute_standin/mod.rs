//! Flowroute's API as far as the service needs it, on a loopback address.
#![allow(dead_code, reason = "each test target uses a part of it")]

mod list;

pub use list::ListMode;

use axum::body::Body;
use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use http_body_util::BodyExt;
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
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

pub const ACCESS_KEY: &str = "standin-access-key";
pub const SECRET_KEY: &str = "standin-secret-key";
/// A page of the list has no more rows than this, however many are asked for.
pub const PAGE: usize = 20;

/// What becomes of a text that comes in.
#[derive(Debug, Clone, Copy, Default)]
pub enum Mode {
    /// It is taken, under an id of its own.
    #[default]
    Take,
    /// It is refused, and quoted.
    Refuse,
    /// It is not taken, and this status says so.
    Answer(u16),
    /// It is taken, and the connection is cut instead of an answer.
    TakeAndHangUp,
    /// It is not taken, and the connection is cut instead of an answer.
    HangUp,
}

/// A text that Flowroute has taken.
#[derive(Debug, Clone)]
struct Taken {
    id: String,
    from: String,
    to: String,
    body: String,
    media: Vec<String>,
    at: DateTime<Utc>,
}

#[derive(Default)]
struct Desk {
    taken: Vec<Taken>,
    arrivals: Vec<Instant>,
    mode: Mode,
    hesitation: Duration,
    delay: Duration,
    list: ListMode,
    readings: usize,
    requests: usize,
}

/// Takes every text as long as the keys are right and a test wants nothing else, and lists what it has taken.
pub struct FlowrouteStandin {
    address: SocketAddr,
    url: String,
    desk: Arc<Mutex<Desk>>,
    task: JoinHandle<()>,
    /// Keeps the port while nobody listens.
    closed: Option<TcpSocket>,
}

impl FlowrouteStandin {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let desk = Arc::<Mutex<Desk>>::default();
        let task = tokio::spawn(serve(listener, address, Arc::clone(&desk)));
        Self { address, url: format!("http://{address}"), desk, task, closed: None }
    }

    /// The settings that make the binary use this, and some more.
    pub fn settings<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut settings = vec![
            ("FLOWROUTE_API_URL", self.url.as_str()),
            ("FLOWROUTE_ACCESS_KEY", ACCESS_KEY),
            ("FLOWROUTE_SECRET_KEY", SECRET_KEY),
        ];
        settings.extend_from_slice(more);
        settings
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap()
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
        self.task = tokio::spawn(serve(listener, self.address, Arc::clone(&self.desk)));
    }

    /// Treats texts so from now on.
    pub fn mode(&self, mode: Mode) {
        self.desk().mode = mode;
    }

    /// Shows its list so from now on.
    pub fn list(&self, list: ListMode) {
        self.desk().list = list;
    }

    /// Takes so long from now on before it takes a text; one whose connection is cut meanwhile is not taken.
    pub fn hesitate(&self, hesitation: Duration) {
        self.desk().hesitation = hesitation;
    }

    /// Takes so long from now on to answer when it has taken a text.
    pub fn delay(&self, delay: Duration) {
        self.desk().delay = delay;
    }

    /// What was taken, answered or not, as `(to, body)`, sorted.
    pub fn taken(&self) -> Vec<(String, String)> {
        let mut taken: Vec<_> =
            self.desk().taken.iter().map(|text| (text.to.clone(), text.body.clone())).collect();
        taken.sort();
        taken
    }

    /// The addresses of the pictures of what was taken, in the order of arrival.
    pub fn media(&self) -> Vec<Vec<String>> {
        self.desk().taken.iter().map(|text| text.media.clone()).collect()
    }

    /// When texts came in, taken or not.
    pub fn arrivals(&self) -> Vec<Instant> {
        self.desk().arrivals.clone()
    }

    /// How often the list was asked for, from its beginning.
    pub fn readings(&self) -> usize {
        self.desk().readings
    }

    /// How many requests of any kind came, whatever keys they carried.
    pub fn requests(&self) -> usize {
        self.desk().requests
    }

    /// Forgets what has come in.
    pub fn clear(&self) {
        let mut desk = self.desk();
        desk.taken.clear();
        desk.arrivals.clear();
    }
}

impl Drop for FlowrouteStandin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves until it is aborted; its connections end with it.
async fn serve(listener: TcpListener, address: SocketAddr, desk: Arc<Mutex<Desk>>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let desk = Arc::clone(&desk);
        let service = service_fn(move |request| answer(Arc::clone(&desk), address, request));
        connections.spawn(async move {
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// `Err`: no answer, the connection is cut.
type Answered = io::Result<Response<Body>>;

async fn answer(desk: Arc<Mutex<Desk>>, address: SocketAddr, request: Request<Incoming>) -> Answered {
    let arrived = Instant::now();
    desk.lock().unwrap().requests += 1;
    let expected = format!("Basic {}", BASE64_STANDARD.encode(format!("{ACCESS_KEY}:{SECRET_KEY}")));
    if request.headers().get("authorization").is_none_or(|given| given != expected.as_str()) {
        return Ok(json_response(401, &json!({})));
    }
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/v2.1/messages") => {
            desk.lock().unwrap().arrivals.push(arrived);
            let body = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
            receive(&desk, &serde_json::from_slice(&body).unwrap()).await
        }
        (&Method::GET, "/v2.1/messages") => {
            Ok(list::show(&mut desk.lock().unwrap(), address, request.uri().query()))
        }
        _ => Ok(json_response(404, &json!({}))),
    }
}

async fn receive(desk: &Mutex<Desk>, message: &Value) -> Answered {
    let word = |name: &str| message["data"]["attributes"][name].as_str().unwrap().to_owned();
    let hesitation = desk.lock().unwrap().hesitation;
    tokio::time::sleep(hesitation).await;
    let id = super::fresh_id();
    let (mode, delay) = {
        let mut desk = desk.lock().unwrap();
        if matches!(desk.mode, Mode::Take | Mode::TakeAndHangUp) {
            let (from, to, body) = (word("from"), word("to"), word("body"));
            let media = message["data"]["attributes"]["media_urls"].as_array().into_iter().flatten();
            let media = media.map(|url| url.as_str().unwrap().to_owned()).collect();
            desk.taken.push(Taken { id: id.clone(), from, to, body, media, at: Utc::now() });
        }
        (desk.mode, desk.delay)
    };
    tokio::time::sleep(delay).await;
    match mode {
        Mode::Take => Ok(json_response(202, &json!({"data": {"id": id, "type": "message"}}))),
        Mode::Refuse => {
            let detail = format!("{} cannot be told \"{}\" by {}", word("to"), word("body"), word("from"));
            let error = json!({"id": "1", "status": 422, "title": "Unprocessable", "detail": detail});
            Ok(json_response(422, &json!({"errors": [error]})))
        }
        Mode::Answer(status) => Ok(json_response(status, &json!({}))),
        Mode::TakeAndHangUp | Mode::HangUp => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

fn json_response(status: u16, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}
