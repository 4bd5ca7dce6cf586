//! Flowroute's API as far as the service needs it, on a loopback address.

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinHandle};

pub const ACCESS_KEY: &str = "standin-access-key";
pub const SECRET_KEY: &str = "standin-secret-key";

#[derive(Default)]
struct Desk {
    taken: Vec<(String, String)>,
    delay: Duration,
    refusing: bool,
}

/// Takes every text, with an id of its own, as long as the keys are right.
pub struct FlowrouteStandin {
    url: String,
    desk: Arc<Mutex<Desk>>,
    task: JoinHandle<()>,
}

impl FlowrouteStandin {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let desk = Arc::<Mutex<Desk>>::default();
        let router = Router::new().route("/v2.1/messages", post(take)).with_state(Arc::clone(&desk));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, desk, task }
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

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap()
    }

    /// Takes so long to answer from now on.
    pub fn delay(&self, delay: Duration) {
        self.desk().delay = delay;
    }

    /// Refuses every text from now on, and quotes it.
    pub fn refuse(&self) {
        self.desk().refusing = true;
    }

    /// What has come in, answered or not, as `(to, body)`, sorted.
    pub fn taken(&self) -> Vec<(String, String)> {
        let mut taken = self.desk().taken.clone();
        taken.sort();
        taken
    }

    /// Forgets what has come in.
    pub fn clear(&self) {
        self.desk().taken.clear();
    }
}

impl Drop for FlowrouteStandin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(
    State(desk): State<Arc<Mutex<Desk>>>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, Json<Value>) {
    let expected = format!("Basic {}", BASE64_STANDARD.encode(format!("{ACCESS_KEY}:{SECRET_KEY}")));
    if headers.get("authorization").is_none_or(|given| given != expected.as_str()) {
        return (StatusCode::UNAUTHORIZED, Json(json!({})));
    }
    let message: Value = serde_json::from_str(&body).unwrap();
    let word = |name: &str| message["data"]["attributes"][name].as_str().unwrap().to_owned();
    let (delay, refusing) = {
        let mut desk = desk.lock().unwrap();
        desk.taken.push((word("to"), word("body")));
        (desk.delay, desk.refusing)
    };
    tokio::time::sleep(delay).await;
    if refusing {
        let detail = format!("{} cannot be told \"{}\" by {}", word("to"), word("body"), word("from"));
        let error = json!({"id": "1", "status": 422, "title": "Unprocessable", "detail": detail});
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"errors": [error]})));
    }
    let id = super::fresh_id();
    (StatusCode::ACCEPTED, Json(json!({"data": {"id": id, "type": "message"}})))
}
