//! A proxy between DynamoDB's clients and the engine that counts calls and their cost, and injects faults.

mod fault;
mod forward;
mod respond;

pub use fault::{Calls, Fault, READS, WRITES};

use crate::{
    dynamodb::{Table, create_store, create_store_without_receipts, engine_url},
    restartable_server::RestartableServer,
};
use serde_json::{Value, json};
use sms_proxy::store::Store;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};
use tokio::sync::{Notify, OwnedRwLockWriteGuard, RwLock};

/// What calls cost.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spent {
    /// How often each operation was called.
    pub calls: BTreeMap<String, u32>,
    /// The read units that the engine reports.
    pub read_units: f64,
    /// The write units that the engine reports, those of the indexes among them.
    pub write_units: f64,
}

/// A call that the engine has answered.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The request body.
    pub request: String,
    /// When the response was about to leave the proxy.
    pub at: Instant,
}

#[derive(Default)]
struct State {
    table: String,
    spent: Spent,
    fault: Option<(Calls, Fault)>,
    /// How many further calls the fault applies to.
    remaining: u32,
    injected: usize,
    /// Calls that are still to be applied late.
    late: u32,
    response_delay: Duration,
    answered: Vec<Answered>,
}

struct Shared {
    /// The engine's address.
    engine: String,
    state: Mutex<State>,
    /// Every call holds it for reading, [`FaultProxy::pause`] for writing.
    paused: Arc<RwLock<()>>,
    /// Wakes the call that is [`Fault::Held`].
    release: Notify,
    client: reqwest::Client,
}

/// The engine as its clients see it. The proxy ends with the test's runtime.
#[derive(Clone)]
pub struct FaultProxy {
    shared: Arc<Shared>,
    server: Arc<RestartableServer>,
}

impl FaultProxy {
    /// A proxy that passes everything through.
    pub async fn start() -> Self {
        let shared = Arc::new(Shared {
            engine: engine_url(),
            state: Mutex::default(),
            paused: Arc::default(),
            release: Notify::new(),
            client: reqwest::Client::new(),
        });
        let serving = Arc::clone(&shared);
        let server = RestartableServer::start(move |request| respond::respond(Arc::clone(&serving), request));
        Self { shared, server: Arc::new(server.await) }
    }

    /// A store on a table of its own, reached through a new proxy.
    pub async fn store() -> (Arc<dyn Store>, Self) {
        Self::store_with_limit(Duration::from_secs(5)).await
    }

    /// A store on a table of its own with this time limit for an operation, reached through a new proxy.
    pub async fn store_with_limit(limit: Duration) -> (Arc<dyn Store>, Self) {
        let proxy = Self::start().await;
        let store = create_store(proxy.url(), limit).await;
        proxy.spent();
        (store, proxy)
    }

    /// The same, for a service that does not request delivery receipts.
    pub async fn store_without_receipts(limit: Duration) -> (Arc<dyn Store>, Self) {
        let proxy = Self::start().await;
        let store = create_store_without_receipts(proxy.url(), limit).await;
        proxy.spent();
        (store, proxy)
    }

    /// An empty table, reached through a new proxy.
    pub async fn table() -> (Table, Self) {
        let proxy = Self::start().await;
        let table = Table::create(proxy.url()).await;
        (table, proxy)
    }

    /// The address that clients use instead of the engine's.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// Injects a fault into the next `times` of these calls. It replaces an earlier fault.
    pub fn fail(&self, calls: impl Into<Calls>, fault: Fault, times: u32) {
        let mut state = self.shared.state();
        (state.fault, state.remaining) = (Some((calls.into(), fault)), times);
    }

    /// Injects a fault into every call until [`recover`](Self::recover).
    pub fn fail_all(&self, fault: Fault) {
        self.fail(Calls::All, fault, u32::MAX);
    }

    /// Injects no further fault. Returns how many of the last one were left.
    pub fn recover(&self) -> u32 {
        std::mem::take(&mut self.shared.state().remaining)
    }

    /// Applies the call that is [`Fault::Held`].
    pub fn release(&self) {
        self.shared.release.notify_one();
    }

    /// How many faults were injected so far.
    pub fn injected(&self) -> usize {
        self.shared.state().injected
    }

    /// Waits for the calls in progress, then holds all others until the guard is dropped.
    pub async fn pause(&self) -> OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.shared.paused).write_owned().await
    }

    /// Holds all calls until the guard is dropped; `None` while one is in progress.
    pub fn try_pause(&self) -> Option<OwnedRwLockWriteGuard<()>> {
        Arc::clone(&self.shared.paused).try_write_owned().ok()
    }

    /// Cuts every connection and refuses new ones.
    pub async fn stop(&self) {
        self.server.stop().await;
    }

    /// Accepts connections again.
    pub fn restart(&self) {
        self.server.restart();
    }

    /// Delays the engine's responses from now on.
    pub fn delay_responses(&self, delay: Duration) {
        self.shared.state().response_delay = delay;
    }

    /// The calls that were answered without a fault, in order.
    pub fn answered(&self) -> Vec<Answered> {
        self.shared.state().answered.clone()
    }

    /// How often each operation was called since the last call of this or of [`spent`](Self::spent).
    pub fn calls(&self) -> BTreeMap<String, u32> {
        self.spent().calls
    }

    /// What the calls since the last call of this have cost.
    pub fn spent(&self) -> Spent {
        std::mem::take(&mut self.shared.state().spent)
    }

    /// The table that was created through the proxy.
    pub fn table_name(&self) -> String {
        self.shared.state().table.clone()
    }

    /// Waits until every late call is applied.
    pub async fn late_calls_applied(&self) {
        while self.shared.state().late > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Rewrites an item as a newer release would, without being counted.
    pub async fn rewrite_as_newer_release(&self, pk: String, sk: &str) {
        let change = json!({
            "TableName": self.table_name(),
            "Key": {"pk": {"S": pk}, "sk": {"S": sk}},
            "UpdateExpression": "SET item_version = :newer",
            "ConditionExpression": "attribute_exists(pk)",
            "ExpressionAttributeValues": {":newer": {"N": "99"}},
        });
        self.engine("UpdateItem", &change).await;
    }

    /// The opt-outs of the only person who has any: an item whose key has a hash of the number.
    pub async fn opt_outs(&self) -> Value {
        let scanned = self.engine("Scan", &json!({"TableName": self.table_name()})).await;
        let items = scanned["Items"].as_array().unwrap();
        items.iter().find(|item| item["sk"]["S"] == "OPT").unwrap().clone()
    }

    /// Calls the engine directly; neither counted nor subject to faults.
    pub async fn engine(&self, operation: &str, body: &Value) -> Value {
        let request = self.shared.client.post(&self.shared.engine);
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
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while it is held")
    }

    /// Counts a call, and returns the fault to inject into it.
    fn count(&self, operation: &str, request: &str) -> Option<Fault> {
        let mut state = self.state();
        *state.spent.calls.entry(operation.to_owned()).or_default() += 1;
        let (calls, fault) = state.fault.as_ref().filter(|_| state.remaining > 0)?;
        let fault = calls.include(operation, request).then_some(*fault)?;
        state.remaining -= 1;
        state.injected += 1;
        Some(fault)
    }
}
