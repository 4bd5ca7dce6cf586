//! The DynamoDB backend: one table, shared by any number of processes. Items and costs: docs/architecture.md#dynamodb

mod cached_key;
mod calls;
mod change;
mod erasure;
mod free_list;
mod free_slot;
mod gauges;
mod history;
mod item;
mod keys;
mod messages;
mod not_delivered;
mod opening;
mod opt_out_key;
mod opt_outs;
mod outbox;
mod pending;
mod pool;
mod query;
mod quota;
mod receive;
mod retry;
mod routes;
mod schema;
mod sender_limit;
mod session_items;
mod sessions;
mod snapshot;
mod sweep;
mod tn_item;

pub use schema::create_table;

use super::{Result, Store, StoreError};
use crate::{aws, limits};
use aws_sdk_dynamodb::{
    Client,
    config::{retry::RetryConfig, timeout::TimeoutConfig},
};
use cached_key::CachedKey;
use calls::Calls;
use chrono::{DateTime, TimeDelta, Utc};
use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};
use tokio::time::Instant;

/// The time limit of a list, or of what maintenance reads, as a multiple of that of one operation.
const LIST_FACTOR: u32 = 5;

/// A store in one DynamoDB table.
///
/// The table's time to live deletes settled records after `retention`.
#[derive(Debug, Clone)]
pub struct Dynamo {
    calls: Calls,
    retention: TimeDelta,
    limit: Duration,
    receipts_by_provider_id: bool,
    /// What a sender is told whose text is not delivered; empty: nothing.
    not_delivered_notice: Arc<str>,
    /// The estimated size of the pool, as this process last read it. Operations that use it read it first.
    pool_size: Arc<AtomicU64>,
    cached_key: CachedKey,
}

impl Dynamo {
    /// A client configured by the environment (`AWS_REGION`, `AWS_ENDPOINT_URL_DYNAMODB`, …).
    pub async fn client(may_freeze: bool) -> Client {
        Client::from_conf(config_of(&aws::environment(may_freeze).load().await))
    }

    /// The store in this table, configured by the environment. `may_freeze`: the process may be frozen between two calls.
    pub async fn connect(table: impl Into<String>, retention: TimeDelta, may_freeze: bool) -> Self {
        Self::new(Self::client(may_freeze).await, table, retention)
    }

    /// The store in this table, reached by this client.
    pub fn new(client: Client, table: impl Into<String>, retention: TimeDelta) -> Self {
        let calls = Calls::new(client, table.into());
        let store = Self {
            calls,
            retention,
            limit: Duration::ZERO,
            receipts_by_provider_id: true,
            not_delivered_notice: "".into(),
            pool_size: Arc::default(),
            cached_key: CachedKey::default(),
        };
        store.with_limit(limits::STORE_OPERATION)
    }

    /// The same store with this time limit for one operation.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self.calls.retry_for = limit * 3 / 4;
        self
    }

    /// The same store, which from now on finds the message of a delivery receipt by the provider's id too, or by our own id
    /// only. The former costs a write unit for each message that is sent.
    #[must_use]
    pub fn with_receipts_by_provider_id(self, receipts_by_provider_id: bool) -> Self {
        Self { receipts_by_provider_id, ..self }
    }

    /// Applies the time limit of an operation.
    async fn timed<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let timed_out = |_| Err(StoreError::Unavailable("the operation timed out".into()));
        tokio::time::timeout(self.limit, work).await.unwrap_or_else(timed_out)
    }

    /// Repeats an optimistic operation while it returns `None`: then what it read had changed before it wrote. The time limit
    /// and the retry budget of an operation apply.
    async fn optimistic<T, F>(&self, attempt: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<Option<T>>>,
    {
        self.timed(async {
            let mut budget = self.calls.retry_budget();
            loop {
                match attempt().await? {
                    Some(done) => return Ok(done),
                    None => budget.wait("contention").await?,
                }
            }
        })
        .await
    }

    /// Applies the time limit of a list, or of what maintenance reads.
    async fn timed_list<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.clone().with_limit(self.limit * LIST_FACTOR).timed(work).await
    }

    /// When a list that may end early starts no further read, well before its time limit.
    fn list_deadline(&self) -> Instant {
        Instant::now() + self.limit * LIST_FACTOR / 2
    }

    /// The `ttl_at` of a record that was settled then, in seconds since 1970.
    fn ttl(&self, settled_at: DateTime<Utc>) -> i64 {
        (settled_at + self.retention).timestamp()
    }
}

impl Store for Dynamo {
    fn telling_senders(self: Arc<Self>, words: &str) -> Arc<dyn Store> {
        Arc::new(Self { not_delivered_notice: words.into(), ..Self::clone(&self) })
    }

    fn name(&self) -> &'static str {
        "dynamodb"
    }
}

/// The configuration of the client: its own retries end before the time limit of one operation.
#[must_use]
pub fn config_of(config: &aws_config::SdkConfig) -> aws_sdk_dynamodb::Config {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(limits::DYNAMODB_ATTEMPT)
        .operation_timeout(limits::DYNAMODB_CALL)
        .build();
    let retries =
        RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(50));
    aws_sdk_dynamodb::config::Builder::from(config).timeout_config(timeouts).retry_config(retries).build()
}
