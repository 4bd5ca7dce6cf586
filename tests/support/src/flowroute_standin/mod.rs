//! A stand-in for Flowroute's API: sending and the list of messages.

mod list;

pub use list::ListMode;

use crate::{
    fresh_id,
    restartable_server::{Answer, RestartableServer},
};
use axum::body::Body;
use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use http_body_util::BodyExt;
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use serde_json::{Value, json};
use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// The access key that it accepts.
pub const ACCESS_KEY: &str = "standin-access-key";
/// The secret key that it accepts.
pub const SECRET_KEY: &str = "standin-secret-key";
/// The most rows on a page of the list.
pub const PAGE: usize = 20;

/// How it treats a message.
#[derive(Debug, Clone, Copy, Default)]
pub enum Mode {
    /// Accepts it under a new id.
    #[default]
    Take,
    /// Refuses it, and quotes it in the error.
    Refuse,
    /// Does not accept it, and answers with this status.
    Answer(u16),
    /// Accepts it, and cuts the connection instead of answering.
    TakeAndHangUp,
    /// Does not accept it, and cuts the connection instead of answering.
    HangUp,
}

/// A message that was accepted.
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
struct State {
    taken: Vec<Taken>,
    arrivals: Vec<Instant>,
    mode: Mode,
    scripted: Option<(u16, String)>,
    delay_before: Duration,
    delay_after: Duration,
    list: ListMode,
    readings: usize,
    requests: usize,
}

/// Accepts every message that has the right keys unless a test says otherwise, and lists what it has accepted.
pub struct FlowrouteStandin {
    server: RestartableServer,
    state: Arc<Mutex<State>>,
}

impl FlowrouteStandin {
    /// Starts on a free port.
    pub async fn start() -> Self {
        let state = Arc::<Mutex<State>>::default();
        let serving = Arc::clone(&state);
        let server = RestartableServer::start(move |request| answer(Arc::clone(&serving), request)).await;
        Self { server, state }
    }

    /// The settings that make the binary use this, followed by `more`.
    pub fn settings<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut settings = vec![
            ("FLOWROUTE_API_URL", self.url()),
            ("FLOWROUTE_ACCESS_KEY", ACCESS_KEY),
            ("FLOWROUTE_SECRET_KEY", SECRET_KEY),
        ];
        settings.extend_from_slice(more);
        settings
    }

    /// The base URL.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Cuts every connection and refuses new ones.
    pub async fn stop(&self) {
        self.server.stop().await;
    }

    /// Accepts connections again.
    pub fn restart(&self) {
        self.server.restart();
    }

    /// Treats messages like this from now on.
    pub fn mode(&self, mode: Mode) {
        let mut state = self.state();
        (state.mode, state.scripted) = (mode, None);
    }

    /// Answers each message with this from now on.
    pub fn answer_with(&self, status: u16, body: Value) {
        self.answer_with_text(status, &body.to_string());
    }

    /// Answers each message with this, which need not be JSON, from now on.
    pub fn answer_with_text(&self, status: u16, body: &str) {
        self.state().scripted = Some((status, body.to_owned()));
    }

    /// Shows the list like this from now on.
    pub fn list(&self, list: ListMode) {
        self.state().list = list;
    }

    /// Waits before it accepts a message. If the connection is cut meanwhile, the message is not accepted.
    pub fn delay_accepting(&self, delay: Duration) {
        self.state().delay_before = delay;
    }

    /// Waits before it answers, once it has accepted a message.
    pub fn delay_answering(&self, delay: Duration) {
        self.state().delay_after = delay;
    }

    /// The accepted messages as `(to, body)`, sorted.
    pub fn taken(&self) -> Vec<(String, String)> {
        let mut taken: Vec<_> =
            self.state().taken.iter().map(|text| (text.to.clone(), text.body.clone())).collect();
        taken.sort();
        taken
    }

    /// The addresses of the pictures of the accepted messages, in the order of arrival.
    pub fn media(&self) -> Vec<Vec<String>> {
        self.state().taken.iter().map(|text| text.media.clone()).collect()
    }

    /// When messages arrived, accepted or not.
    pub fn arrivals(&self) -> Vec<Instant> {
        self.state().arrivals.clone()
    }

    /// How often the list was read from its start.
    pub fn readings(&self) -> usize {
        self.state().readings
    }

    /// How many requests of any kind arrived, with any keys.
    pub fn requests(&self) -> usize {
        self.state().requests
    }

    /// Forgets all messages.
    pub fn clear(&self) {
        let mut state = self.state();
        state.taken.clear();
        state.arrivals.clear();
    }
}

async fn answer(state: Arc<Mutex<State>>, request: Request<Incoming>) -> Answer {
    let arrived = Instant::now();
    state.lock().unwrap().requests += 1;
    let expected = format!("Basic {}", BASE64_STANDARD.encode(format!("{ACCESS_KEY}:{SECRET_KEY}")));
    if request.headers().get("authorization").is_none_or(|given| given != expected.as_str()) {
        return Ok(json_response(401, &json!({})));
    }
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/v2.1/messages") => {
            state.lock().unwrap().arrivals.push(arrived);
            let body = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
            receive(&state, &serde_json::from_slice(&body).unwrap()).await
        }
        (&Method::GET, "/v2.1/messages") => {
            let host = request.headers()["host"].to_str().unwrap();
            Ok(list::show(&mut state.lock().unwrap(), host, request.uri().query()))
        }
        _ => Ok(json_response(404, &json!({}))),
    }
}

async fn receive(state: &Mutex<State>, message: &Value) -> Answer {
    if let Some((status, body)) = &state.lock().unwrap().scripted {
        return Ok(response(*status, body.clone()));
    }
    let word = |name: &str| message["data"]["attributes"][name].as_str().unwrap().to_owned();
    let delay = state.lock().unwrap().delay_before;
    tokio::time::sleep(delay).await;
    let id = fresh_id();
    let (mode, delay) = {
        let mut state = state.lock().unwrap();
        if matches!(state.mode, Mode::Take | Mode::TakeAndHangUp) {
            let (from, to, body) = (word("from"), word("to"), word("body"));
            let media = message["data"]["attributes"]["media_urls"].as_array().into_iter().flatten();
            let media = media.map(|url| url.as_str().unwrap().to_owned()).collect();
            state.taken.push(Taken { id: id.clone(), from, to, body, media, at: Utc::now() });
        }
        (state.mode, state.delay_after)
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
    response(status, body.to_string())
}

fn response(status: u16, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}
