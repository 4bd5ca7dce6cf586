//! The DynamoDB backend: one table, for any number of processes at once.

mod calls;
mod change;
mod draw;
mod gauges;
mod history;
mod item;
mod open;
mod outbox;
mod place;
mod pool;
mod query;
mod retry;
mod routes;
mod sessions;
mod settle;
mod snapshot;
mod table;
mod texts;

pub use table::create_table;

use super::{
    AddTn, Due, EndCause, Entry, Exported, Gauges, Imported, Leased, Message, OpenSession, Others, Page,
    Part, PoolSize, Receipted, Record, Recorded, RemoveTn, Result, Route, Settlement, Snapshot, Store,
    StoreError, Unknown, VirtualTn,
};
use crate::{
    aws,
    domain::{MessageId, NewSession, Number, Outbound, Receipt, Session, SessionId},
};
use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    config::{retry::RetryConfig, timeout::TimeoutConfig},
};
use calls::Calls;
use chrono::{DateTime, TimeDelta, Utc};
use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};
use tokio::time::Instant;

/// How long one operation of the store may take in all (DESIGN.md 3, Times). Within it, one call to DynamoDB is tried
/// again until three quarters of this are over.
const LIMIT: Duration = Duration::from_secs(2);
/// How many times as long a list may take, or what maintenance reads: how much there is has no bound.
const LISTS: u32 = 5;
/// How long the SDK's own tries of one call may take, and one of them.
const CALL_LIMIT: Duration = Duration::from_millis(1800);
const TRY_LIMIT: Duration = Duration::from_millis(700);

/// A store in one DynamoDB table.
///
/// What is settled is forgotten by the table's time to live, `retention` after that.
#[derive(Debug, Clone)]
pub struct Dynamo {
    calls: Calls,
    retention: TimeDelta,
    limit: Duration,
    /// About how many TNs the pool has, as this process last read it. Whoever uses it has just done so.
    pool_size: Arc<AtomicU64>,
}

impl Dynamo {
    /// A client that reaches DynamoDB as the environment says (`AWS_REGION`, `AWS_ENDPOINT_URL_DYNAMODB`, …).
    pub async fn client(may_freeze: bool) -> Client {
        Client::from_conf(config_of(&aws::environment(may_freeze).load().await))
    }

    /// The store in this table, reached as the environment says, by a process that may be frozen between two calls or
    /// not.
    pub async fn connect(table: impl Into<String>, retention: TimeDelta, may_freeze: bool) -> Self {
        Self::new(Self::client(may_freeze).await, table, retention)
    }

    /// The store in this table, reached by this client.
    pub fn new(client: Client, table: impl Into<String>, retention: TimeDelta) -> Self {
        let calls = Calls { client, table: table.into(), patience: Duration::ZERO };
        Self { calls, retention, limit: LIMIT, pool_size: Arc::default() }.with_limit(LIMIT)
    }

    /// The same store, of which one operation may take so long.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self.calls.patience = limit * 3 / 4;
        self
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        within(self.limit, work).await
    }

    /// For what has no bound: lists, and what maintenance reads.
    async fn list<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        within(self.limit * LISTS, work).await
    }

    /// When a list that can be had in parts begins no further one: it comes before [`list`](Self::list) breaks it off.
    fn half_of_a_list(&self) -> Instant {
        Instant::now() + self.limit * LISTS / 2
    }

    /// When what happens now is forgotten: in seconds since 1970, as the table's time to live wants it.
    fn ttl(&self, now: DateTime<Utc>) -> i64 {
        (now + self.retention).timestamp()
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |_| Err(StoreError::Unavailable("no answer in time".into()));
    tokio::time::timeout(limit, work).await.unwrap_or_else(late)
}

/// How the client behaves: what it repeats stays within the time of one store call.
#[must_use]
pub fn config_of(config: &aws_config::SdkConfig) -> aws_sdk_dynamodb::Config {
    let timeouts =
        TimeoutConfig::builder().operation_attempt_timeout(TRY_LIMIT).operation_timeout(CALL_LIMIT).build();
    let retries =
        RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(50));
    aws_sdk_dynamodb::config::Builder::from(config).timeout_config(timeouts).retry_config(retries).build()
}

#[async_trait]
impl Store for Dynamo {
    async fn add_tn(&self, tn: Number, now: DateTime<Utc>) -> Result<AddTn> {
        self.in_time(self.do_add_tn(tn, now)).await
    }

    async fn remove_tn(&self, tn: Number, now: DateTime<Utc>) -> Result<RemoveTn> {
        self.in_time(self.do_remove_tn(tn, now)).await
    }

