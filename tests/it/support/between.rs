//! Stands between the SDK and the DynamoDB engine: it counts what passes and what that costs, and lets
//! calls go wrong.

use super::dynamodb::{Table, create_store, engine_url};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Response, StatusCode},
};
use hyper::body::Frame;
use serde_json::{Value, json};
use sms_proxy::store::Store;
use std::time::Duration;
use std::{
    collections::BTreeMap,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};
use tokio::{
    net::TcpListener,
    sync::{OwnedRwLockWriteGuard, RwLock},
};

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is done, and the connection ends before the answer.
    Lost,
    /// It is done, and the answer is that something went wrong.
    DoneButFailed,
    /// It is done, and no answer ever comes.
    DoneUnanswered,
    /// It is done after whoever asked for it has given it up, and perhaps asked again.
    DoneLate,
    /// It is done when nobody reckons with it any more.
    DoneMuchLater,
    /// It is not done: the connection ends.
    Cut,
    /// It is not done: something went wrong.
    Failed,
    /// It is not done, and no answer ever comes.
    Unanswered,
    /// It is not done: too many requests, in these words.
    Throttled(&'static str),
    /// It is not done: too many requests for a part of a transaction, or for all of the items that a batch asks for.
    PartThrottled,
    /// It is done, and takes its time.
    Slow,
    /// It is not done: another transaction has to do with the same items.
    Conflict,
}

/// The calls that change something.
pub const WRITES: &[&str] = &["TransactWriteItems", "UpdateItem"];
/// The calls that change nothing.
pub const READS: &[&str] = &["GetItem", "BatchGetItem", "Query"];

/// When a late call is done: after one try of the client, and before its patience ends.
const LATE: Duration = Duration::from_millis(900);
/// When such a call is done: after the store call that it was made for, and others.
const MUCH_LATER: Duration = Duration::from_secs(4);
/// How long a slow call takes: less than one try of the client.
const SLOW: Duration = Duration::from_millis(650);

/// What calls cost.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spent {
    /// How often each operation was called.
    pub calls: BTreeMap<String, u32>,
    /// The read units that the engine says it consumed.
    pub read_units: f64,
    /// The write units, those of the indexes among them.
    pub write_units: f64,
}

#[derive(Debug, Default)]
struct Passing {
    table: String,
    spent: Spent,
    fault: Option<(Fault, &'static [&'static str])>,
    times: u32,
    late: u32,
}

/// What stands between; it ends with the test's runtime.
#[derive(Debug, Clone)]
pub struct Between {
    passing: Arc<Mutex<Passing>>,
    /// Nothing passes while somebody holds this.
    gate: Arc<RwLock<()>>,
    client: reqwest::Client,
    url: String,
}

impl Between {
    /// A store in an empty table of its own, and what stands before it.
    pub async fn store() -> (Arc<dyn Store>, Self) {
        Self::store_within(Duration::from_secs(5)).await
    }

    /// The same, of which one operation may take so long.
    pub async fn store_within(limit: Duration) -> (Arc<dyn Store>, Self) {
        let between = Self::start().await;
        let store = create_store(&between.url, limit).await;
        between.spent();
        (store, between)
    }

    /// An empty table of its own, and what stands before it.
    pub async fn table() -> (Table, Self) {
        let between = Self::start().await;
        let table = Table::create(&between.url).await;
        (table, between)
    }

    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let between =
            Self { passing: Arc::default(), gate: Arc::default(), client: reqwest::Client::new(), url };
        let router = Router::new().fallback(pass).with_state(between.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        between
    }

    /// The next so many of these calls go wrong so.
    pub fn fail(&self, calls: &'static [&'static str], fault: Fault, times: u32) {
        let mut passing = self.passing.lock().expect("no panic while it is held");
        (passing.fault, passing.times) = (Some((fault, calls)), times);
    }

    /// Lets nothing pass until what this returns is dropped. Waits for what is passing.
    pub async fn hold(&self) -> OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.gate).write_owned().await
    }

    /// The same, if nothing is passing.
    pub fn try_hold(&self) -> Option<OwnedRwLockWriteGuard<()>> {
        Arc::clone(&self.gate).try_write_owned().ok()
    }

    /// How many calls are still to go wrong; none do from now on.
    pub fn mend(&self) -> u32 {
        std::mem::take(&mut self.passing.lock().expect("no panic while it is held").times)
    }

    /// How often each operation was called since this was asked last.
    pub fn calls(&self) -> BTreeMap<String, u32> {
        self.spent().calls
    }

    /// What the calls since this was asked last have cost.
    pub fn spent(&self) -> Spent {
        std::mem::take(&mut self.passing.lock().expect("no panic while it is held").spent)
    }

    /// The store's table.
    pub fn table_name(&self) -> String {
        self.passing.lock().expect("no panic while it is held").table.clone()
    }

    /// Asks the engine itself, without being counted.
    pub async fn engine(&self, operation: &str, body: &Value) -> Value {
        let request = self.client.post(engine_url());
        let request = request
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-date", "20260101T000000Z")
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, \
                 SignedHeaders=host, Signature=0",
            );
        let answer = request.body(body.to_string()).send().await.expect("the engine answers");
        assert!(answer.status().is_success(), "{operation}: {:?}", answer.text().await);
        answer.json().await.expect("JSON")
    }

    fn add_units(&self, operation: &str, answer: &[u8]) {
        let Ok(answer) = serde_json::from_slice::<Value>(answer) else { return };
        let consumed = &answer["ConsumedCapacity"];
        let tables = consumed.as_array().map_or(std::slice::from_ref(consumed), Vec::as_slice);
        let units: f64 = tables.iter().filter_map(|table| table["CapacityUnits"].as_f64()).sum();
        let spent = &mut self.passing.lock().expect("no panic while it is held").spent;
        match operation {
            "GetItem" | "BatchGetItem" | "Query" => spent.read_units += units,
            _ => spent.write_units += units,
        }
    }

    /// Waits until no call is to be done late any more.
    pub async fn quiet(&self) {
        while self.passing.lock().expect("no panic while it is held").late > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn fault_for(&self, operation: &str) -> Option<Fault> {
        let mut passing = self.passing.lock().expect("no panic while it is held");
        *passing.spent.calls.entry(operation.to_owned()).or_default() += 1;
        let (fault, calls) = passing.fault.filter(|_| passing.times > 0)?;
        if !calls.contains(&operation) {
            return None;
        }
        passing.times -= 1;
        Some(fault)
    }

    /// What the engine answers, also when whoever asked does not wait for it.
    async fn forward(&self, operation: &str, headers: &HeaderMap, body: &Bytes) -> (StatusCode, Bytes) {
        let mut asked: Value = serde_json::from_slice(body).expect("JSON");
        if operation == "CreateTable" {
            let table = asked["TableName"].as_str().expect("a name").to_owned();
            self.passing.lock().expect("no panic while it is held").table = table;
        } else {
            asked["ReturnConsumedCapacity"] = json!("TOTAL");
        }
        let names = ["x-amz-target", "content-type", "authorization", "x-amz-date"];
        let request = names.into_iter().filter_map(|name| Some((name, headers.get(name)?)));
        let request = request
            .fold(self.client.post(engine_url()), |request, (name, value)| request.header(name, value));
        let whole = tokio::spawn(async move {
            let answer = request.body(asked.to_string()).send().await.expect("the engine answers");
            (answer.status(), answer.bytes().await.expect("a whole answer"))
        });
        let (status, answer) = whole.await.expect("the engine answers");
        self.add_units(operation, &answer);
        (status, answer)
    }
}

