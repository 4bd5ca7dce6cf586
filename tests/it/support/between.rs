//! Stands between the SDK and the DynamoDB engine: it counts what passes and what that costs, and lets writes
//! go wrong.

use super::dynamodb::{create_store, engine_url};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Response},
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
use tokio::net::TcpListener;

/// How a write goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is done, and the connection ends before the answer.
    Lost,
    /// It is done, and the answer is that something went wrong.
    DoneButFailed,
    /// It is not done: too many requests.
    Throttled,
    /// It is not done: another transaction has to do with the same items.
    Conflict,
}

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
    fault: Option<Fault>,
    times: u32,
}

/// What stands between; it ends with the test's runtime.
#[derive(Debug, Clone)]
pub struct Between {
    passing: Arc<Mutex<Passing>>,
    client: reqwest::Client,
}

impl Between {
    /// A store in an empty table of its own, and what stands before it.
    pub async fn store() -> (Arc<dyn Store>, Self) {
        let between = Self { passing: Arc::default(), client: reqwest::Client::new() };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let router = Router::new().fallback(pass).with_state(between.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let store = create_store(&url, Duration::from_secs(5)).await;
        between.spent();
        (store, between)
    }

    /// The next so many writes go wrong so.
    pub fn fail(&self, fault: Fault, times: u32) {
        let mut passing = self.passing.lock().expect("no panic while it is held");
        (passing.fault, passing.times) = (Some(fault), times);
    }

    /// How many writes are still to go wrong; none do from now on.
    pub fn mend(&self) -> u32 {
        std::mem::take(&mut self.passing.lock().expect("no panic while it is held").times)
    }

    /// What the calls since this was asked last have cost.
    pub fn spent(&self) -> Spent {
        std::mem::take(&mut self.passing.lock().expect("no panic while it is held").spent)
    }

    /// The store's table.
    pub fn table(&self) -> String {
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

    fn fault_for(&self, operation: &str) -> Option<Fault> {
        let mut passing = self.passing.lock().expect("no panic while it is held");
        *passing.spent.calls.entry(operation.to_owned()).or_default() += 1;
        if passing.times == 0 || !matches!(operation, "TransactWriteItems" | "UpdateItem") {
            return None;
        }
        passing.times -= 1;
        passing.fault
    }
}

async fn pass(State(between): State<Between>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let target = headers["x-amz-target"].to_str().expect("ASCII");
    let operation = target.rsplit('.').next().unwrap_or(target).to_owned();
    let fault = between.fault_for(&operation);
    let mut asked: Value = serde_json::from_slice(&body).expect("JSON");
    if operation == "CreateTable" {
        let table = asked["TableName"].as_str().expect("a name").to_owned();
        between.passing.lock().expect("no panic while it is held").table = table;
    } else {
        asked["ReturnConsumedCapacity"] = json!("TOTAL");
    }
    match fault {
        Some(Fault::Throttled) => return refusal(400, "ProvisionedThroughputExceededException", json!({})),
        Some(Fault::Conflict) if operation == "TransactWriteItems" => {
            let parts = asked["TransactItems"].as_array().expect("parts").len();
            let mut reasons = vec![json!({"Code": "None"}); parts];
            reasons[0] = json!({"Code": "TransactionConflict", "Message": "as scripted"});
            return refusal(400, "TransactionCanceledException", json!({"CancellationReasons": reasons}));
        }
        Some(Fault::Conflict) => return refusal(400, "TransactionConflictException", json!({})),
        _ => {}
    }
    let names = ["x-amz-target", "content-type", "authorization", "x-amz-date"];
    let request = names.into_iter().filter_map(|name| Some((name, headers.get(name)?)));
    let request =
        request.fold(between.client.post(engine_url()), |request, (name, value)| request.header(name, value));
    let answer = request.body(asked.to_string()).send().await.expect("the engine answers");
    let (status, bytes) = (answer.status(), answer.bytes().await.expect("a whole answer"));
    between.add_units(&operation, &bytes);
    match fault {
        Some(Fault::DoneButFailed) => refusal(500, "InternalServerError", json!({})),
        Some(Fault::Lost) => Response::builder()
            .header("content-length", bytes.len() + 1)
            .body(Body::new(Cut))
            .expect("an answer"),
        _ => {
            let answer =
                Response::builder().status(status).header("content-type", "application/x-amz-json-1.0");
            answer.body(Body::from(bytes)).expect("an answer")
        }
    }
}

fn refusal(status: u16, code: &str, mut body: Value) -> Response<Body> {
    body["__type"] = json!(format!("com.amazonaws.dynamodb.v20120810#{code}"));
    body["message"] = json!("as scripted");
    let answer = Response::builder().status(status).header("content-type", "application/x-amz-json-1.0");
    answer.body(Body::from(body.to_string())).expect("an answer")
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