    async fn tn(&self, tn: Number, now: DateTime<Utc>) -> Result<Option<VirtualTn>> {
        self.in_time(self.do_tn(tn, now)).await
    }

    async fn tns(&self, page: Page, now: DateTime<Utc>) -> Result<(Part<VirtualTn>, PoolSize)> {
        self.list(self.do_tns(page, now)).await
    }

    async fn open_session(&self, new: NewSession, lease_until: DateTime<Utc>) -> Result<OpenSession> {
        self.in_time(self.do_open(new, lease_until)).await
    }

    async fn end_session(
        &self,
        session: SessionId,
        cause: EndCause,
        notices: Vec<Outbound>,
        now: DateTime<Utc>,
        lease_until: Option<DateTime<Utc>>,
    ) -> Result<Option<Vec<Leased>>> {
        self.in_time(self.do_end(session, cause, notices, now, lease_until)).await
    }

    async fn session(&self, id: SessionId, now: DateTime<Utc>) -> Result<Option<Session>> {
        self.in_time(self.do_session(id, now)).await
    }

    async fn sessions(&self, page: Page, now: DateTime<Utc>) -> Result<(Part<Session>, u64)> {
        self.list(self.do_sessions(page, now)).await
    }

    async fn expired_sessions(&self, limit: u32, now: DateTime<Utc>) -> Result<Vec<Session>> {
        self.list(self.do_expired(limit, now)).await
    }

    async fn route(&self, tn: Number, sender: Number, now: DateTime<Utc>) -> Result<Route> {
        self.in_time(self.do_route(tn, sender, now)).await
    }

    async fn record(&self, record: Record) -> Result<Recorded> {
        self.in_time(self.do_record(record)).await
    }

    async fn settle(&self, leased: &Leased, settlement: Settlement, now: DateTime<Utc>) -> Result<bool> {
        self.in_time(self.do_settle(leased, settlement, now)).await
    }

    async fn reclaim(&self, limit: u32, now: DateTime<Utc>) -> Result<usize> {
        self.list(self.do_reclaim(limit, now)).await
    }

    async fn due(&self, limit: u32, now: DateTime<Utc>) -> Result<Vec<Due>> {
        self.list(self.do_due(limit, now)).await
    }

    async fn lease(&self, id: MessageId, now: DateTime<Utc>, until: DateTime<Utc>) -> Result<Option<Leased>> {
        self.in_time(self.do_lease(id, now, until)).await
    }

    async fn renew(&self, leased: &Leased, now: DateTime<Utc>, until: DateTime<Utc>) -> Result<bool> {
        self.in_time(self.do_renew(leased, now, until)).await
    }

    async fn unknown(&self, limit: u32, after: Option<MessageId>) -> Result<Vec<Unknown>> {
        self.list(self.do_unknown(limit, after)).await
    }

    async fn others(&self, message: &Outbound) -> Result<Others> {
        self.list(self.do_others(message)).await
    }

    async fn begin_drain(&self, holder: &str, now: DateTime<Utc>, until: DateTime<Utc>) -> Result<bool> {
        self.in_time(self.do_begin_drain(holder, now, until)).await
    }

    async fn end_drain(&self, holder: &str) -> Result<()> {
        self.in_time(self.do_end_drain(holder)).await
    }

    async fn receipt(&self, receipt: &Receipt, now: DateTime<Utc>) -> Result<Receipted> {
        self.in_time(self.do_receipt(receipt, now)).await
    }

    async fn messages(
        &self,
        session: SessionId,
        page: Page,
        now: DateTime<Utc>,
    ) -> Result<Option<Part<Message>>> {
        match page.limit {
            Some(_) => self.in_time(self.do_messages(session, page, now)).await,
            None => self.list(self.do_messages(session, page, now)).await,
        }
    }

    async fn forget(&self, _before: DateTime<Utc>, _limit: u32) -> Result<usize> {
        // The table's time to live does it.
        Ok(0)
    }

    async fn gauges(&self, up_to: u32) -> Result<Gauges> {
        self.list(self.do_gauges(up_to)).await
    }

    async fn ping(&self) -> Result<()> {
        match self.in_time(self.calls.get(table::drainer())).await {
            // What a newer release has written is an answer too.
            Ok(_) | Err(StoreError::Unreadable(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Snapshot for Dynamo {
    async fn export(&self, before: DateTime<Utc>) -> Result<Exported> {
        self.do_export(before).await
    }

    async fn import(&self, entries: Vec<Entry>) -> Result<Imported> {
        self.do_import(entries).await
    }
}
