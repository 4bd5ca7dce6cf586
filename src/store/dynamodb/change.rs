//! One item's part of a write, and the condition that it holds under.

use super::{
    calls::{attributes, malformed},
    item::Item,
    table::Key,
};
use crate::store::Result;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
    Update,
};
use std::collections::HashMap;

/// One item's part of a write.
#[derive(Clone)]
pub(super) struct Change {
    pub(super) what: What,
    pub(super) condition: Option<String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

/// What is done to the item.
#[derive(Clone)]
pub(super) enum What {
    Put(Item),
    Update(Key, String),
    Delete(Key),
    Check(Key),
}

impl Change {
    pub(super) fn put(item: Item) -> Self {
        Self::new(What::Put(item))
    }

    /// Puts an item that must not exist yet.
    pub(super) fn insert(item: Item) -> Self {
        Self::put(item).when("attribute_not_exists(pk)")
    }

    pub(super) fn update(key: Key, expression: impl Into<String>) -> Self {
        Self::new(What::Update(key, expression.into()))
    }

    pub(super) fn delete(key: Key) -> Self {
        Self::new(What::Delete(key))
    }

    pub(super) fn check(key: Key) -> Self {
        Self::new(What::Check(key))
    }

    fn new(what: What) -> Self {
        Self { what, condition: None, values: HashMap::new() }
    }

    pub(super) fn when(mut self, condition: impl Into<String>) -> Self {
        self.condition = Some(condition.into());
        self
    }

    pub(super) fn with(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.insert(format!(":{name}"), value);
        self
    }

    pub(super) fn into_part(self, table: &str) -> Result<TransactWriteItem> {
        let old = ReturnValuesOnConditionCheckFailure::AllOld;
        let values = (!self.values.is_empty()).then_some(self.values);
        let part = TransactWriteItem::builder();
        let part = match self.what {
            What::Put(item) => part.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(item.0))
                    .set_condition_expression(self.condition)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(old)
                    .build()
                    .map_err(malformed)?,
            ),
            What::Update(key, expression) => part.update(
                Update::builder()
                    .table_name(table)
                    .set_key(Some(attributes(&key)))
                    .update_expression(expression)
                    .set_condition_expression(self.condition)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(old)
                    .build()
                    .map_err(malformed)?,
            ),
            What::Delete(key) => part.delete(
                Delete::builder()
                    .table_name(table)
                    .set_key(Some(attributes(&key)))
                    .set_condition_expression(self.condition)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(old)
                    .build()
                    .map_err(malformed)?,
            ),
            What::Check(key) => part.condition_check(
                ConditionCheck::builder()
                    .table_name(table)
                    .set_key(Some(attributes(&key)))
                    .set_condition_expression(self.condition)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(old)
                    .build()
                    .map_err(malformed)?,
            ),
        };
        Ok(part.build())
    }
}
