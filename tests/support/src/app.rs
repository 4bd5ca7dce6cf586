//! The service in this process, with a provider that records messages and a clock that tests set.

use crate::{ALICE, Answer, BOB, Backend, Recorder, TN, dynamodb::dynamodb, flat, fresh_id, log, openapi};
use axum::{Router, body::Body, http::Request};
use chrono::{DateTime, TimeDelta, Utc};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sms_proxy::{
    domain::SenderLimit,
    http::{Auth, Parts, router},
    service::{Options, Round, Service},
    store::{Sqlite, Store},
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use tower::ServiceExt;

const DATABASE: &str = "test.db";

/// A clock that advances only when a test says so.
#[derive(Clone)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(Utc::now().timestamp_millis())))
    }

    /// The time.
    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0.load(Ordering::SeqCst)).expect("in range")
    }

    /// Moves the clock forward, or back.
    pub fn advance(&self, by: TimeDelta) {
        self.0.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
    }
}

/// A SQLite store on a new file, and the directory that the file is in.
pub fn sqlite() -> (Arc<dyn Store>, TempDir) {
    sqlite_in(TempDir::new())
}

/// The same in memory, where the system has such a directory: for tests of many writes, which would wait for the disk.
pub fn sqlite_in_memory() -> (Arc<dyn Store>, TempDir) {
    let memory = Path::new("/dev/shm");
    sqlite_in(if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() })
}

fn sqlite_in(folder: io::Result<TempDir>) -> (Arc<dyn Store>, TempDir) {
    let folder = folder.expect("a temporary folder");
    let store = Sqlite::open(folder.path().join(DATABASE)).expect("a new database opens");
    (Arc::new(store), folder)
}

impl Backend {
    /// A service on an empty store.
    pub async fn app(self) -> App {
        self.app_with(unpaced()).await
    }

    /// A service on an empty store, with these options.
    pub async fn app_with(self, options: Options) -> App {
        match self {
            Self::Sqlite => App::with(options, Auth::default()),
            Self::Dynamodb => App::on(dynamodb().await, options),
        }
    }
}

/// The service behind its router.
#[derive(Clone)]
pub struct App {
    /// The router.
    pub router: Router,
    /// The service.
    pub service: Service,
    /// The store of the service.
    pub store: Arc<dyn Store>,
    /// The provider of the service.
    pub provider: Arc<Recorder>,
    /// The clock of the service.
    pub clock: TestClock,
    /// The directory of its SQLite file, if it was made without a store.
    pub folder: Option<Arc<TempDir>>,
}

/// The parts of a router of this service, without keys, sandbox, console, base path and limit.
pub fn parts(service: &Service) -> Parts {
    Parts {
        service: service.clone(),
        auth: Auth::default(),
        sandbox: None,
        metrics: None,
        console: false,
        base_path: None,
        response_limit: None,
    }
}

impl Default for App {
    fn default() -> Self {
        Self::new()
    }
}

impl App {
    /// A service on an empty SQLite store.
    pub fn new() -> Self {
        Self::with(unpaced(), Auth::default())
    }

    /// A service on an empty SQLite store, with these options and keys.
    pub fn with(options: Options, auth: Auth) -> Self {
        let (store, folder) = sqlite();
        let app = Self::assemble(store, Arc::default(), TestClock::new(), options, auth);
        Self { folder: Some(Arc::new(folder)), ..app }
    }

    /// A service on this store.
    pub fn on(store: Arc<dyn Store>, options: Options) -> Self {
        Self::assemble(store, Arc::default(), TestClock::new(), options, Auth::default())
    }

    /// Another process on this store, with the same provider and clock as this one.
    pub fn beside(&self, store: Arc<dyn Store>, options: Options) -> Self {
        let (provider, clock) = (Arc::clone(&self.provider), self.clock.clone());
        Self::assemble(store, provider, clock, options, Auth::default())
    }

    fn assemble(
        store: Arc<dyn Store>,
        provider: Arc<Recorder>,
        clock: TestClock,
        options: Options,
        auth: Auth,
    ) -> Self {
        log::listen();
        let ticking = clock.clone();
        let service = Service::new(Arc::clone(&store), Arc::clone(&provider) as _, options)
            .with_clock(Arc::new(move || ticking.now()));
        let router = router(Parts { auth, console: true, ..parts(&service) });
        Self { router, service, store, provider, clock, folder: None }
    }

    /// The SQLite file of a service that was made without a store.
    pub fn database(&self) -> PathBuf {
        self.folder.as_ref().expect("the service has a SQLite file of its own").path().join(DATABASE)
    }

    /// Sends a request. The answer must be one that the OpenAPI document has.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let answer = self.send_random(request).await;
        openapi::check(method.as_str(), &path, &answer);
        answer
    }

    /// Sends a request that may be anything; the answer is not held against the OpenAPI document.
    pub async fn send_random(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("the router never fails");
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.expect("a whole body").to_bytes();
        let body = String::from_utf8(bytes.into()).expect("UTF-8");
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    /// Sends a management request; a body is sent as `application/json`.
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

    /// Posts a flat text with a new id, which must be answered 200.
    pub async fn text(&self, from: &str, to: &str, body: &str) {
        let answer = self.post(flat(&fresh_id(), from, to, body)).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    }

    /// Adds a TN to the pool.
    pub async fn add_tn(&self, tn: &str) {
        let answer = self.call("POST", "/tn", Some(json!({"value": tn}))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// How many TNs are free, and how many are in use.
    pub async fn pool(&self) -> (u64, u64) {
        let pool = self.call("GET", "/tn", None).await.json();
        (pool["available"].as_u64().expect("a number"), pool["in_use"].as_u64().expect("a number"))
    }

    /// Opens a session that expires after this many minutes.
    pub async fn open_session(&self, a: &str, b: &str, minutes: Option<u32>) -> Value {
        let body = json!({"participant_a": a, "participant_b": b, "expiry_window": minutes});
        let answer = self.call("POST", "/session", Some(body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Runs one round of maintenance.
    pub async fn maintain(&self) -> Round {
        self.service.maintain().await.expect("the store answers")
    }

    /// Alternates between moving the clock and maintenance until every retry and lookup is over.
    pub async fn settle_everything(&self) {
        for _ in 0..8 {
            self.clock.advance(TimeDelta::minutes(16));
            self.maintain().await;
        }
    }

    /// The stored messages of a session, oldest first.
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

    /// Opens a session of Alice and Bob on a new TN, and clears the provider of its start notices.
    pub async fn conversation(&self, minutes: Option<u32>) -> Value {
        self.add_tn(TN).await;
        let session = self.open_session(ALICE, BOB, minutes).await;
        self.provider.clear();
        session
    }
}

/// The default options without a rate limit, and with a limit on the texts of a sender that no test reaches unawares.
pub fn unpaced() -> Options {
    let sender_limit = SenderLimit { per_minute: 1_000, per_day: 5_000 };
    Options { max_per_second: 0, sender_limit, ..Options::default() }
}

/// [`unpaced`] with times that no slow machine exceeds.
pub fn without_timeouts() -> Options {
    let (send_budget, lease) = (Duration::from_secs(120), Duration::from_secs(130));
    Options { send_budget, lease, ..unpaced() }
}
