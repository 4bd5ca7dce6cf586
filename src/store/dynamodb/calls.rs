//! The calls to DynamoDB: consistent reads, and idempotent writes.

use super::{
    change::Change,
    item::{Attribute, Item, Values},
    keys::Key,
    retry::{RetryBudget, malformed, retryable, retryable_reasons, unavailable},
};
use crate::{
    store::{Result, StoreError, last_write::LastWrite, skip_unreadable},
    telemetry::metrics::{Call, Timer},
};
use aws_sdk_dynamodb::{
    Client,
    config::retry::RetryConfig,
    error::{ProvideErrorMetadata, SdkError},
    operation::{transact_write_items::TransactWriteItemsError, update_item::UpdateItemError},
    types::{CancellationReason, KeysAndAttributes, ReturnValuesOnConditionCheckFailure, TransactWriteItem},
};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};
use uuid::Uuid;

/// The maximum number of keys in one BatchGetItem.
const BATCH: usize = 100;

/// The table, and the client that reaches it.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    pub(super) client: Client,
    pub(super) table: String,
    /// The retry budget of one call, and of an operation that retries after contention.
    pub(super) retry_for: Duration,
    pub(super) last_write: LastWrite,
}

/// The outcome of a write: all of it is stored, or nothing, because the conditions of these parts failed.
pub(super) type Written = std::result::Result<(), Vec<usize>>;

impl Calls {
    pub(super) fn new(client: Client, table: String) -> Self {
        Self { client, table, retry_for: Duration::ZERO, last_write: LastWrite::default() }
    }

    /// Repeats no call from now on.
    pub(super) fn try_once(&mut self) {
        let once = self.client.config().to_builder().retry_config(RetryConfig::disabled());
        (self.client, self.retry_for) = (Client::from_conf(once.build()), Duration::ZERO);
    }

    pub(super) fn retry_budget(&self) -> RetryBudget {
        RetryBudget::new(self.retry_for)
    }

