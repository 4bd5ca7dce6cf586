//! The calls to DynamoDB, each with what is special about it: consistent reads, writes that recognise their own earlier
//! success, contention that is tried again. Queries are in `query`.

pub(super) use super::retry::{Patience, unavailable};
use super::{
    change::{Change, What},
    item::Item,
    retry::{passing, passing_reasons},
    table::Key,
};
use crate::store::{Result, StoreError, readable};
use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::{transact_write_items::TransactWriteItemsError, update_item::UpdateItemError},
    types::{
        AttributeValue, CancellationReason, KeysAndAttributes, ReturnValuesOnConditionCheckFailure,
        TransactWriteItem,
    },
};
use std::{collections::HashMap, time::Duration};
use uuid::Uuid;

/// How many keys one BatchGetItem takes.
const BATCH: usize = 100;

pub(super) type Values = HashMap<String, AttributeValue>;

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

impl Calls {
    /// An item, as it is now.
    pub(super) async fn get(&self, key: Key) -> Result<Option<Item>> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(attributes(&key)));
        let request = request.consistent_read(true);
        let found = self.read(|| request.clone().send()).await?;
        found.item.map(Item::read).transpose()
    }

    /// Several items, as they are now, in the order of the keys.
    pub(super) async fn get_all(&self, keys: &[Key]) -> Result<Vec<Option<Item>>> {
        self.get_each(keys).await?.into_iter().collect()
    }

    /// The same, where what this version cannot read says so by itself.
    pub(super) async fn get_each(&self, keys: &[Key]) -> Result<Vec<Result<Option<Item>>>> {
        let found = self.fetch(keys).await?;
        Ok(found.into_iter().map(|item| item.map(Item::read).transpose()).collect())
    }

    /// Those of several items that are there and that this version can read, as they are now. The others are left to
    /// the release that wrote them.
    pub(super) async fn get_readable(&self, keys: &[Key]) -> Result<Vec<Item>> {
        let found = self.fetch(keys).await?.into_iter().flatten();
        found.filter_map(|item| readable(Item::read(item)).transpose()).collect()
    }

    async fn fetch(&self, keys: &[Key]) -> Result<Vec<Option<Values>>> {
        let mut found: HashMap<(String, String), Values> = HashMap::new();
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
                let request = self.client.batch_get_item().request_items(&self.table, request);
                let answer = self.read(|| request.clone().send()).await?;
                for attributes in answer.responses.into_iter().flatten().flat_map(|(_, items)| items) {
                    let item = Item(attributes);
                    let key = item.key()?;
                    found.insert((key.pk, key.sk), item.0);
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

    /// Does all of these, or nothing. The client request token makes a repetition after a lost answer succeed.
    pub(super) async fn transact(&self, changes: Vec<Change>) -> Result<Committed> {
        let parts = changes
            .into_iter()
            .map(|change| change.into_part(&self.table))
            .collect::<Result<Vec<TransactWriteItem>>>()?;
        let token = Uuid::new_v4().simple().to_string();
        let request = self.client.transact_write_items().set_transact_items(Some(parts));
        let request = request.client_request_token(token);
        let in_the_way = |error: &SdkError<TransactWriteItemsError>| match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                passing_reasons(cancelled.cancellation_reasons())
            }
            _ => passing(error),
        };
        let Err(error) = self.insist(|| request.clone().send(), in_the_way).await? else {
            return Ok(Committed::Done);
        };
        match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                refused_parts(cancelled.cancellation_reasons()).map(Committed::Refused)
            }
            _ => Err(unavailable(error)),
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
        let condition = change.condition();
        let What::Update(_, expression) = change.what else {
            return Err(StoreError::Unavailable("a malformed request: no update".into()));
        };
        let token = Uuid::new_v4().simple().to_string();
        let expression = match expression.strip_prefix("SET ") {
            Some(rest) => format!("SET write_token = :write_token, {rest}"),
            None => format!("SET write_token = :write_token {expression}"),
        };
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(attributes(&key)))
            .update_expression(expression)
            .condition_expression(condition)
            .set_expression_attribute_values(Some(change.values))
            .expression_attribute_values(":write_token", AttributeValue::S(token.clone()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = self.insist(|| request.clone().send(), passing).await? else { return Ok(Ok(())) };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                let old = failed.item().filter(|old| !old.is_empty()).cloned().map(Item::read).transpose()?;
                let token_of = |old: &Item| old.some_text("write_token").ok().flatten().map(str::to_owned);
                let own = old.as_ref().and_then(token_of).is_some_and(|written| written == token);
                Ok(if own { Ok(()) } else { Err(old) })
            }
            _ => Err(unavailable(error)),
        }
    }

    pub(super) async fn read<T, E, F>(&self, ask: impl Fn() -> F) -> Result<T>
    where
        E: ProvideErrorMetadata,
        F: Future<Output = std::result::Result<T, SdkError<E>>>,
    {
        self.insist(ask, passing).await?.map_err(unavailable)
    }

    /// Asks until an answer stands, for as long as patience lasts. A write that is asked for again must recognise its
    /// own earlier success.
    async fn insist<T, E, F>(
        &self,
        ask: impl Fn() -> F,
        passing: impl Fn(&SdkError<E>) -> Option<&'static str>,
    ) -> Result<std::result::Result<T, SdkError<E>>>
    where
        F: Future<Output = std::result::Result<T, SdkError<E>>>,
    {
        let mut patience = Patience::new(self.patience);
        loop {
            let answer = ask().await;
            match answer.as_ref().err().and_then(&passing) {
                Some(why) => patience.wait(why).await?,
                None => return Ok(answer),
            }
        }
    }
}

/// What of a cancelled transaction was refused for good, and what stood there.
fn refused_parts(reasons: &[CancellationReason]) -> Result<Vec<Refusal>> {
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
    Ok(refused)
}
