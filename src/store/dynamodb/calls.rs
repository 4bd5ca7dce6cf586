//! The calls to DynamoDB, each with what is special about it: consistent reads, writes that recognise their own earlier
//! success, contention that is tried again.

use super::{
    change::{Change, What},
    item::Item,
    table::Key,
};
use crate::store::{Result, StoreError};
use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::{transact_write_items::TransactWriteItemsError, update_item::UpdateItemError},
    types::{
        AttributeValue, CancellationReason, KeysAndAttributes, ReturnValuesOnConditionCheckFailure, Select,
        TransactWriteItem,
    },
};
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;
use uuid::Uuid;

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(160);
/// How many keys one BatchGetItem takes.
const BATCH: usize = 100;

type Values = HashMap<String, AttributeValue>;

/// The table, and the client that reaches it.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    pub(super) client: Client,
    pub(super) table: String,
    /// How long one store call goes on trying when others get in its way.
    pub(super) patience: Duration,
}

/// What became of a transaction.
pub(super) enum Committed {
    /// All of it happened.
    Done,
    /// Nothing of it happened: the conditions of these parts did not hold, where this stood.
    Refused(Vec<Refusal>),
}

/// Which part was refused, and what stood there.
pub(super) type Refusal = (usize, Option<Item>);

impl Committed {
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// What stood where the condition of this part did not hold.
    pub(super) fn stood_at(&self, part: usize) -> Option<&Item> {
        match self {
            Self::Done => None,
            Self::Refused(parts) => parts.iter().find(|(failed, _)| *failed == part)?.1.as_ref(),
        }
    }

    /// Whether the condition of this part did not hold.
    pub(super) fn failed_at(&self, part: usize) -> bool {
        matches!(self, Self::Refused(parts) if parts.iter().any(|(failed, _)| *failed == part))
    }
}

pub(super) fn malformed(error: aws_sdk_dynamodb::error::BuildError) -> StoreError {
    StoreError::Unavailable(format!("a malformed request: {error}"))
}

pub(super) fn attributes(key: &Key) -> Values {
    let text = |text: &String| AttributeValue::S(text.clone());
    HashMap::from([("pk".to_owned(), text(&key.pk)), ("sk".to_owned(), text(&key.sk))])
}