    /// An item, as it is now.
    pub(super) async fn get(&self, key: Key) -> Result<Option<Item>> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key.attributes()));
        let request = request.consistent_read(true);
        let found = self.read(|| request.clone().send()).await?;
        found.item.map(Item::read).transpose()
    }

    /// Several items, as they are now, in the order of the keys.
    pub(super) async fn get_all(&self, keys: &[Key]) -> Result<Vec<Option<Item>>> {
        self.get_each(keys).await?.into_iter().collect()
    }

    /// The same, with an error for each item that this version cannot read.
    pub(super) async fn get_each(&self, keys: &[Key]) -> Result<Vec<Result<Option<Item>>>> {
        self.get_each_as(true, keys).await
    }

    /// The same by eventually consistent reads, for half of the price.
    pub(super) async fn get_each_eventually(&self, keys: &[Key]) -> Result<Vec<Result<Option<Item>>>> {
        self.get_each_as(false, keys).await
    }

    async fn get_each_as(&self, consistent: bool, keys: &[Key]) -> Result<Vec<Result<Option<Item>>>> {
        let mut found = HashMap::new();
        for keys in keys.chunks(BATCH) {
            let distinct: HashSet<&Key> = keys.iter().collect();
            let distinct = distinct.into_iter().map(Key::attributes).collect();
            self.get_batch(consistent, distinct, &mut found).await?;
        }
        Ok(keys.iter().map(|key| found.get(key).cloned().map(Item::read).transpose()).collect())
    }

    /// Those of several items that exist and that this version can read, as they are now.
    pub(super) async fn get_readable(&self, keys: &[Key]) -> Result<Vec<Item>> {
        let found = self.get_each(keys).await?.into_iter();
        found.filter_map(|item| skip_unreadable(item).map(Option::flatten).transpose()).collect()
    }

    async fn get_batch(
        &self,
        consistent: bool,
        mut wanted: Vec<Values>,
        found: &mut HashMap<Key, Values>,
    ) -> Result<()> {
        let mut budget = self.retry_budget();
        loop {
            let request = KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(consistent);
            let request = request.build().map_err(malformed)?;
            let request = self.client.batch_get_item().request_items(&self.table, request);
            let response = self.read(|| request.clone().send()).await?;
            for attributes in response.responses.into_iter().flatten().flat_map(|(_, items)| items) {
                let item = Item(attributes);
                found.insert(item.key()?, item.0);
            }
            let left = response.unprocessed_keys.and_then(|mut left| left.remove(&self.table));
            wanted = left.map(|left| left.keys).unwrap_or_default();
            if wanted.is_empty() {
                return Ok(());
            }
            budget.wait("throttled").await?;
        }
    }

    /// Writes all of these, or nothing. A single update costs half of what it costs in a transaction.
    pub(super) async fn write(&self, mut changes: Vec<Change>) -> Result<Written> {
        let _timer = (!changes.is_empty()).then(|| Timer::start(Call::StoreWrite));
        let written = match changes.as_slice() {
            [] => return Ok(Ok(())),
            [only] if let Some(key) = only.updates().map(Key::attributes) => {
                self.update(key, changes.remove(0)).await
            }
            _ => self.transact(changes).await,
        };
        self.last_write.keep(written.as_ref().map(|_| ()).map_err(Clone::clone));
        written
    }

    /// Idempotent by the client request token: repeated after a lost response, the transaction succeeds.
    async fn transact(&self, changes: Vec<Change>) -> Result<Written> {
        let parts = changes
            .into_iter()
            .map(|change| change.into_part(&self.table))
            .collect::<Result<Vec<TransactWriteItem>>>()?;
        let request = self.client.transact_write_items().set_transact_items(Some(parts));
        let request = request.client_request_token(random_token());
        let retryable = |error: &_| cancellation(error).map_or_else(|| retryable(error), retryable_reasons);
        let Err(error) = self.retry(|| request.clone().send(), retryable).await? else {
            return Ok(Ok(()));
        };
        match cancellation(&error) {
            Some(reasons) => refused_parts(reasons).map(Err),
            None => Err(unavailable(error)),
        }
    }

    /// Idempotent by a token in the item. Repeated after a lost response, the update is refused because of its own earlier
    /// success, which the token shows.
    async fn update(&self, key: Values, change: Change) -> Result<Written> {
        let token = random_token();
        let change = change.set("write_token", token.clone());
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .update_expression(change.expression())
            .condition_expression(change.condition())
            .set_expression_attribute_values(Some(change.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = self.retry(|| request.clone().send(), retryable).await? else {
            return Ok(Ok(()));
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                let old = old_item(failed.item())?;
                let is_own =
                    old.as_ref().is_some_and(|old| old.0.get("write_token") == token.write().as_ref());
                Ok(if is_own { Ok(()) } else { Err(vec![0]) })
            }
            _ => Err(unavailable(error)),
        }
    }

    pub(super) async fn read<T, E, F>(&self, call: impl Fn() -> F) -> Result<T>
    where
        E: ProvideErrorMetadata,
        F: Future<Output = std::result::Result<T, SdkError<E>>>,
    {
        let _timer = Timer::start(Call::StoreRead);
        self.retry(call, retryable).await?.map_err(unavailable)
    }

    /// Repeats a call until its response is final or the retry budget is used up. Writes must be idempotent.
    async fn retry<T, E, F>(
        &self,
        call: impl Fn() -> F,
        retryable: impl Fn(&SdkError<E>) -> Option<&'static str>,
    ) -> Result<std::result::Result<T, SdkError<E>>>
    where
        F: Future<Output = std::result::Result<T, SdkError<E>>>,
    {
        let mut budget = self.retry_budget();
        loop {
            let response = call().await;
            match response.as_ref().err().and_then(&retryable) {
                Some(why) => budget.wait(why).await?,
                None => return Ok(response),
            }
        }
    }
}

fn random_token() -> String {
    Uuid::new_v4().simple().to_string()
}

fn cancellation(error: &SdkError<TransactWriteItemsError>) -> Option<&[CancellationReason]> {
    match error.as_service_error()? {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => {
            Some(cancelled.cancellation_reasons())
        }
        _ => None,
    }
}

/// The parts of a cancelled transaction whose conditions failed.
///
/// # Errors
/// When a newer version has written the item of such a part.
fn refused_parts(reasons: &[CancellationReason]) -> Result<Vec<usize>> {
    let mut refused = Vec::new();
    for (part, reason) in reasons.iter().enumerate() {
        match reason.code().unwrap_or("None") {
            "ConditionalCheckFailed" => {
                old_item(reason.item())?;
                refused.push(part);
            }
            "None" | "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded" => {}
            other => return Err(StoreError::Unavailable(other.to_owned())),
        }
    }
    Ok(refused)
}

fn old_item(old: Option<&Values>) -> Result<Option<Item>> {
    old.filter(|old| !old.is_empty()).cloned().map(Item::read).transpose()
}
