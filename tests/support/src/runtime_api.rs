//! A stand-in for Lambda's Runtime API: hands events to the binary and takes its responses.

use crate::binary::{Binary, command, eventually};
use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
    serve::ListenerExt,
};
use serde_json::Value;
use std::{
    collections::HashMap,
    net::SocketAddr,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

const ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:sms-proxy";
/// How long the binary may take for one event.
const EVENT_LIMIT: Duration = Duration::from_secs(60);

type Event = (String, String);
/// The response to an event; `Err` if the function failed.
pub type Outcome = Result<Value, String>;

struct Invocations {
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<Event>>,
    waiting: Mutex<HashMap<String, oneshot::Sender<Outcome>>>,
    asked: AtomicUsize,
}

impl Invocations {
    fn settle(&self, id: &str, outcome: Outcome) -> StatusCode {
        match self.waiting.lock().unwrap().remove(id) {
            Some(waiting) => {
                let _ = waiting.send(outcome);
                StatusCode::ACCEPTED
            }
            None => StatusCode::BAD_REQUEST,
        }
    }
}

/// The API, and what is invoked through it.
pub struct RuntimeApi {
    address: SocketAddr,
    events: mpsc::UnboundedSender<Event>,
    invocations: Arc<Invocations>,
    task: JoinHandle<()>,
}

impl RuntimeApi {
    /// Starts on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (events, queue) = mpsc::unbounded_channel();
        let invocations = Arc::new(Invocations {
            events: queue.into(),
            waiting: Mutex::default(),
            asked: AtomicUsize::new(0),
        });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .with_state(Arc::clone(&invocations));
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, events, invocations, task }
    }

    /// Starts the binary as the function's process, with these settings.
    pub fn function(&self, folder: &std::path::Path, settings: &[(&str, &str)]) -> Binary {
        let mut command = command(folder, settings);
        command.env_remove("BIND_ADDR");
        self.run(command)
    }

    /// Starts a command as the function's process.
    pub fn run(&self, mut command: Command) -> Binary {
        command.env("AWS_LAMBDA_RUNTIME_API", self.address.to_string()).envs(FUNCTION.iter().copied());
        Binary::start(command)
    }

    /// How often the function has asked for an event.
    pub fn asked(&self) -> usize {
        self.invocations.asked.load(Ordering::SeqCst)
    }

    /// Waits until the function has asked for its first event: its init phase is over.
    pub async fn asked_for_an_event(&self) {
        eventually("the function asks for an event", || (self.asked() > 0).then_some(())).await;
    }

    /// Invokes the function, which must not fail, and returns its answer.
    pub async fn invoke(&self, id: &str, event: &Value) -> Value {
        self.try_invoke(id, event).await.unwrap_or_else(|error| panic!("the function failed: {error}"))
    }

    /// Invokes the function and returns its answer, or what it says about its failure.
    pub async fn try_invoke(&self, id: &str, event: &Value) -> Outcome {
        let (done, outcome) = oneshot::channel();
        self.invocations.waiting.lock().unwrap().insert(id.to_owned(), done);
        self.events.send((id.to_owned(), event.to_string())).unwrap();
        let outcome =
            tokio::time::timeout(EVENT_LIMIT, outcome).await.expect("an answer before the time limit");
        outcome.unwrap()
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What Lambda puts into the environment besides the API's address.
pub const FUNCTION: &[(&str, &str)] = &[
    ("AWS_LAMBDA_FUNCTION_NAME", "sms-proxy"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/sms-proxy"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/03/10/[$LATEST]0123456789abcdef"),
    ("AWS_REGION", "us-east-1"),
];

async fn next(State(invocations): State<Arc<Invocations>>) -> ([(&'static str, String); 4], String) {
    invocations.asked.fetch_add(1, Ordering::SeqCst);
    let Some((id, event)) = invocations.events.lock().await.recv().await else {
        std::future::pending().await
    };
    let deadline = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + EVENT_LIMIT;
    let headers = [
        ("lambda-runtime-aws-request-id", id),
        ("lambda-runtime-deadline-ms", deadline.as_millis().to_string()),
        ("lambda-runtime-invoked-function-arn", ARN.to_owned()),
        ("lambda-runtime-trace-id", "Root=1-5eb33c07-de25b420912dee103a5db434;Sampled=0".to_owned()),
    ];
    (headers, event)
}

async fn response(
    State(invocations): State<Arc<Invocations>>,
    Path(id): Path<String>,
    body: String,
) -> StatusCode {
    let answer = serde_json::from_str(&body).map_err(|error| format!("no JSON ({error}): {body}"));
    invocations.settle(&id, answer)
}

async fn error(
    State(invocations): State<Arc<Invocations>>,
    Path(id): Path<String>,
    body: String,
) -> StatusCode {
    invocations.settle(&id, Err(body))
}