/// Which items of a partition, in the table or in an index.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    pub(super) index: Option<&'static str>,
    /// The name and value of the partition key.
    pub(super) hash: (&'static str, String),
    /// A condition on the sort key, such as `sk > :sk`, and its value.
    pub(super) range: Option<(&'static str, String)>,
    /// What `:until` in the range is.
    pub(super) until: Option<String>,
    pub(super) backwards: bool,
    pub(super) limit: Option<i32>,
}

impl Calls {
    /// An item, as it is now.
    pub(super) async fn get(&self, key: Key) -> Result<Option<Item>> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(attributes(&key)));
        let found = request.consistent_read(true).send().await.map_err(unavailable)?;
        found.item.map(Item::read).transpose()
    }

    /// Several items, as they are now, in the order of the keys.
    pub(super) async fn get_all(&self, keys: &[Key]) -> Result<Vec<Option<Item>>> {
        let mut found: HashMap<(String, String), Item> = HashMap::new();
        for keys in keys.chunks(BATCH) {
            let mut asked: Vec<Values> = Vec::new();
            for key in keys.iter().map(attributes) {
                if !asked.contains(&key) {
                    asked.push(key);
                }
            }
            let mut patience = Patience::new(self.patience);
            while !asked.is_empty() {
                let request = KeysAndAttributes::builder().set_keys(Some(asked)).consistent_read(true);
                let request = request.build().map_err(malformed)?;
                let answer = self.client.batch_get_item().request_items(&self.table, request);
                let answer = answer.send().await.map_err(unavailable)?;
                for attributes in answer.responses.into_iter().flatten().flat_map(|(_, items)| items) {
                    let item = Item::read(attributes)?;
                    let key = item.key()?;
                    found.insert((key.pk, key.sk), item);
                }
                let left = answer.unprocessed_keys.and_then(|mut left| left.remove(&self.table));
                asked = left.map(|left| left.keys).unwrap_or_default();
                if !asked.is_empty() {
                    patience.wait("throttled").await?;
                }
            }
        }
        Ok(keys.iter().map(|key| found.get(&(key.pk.clone(), key.sk.clone())).cloned()).collect())
    }

    /// The items of a partition, at most `limit` of them if that is set. Reads of the table are consistent, those of
    /// an index are not.
    pub(super) async fn query(&self, query: Query) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        let mut after = None;
        loop {
            let left = query.limit.map(|limit| limit - i32::try_from(items.len()).unwrap_or(i32::MAX));
            if left.is_some_and(|left| left <= 0) {
                return Ok(items);
            }
            let request = self.request(&query).set_limit(left).set_exclusive_start_key(after);
            let answer = request.send().await.map_err(unavailable)?;
            for attributes in answer.items.unwrap_or_default() {
                items.push(Item::read(attributes)?);
            }
            after = answer.last_evaluated_key;
            if after.is_none() {
                return Ok(items);
            }
        }
    }

    /// How many items of a partition meet the condition; with a `limit`, no more than that are looked at.
    pub(super) async fn count(&self, query: Query, condition: &str, values: &Values) -> Result<u64> {
        let mut count = 0;
        let mut after = None;
        let mut left = query.limit;
        loop {
            let mut request = self.request(&query).select(Select::Count).set_exclusive_start_key(after);
            request = request.set_limit(left);
            if !condition.is_empty() {
                request = request.filter_expression(condition);
            }
            for (name, value) in values {
                request = request.expression_attribute_values(name, value.clone());
            }
            let answer = request.send().await.map_err(unavailable)?;
            count += u64::try_from(answer.count).unwrap_or(0);
            left = left.map(|left| left - answer.scanned_count);
            after = answer.last_evaluated_key;
            if after.is_none() || left.is_some_and(|left| left <= 0) {
                return Ok(count);
            }
        }
    }

    pub(super) fn request(
        &self,
        query: &Query,
    ) -> aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder {
        let (hash, value) = &query.hash;
        let range = query.range.as_ref();
        let condition = match range {
            None => format!("{hash} = :hash"),
            Some((range, _)) => format!("{hash} = :hash AND {range}"),
        };
        let mut request = self
            .client
            .query()
            .table_name(&self.table)
            .set_index_name(query.index.map(str::to_owned))
            .consistent_read(query.index.is_none())
            .scan_index_forward(!query.backwards)
            .key_condition_expression(condition)
            .expression_attribute_values(":hash", AttributeValue::S(value.clone()));
        if let Some((_, value)) = range {
            request = request.expression_attribute_values(":range", AttributeValue::S(value.clone()));
        }
        if let Some(value) = &query.until {
            request = request.expression_attribute_values(":until", AttributeValue::S(value.clone()));
        }
        request
    }

    /// Does all of these, or nothing. The client request token makes a repetition after a lost answer succeed.
    pub(super) async fn transact(&self, changes: Vec<Change>) -> Result<Committed> {
        let parts = changes
            .into_iter()
            .map(|change| change.into_part(&self.table))
            .collect::<Result<Vec<TransactWriteItem>>>()?;
        let token = Uuid::new_v4().simple().to_string();
        let mut patience = Patience::new(self.patience);
        loop {
            let request = self.client.transact_write_items().set_transact_items(Some(parts.clone()));
            let error = match request.client_request_token(&token).send().await {
                Ok(_) => return Ok(Committed::Done),
                Err(error) => error,
            };
            let why = match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    match refused_parts(cancelled.cancellation_reasons())? {
                        Ok(refused) => return Ok(Committed::Refused(refused)),
                        Err(why) => why,
                    }
                }
                // It may have happened: the same token finds out.
                None => "no answer",
                Some(_) => return Err(unavailable(error)),
            };
            patience.wait(why).await?;
        }
    }

    /// Changes one item, if its condition holds: `Err` with what stood there if it does not.
    ///
    /// The change leaves a token in the item. A repetition after a lost answer is refused because of the write itself;
    /// the token tells that it was this one.
    pub(super) async fn change(
        &self,
        key: Key,
        change: Change,
    ) -> Result<std::result::Result<(), Option<Item>>> {
        let What::Update(_, expression) = change.what else {
            return Err(StoreError::Unavailable("a malformed request: no update".into()));
        };
        let token = Uuid::new_v4().simple().to_string();
        let expression = match expression.strip_prefix("SET ") {
            Some(rest) => format!("SET write_token = :write_token, {rest}"),
            None => format!("SET write_token = :write_token {expression}"),
        };
        let mut patience = Patience::new(self.patience);
        loop {
            let answer = self
                .client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(attributes(&key)))
                .update_expression(&expression)
                .set_condition_expression(change.condition.clone())
                .set_expression_attribute_values(Some(change.values.clone()))
                .expression_attribute_values(":write_token", AttributeValue::S(token.clone()))
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
                .send()
                .await;
            let error = match answer {
                Ok(_) => return Ok(Ok(())),
                Err(error) => error,
            };
            match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    let old =
                        failed.item().filter(|old| !old.is_empty()).cloned().map(Item::read).transpose()?;
                    let token_of =
                        |old: &Item| old.some_text("write_token").ok().flatten().map(str::to_owned);
                    let own = old.as_ref().and_then(token_of).is_some_and(|written| written == token);
                    return Ok(if own { Ok(()) } else { Err(old) });
                }
                // A transaction is at work on the item; the SDK does not repeat that by itself.
                _ if error.code() == Some("TransactionConflictException") => {
                    patience.wait("contention").await?
                }
                _ => return Err(unavailable(error)),
            }
        }
    }
}

