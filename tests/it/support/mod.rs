//! What the tests share: a service in this process with a recording provider and a clock that tests set.

mod answer;
mod backend;
pub mod between;
pub mod binary;
pub mod cloudformation;
pub mod dynamodb;
pub mod events;
pub mod flowroute_standin;
pub mod gate;
mod log;
mod loopback;
mod provider;
pub mod runtime_api;
mod texts;

pub use answer::Answer;
pub use backend::Records;
pub(crate) use backend::{Backend, on_each_backend};
pub use log::logged;
pub use loopback::{Loopback, Reply, Seen};
pub use provider::{Outcome, Recorder, SentText};
pub use texts::{ALICE, BOB, EVE, TN, flat, fresh_id, fresh_number, number};

use axum::{Router, body::Body, http::Request};
use chrono::{DateTime, TimeDelta, Utc};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sms_proxy::{
    http::{Auth, Parts, router},
    service::{Options, Round, Service},
    store::{Sqlite, Store},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use tower::ServiceExt;

/// A clock that stands still until a test moves it.
#[derive(Clone)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub fn new() -> Self {
        Self(Arc::new(AtomicI64::new(Utc::now().timestamp_millis())))
    }

    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0.load(Ordering::SeqCst)).expect("in range")
    }

    pub fn advance(&self, by: TimeDelta) {
        self.0.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
    }
}

/// A SQLite store in a folder of its own.
pub fn sqlite() -> (Arc<dyn Store>, TempDir) {
    let folder = TempDir::new().expect("a temporary folder");
    let store = Sqlite::open(folder.path().join("test.db")).expect("a fresh database opens");
    (Arc::new(store), folder)
}

impl Backend {
    /// A service on an empty store.
    pub async fn app(self) -> App {
        self.app_with(unpaced(), Auth::default()).await
    }

    pub async fn app_with(self, options: Options, auth: Auth) -> App {
        let (store, folder) = match self {
            Self::Sqlite => sqlite(),
            Self::Dynamodb => (dynamodb::dynamodb().await, TempDir::new().expect("a temporary folder")),
        };
        App::on(store, folder, options, auth)
    }
}

/// The service behind its router.
#[derive(Clone)]
pub struct App {
    pub router: Router,
    pub service: Service,
    pub store: Arc<dyn Store>,
    pub provider: Arc<Recorder>,
    pub clock: TestClock,
    pub folder: Arc<TempDir>,
}

impl App {
    pub fn new() -> Self {
        Self::with(unpaced(), Auth::default())
    }

    pub fn with(options: Options, auth: Auth) -> Self {
        let (store, folder) = sqlite();
        Self::on(store, folder, options, auth)
    }

    pub fn on(store: Arc<dyn Store>, folder: TempDir, options: Options, auth: Auth) -> Self {
        Self::assemble(store, Arc::default(), TestClock::new(), Arc::new(folder), options, auth)
    }

    /// Another process, which reaches the same table and provider at the same time by the same clock.
    pub fn beside(&self, store: Arc<dyn Store>, options: Options) -> Self {
        let (provider, clock) = (Arc::clone(&self.provider), self.clock.clone());
        Self::assemble(store, provider, clock, Arc::clone(&self.folder), options, Auth::default())
    }

    fn assemble(
        store: Arc<dyn Store>,
        provider: Arc<Recorder>,
        clock: TestClock,
        folder: Arc<TempDir>,
        options: Options,
        auth: Auth,
    ) -> Self {
        log::listen();
        let ticking = clock.clone();
        let service = Service::new(Arc::clone(&store), Arc::clone(&provider) as _, options)
            .with_clock(Arc::new(move || ticking.now()));
        let router = router(Parts { service: service.clone(), auth, sandbox: None, answer_limit: None });
        Self { router, service, store, provider, clock, folder }
    }

    /// Sends any request.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("the router never fails");
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.expect("a whole body").to_bytes();
        let body = String::from_utf8(bytes.into()).expect("UTF-8");
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    /// Sends a management call; a body goes as `application/json`.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string().into()),
            None => request.body(Body::empty()),
        };
        self.send(request.expect("a valid request")).await
    }

    /// Posts to the webhook, as Flowroute does.
    pub async fn post(&self, payload: impl ToString) -> Answer {
        let request = Request::post("/").header("content-type", "application/json");
        self.send(request.body(payload.to_string().into()).expect("a valid request")).await
    }

    /// Posts a flat text with a fresh id, which must be taken.
    pub async fn text(&self, from: &str, to: &str, body: &str) {
        let answer = self.post(flat(&fresh_id(), from, to, body)).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    }

    pub async fn add_tn(&self, tn: &str) {
        let answer = self.call("POST", "/tn", Some(json!({"value": tn}))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    pub async fn open_session(&self, a: &str, b: &str, minutes: Option<u32>) -> Value {
        let body = json!({"participant_a": a, "participant_b": b, "expiry_window": minutes});
        let answer = self.call("POST", "/session", Some(body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// One round of maintenance.
    pub async fn maintain(&self) -> Round {
        self.service.maintain().await.expect("the store answers")
    }

    /// The clock moves on, and maintenance runs, until the outbox has had every chance to empty itself.
    pub async fn settle_everything(&self) {
        for _ in 0..8 {
            self.clock.advance(TimeDelta::minutes(16));
            self.maintain().await;
        }
    }

    /// What is on record about the messages of a session.
    pub async fn messages(&self, session: &Value) -> Vec<Value> {
        let id = session["session_id"].as_str().expect("an id");
        let answer = self.call("GET", &format!("/message?session_id={id}"), None).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["messages"].as_array().expect("a list").clone()
    }

    /// The states of the relays of a session, oldest first.
    pub async fn relays(&self, session: &Value) -> Vec<Value> {
        let messages = self.messages(session).await.into_iter();
        messages
            .filter(|message| message["kind"] == "relay")
            .map(|message| message["state"].clone())
            .collect()
    }

    /// Ends a session.
    pub async fn end_session(&self, session: &Value) {
        let id = session["session_id"].as_str().expect("an id");
        assert_eq!(self.call("DELETE", &format!("/session/{id}"), None).await.status, 200);
    }

    /// A TN with a session of Alice and Bob on it, their start messages already forgotten by the provider.
    pub async fn conversation(&self, minutes: Option<u32>) -> Value {
        self.add_tn(TN).await;
        let session = self.open_session(ALICE, BOB, minutes).await;
        self.provider.clear();
        session
    }
}

/// The default options, but as fast as can be.
pub fn unpaced() -> Options {
    Options { max_per_second: 0, ..Options::default() }
}

/// The same, and never too late to send, however slow the store is on a busy machine.
pub fn unhurried() -> Options {
    let (send_budget, lease) = (Duration::from_secs(120), Duration::from_secs(130));
    Options { send_budget, lease, ..unpaced() }
}