async fn pass(State(between): State<Between>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let _open = Arc::clone(&between.gate).read_owned().await;
    let target = headers["x-amz-target"].to_str().expect("ASCII");
    let operation = target.rsplit('.').next().unwrap_or(target).to_owned();
    let Some(fault) = between.fault_for(&operation) else {
        let (status, bytes) = between.forward(&operation, &headers, &body).await;
        return answer(status, bytes.into());
    };
    match fault {
        Fault::Lost | Fault::DoneButFailed | Fault::DoneUnanswered => {
            between.forward(&operation, &headers, &body).await;
        }
        Fault::DoneLate | Fault::DoneMuchLater => {
            let late = if fault == Fault::DoneLate { LATE } else { MUCH_LATER };
            between.passing.lock().expect("no panic while it is held").late += 1;
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                between.forward(&operation, &headers, &body).await;
                between.passing.lock().expect("no panic while it is held").late -= 1;
            });
            return std::future::pending().await;
        }
        Fault::Slow => {
            tokio::time::sleep(SLOW).await;
            let (status, bytes) = between.forward(&operation, &headers, &body).await;
            return answer(status, bytes.into());
        }
        _ => return not_done(fault, &operation, &body).await,
    }
    match fault {
        Fault::Lost => cut(),
        Fault::DoneUnanswered => std::future::pending().await,
        _ => refusal(500, "InternalServerError", json!({})),
    }
}

async fn not_done(fault: Fault, operation: &str, body: &Bytes) -> Response<Body> {
    let asked: Value = serde_json::from_slice(body).expect("JSON");
    let cancelled = |code| {
        let parts = asked["TransactItems"].as_array().expect("parts").len();
        let mut reasons = vec![json!({"Code": "None"}); parts];
        reasons[0] = json!({"Code": code, "Message": "as scripted"});
        refusal(400, "TransactionCanceledException", json!({"CancellationReasons": reasons}))
    };
    match (fault, operation) {
        (Fault::Cut, _) => cut(),
        (Fault::Failed, _) => refusal(500, "InternalServerError", json!({})),
        (Fault::Throttled(code), _) => refusal(400, code, json!({})),
        (Fault::PartThrottled, "TransactWriteItems") => cancelled("ThrottlingError"),
        (Fault::PartThrottled, "BatchGetItem") => {
            let left = json!({"Responses": {}, "UnprocessedKeys": asked["RequestItems"]});
            answer(StatusCode::OK, left.to_string().into())
        }
        (Fault::PartThrottled, _) => refusal(400, "ThrottlingException", json!({})),
        (Fault::Conflict, "TransactWriteItems") => cancelled("TransactionConflict"),
        (Fault::Conflict, _) => refusal(400, "TransactionConflictException", json!({})),
        _ => std::future::pending().await,
    }
}

fn answer(status: StatusCode, body: Body) -> Response<Body> {
    let answer = Response::builder().status(status).header("content-type", "application/x-amz-json-1.0");
    answer.body(body).expect("an answer")
}

/// An answer during which the connection ends.
fn cut() -> Response<Body> {
    Response::builder().header("content-length", 100).body(Body::new(Cut)).expect("an answer")
}

fn refusal(status: u16, code: &str, mut body: Value) -> Response<Body> {
    body["__type"] = json!(format!("com.amazonaws.dynamodb.v20120810#{code}"));
    body["message"] = json!("as scripted");
    answer(StatusCode::from_u16(status).expect("a status"), body.to_string().into())
}

/// A body during which the connection ends.
struct Cut;

impl hyper::body::Body for Cut {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())))
    }
}