/// What of a cancelled transaction was refused for good, and where it stood; or why it may be tried again.
fn refused_parts(reasons: &[CancellationReason]) -> Result<std::result::Result<Vec<Refusal>, &'static str>> {
    let mut refused = Vec::new();
    for (part, reason) in reasons.iter().enumerate() {
        match reason.code().unwrap_or("None") {
            "ConditionalCheckFailed" => {
                let old = reason.item().filter(|old| !old.is_empty());
                refused.push((part, old.cloned().map(Item::read).transpose()?));
            }
            "None" | "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded" => {}
            other => return Err(StoreError::Unavailable(other.to_owned())),
        }
    }
    Ok(if refused.is_empty() { Err("contention") } else { Ok(refused) })
}

/// Goes on trying for a while when others get in the way.
pub(super) struct Patience {
    give_up: Instant,
    pause: Duration,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self { give_up: Instant::now() + limit, pause: Duration::from_millis(10) }
    }

    /// Waits a moment, longer each time and at random, so that those who got in each other's way do not meet again.
    pub(super) async fn wait(&mut self, why: &str) -> Result<()> {
        if Instant::now() >= self.give_up {
            return Err(StoreError::Unavailable(why.to_owned()));
        }
        tokio::time::sleep(self.pause.mul_f64(rand::random_range(0.5..1.5))).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

/// What the SDK says, by its code: its full text may hold what was to be written.
pub(super) fn unavailable<E: ProvideErrorMetadata, R>(error: SdkError<E, R>) -> StoreError {
    let what = match &error {
        SdkError::ConstructionFailure(_) => "the request could not be made".to_owned(),
        SdkError::TimeoutError(_) => "no answer in time".to_owned(),
        SdkError::DispatchFailure(_) => "it could not be reached".to_owned(),
        SdkError::ResponseError(_) => "its answer could not be read".to_owned(),
        other => other.code().unwrap_or("an error without a code").to_owned(),
    };
    StoreError::Unavailable(what)
}
