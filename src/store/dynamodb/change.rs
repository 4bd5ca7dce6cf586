//! One item's part of a write, and the condition that it holds under.

use super::{
    calls::{attributes, malformed},
    item::{Item, VERSION, int},
    table::Key,
};
use crate::store::Result;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
    Update,
};
use std::collections::HashMap;

/// What a newer release has written is left alone, even by a change that asks for nothing else.
const KNOWN: &str = "(attribute_not_exists(item_version) OR item_version <= :program_version)";

/// One item's part of a write.
#[derive(Clone)]
pub(super) struct Change {
    pub(super) what: What,
    condition: Option<String>,
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
        let values = HashMap::from([(":program_version".to_owned(), int(VERSION))]);
        Self { what, condition: None, values }
    }

    pub(super) fn when(mut self, condition: impl Into<String>) -> Self {
        self.condition = Some(condition.into());
        self
    }

    pub(super) fn with(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.insert(format!(":{name}"), value);
        self
    }

    /// What must hold for the change to be made.
    pub(super) fn condition(&self) -> String {
        match &self.condition {
            Some(condition) => format!("{KNOWN} AND ({condition})"),
            None => KNOWN.to_owned(),
        }
    }

    pub(super) fn into_part(self, table: &str) -> Result<TransactWriteItem> {
        let old = ReturnValuesOnConditionCheckFailure::AllOld;
        let condition = self.condition();
        let values = Some(self.values);
        let part = TransactWriteItem::builder();
        let part = match self.what {
            What::Put(item) => part.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(item.0))
                    .condition_expression(condition)
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
                    .condition_expression(condition)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(old)
                    .build()
                    .map_err(malformed)?,
            ),
            What::Delete(key) => part.delete(
                Delete::builder()
                    .table_name(table)
                    .set_key(Some(attributes(&key)))
                    .condition_expression(condition)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(old)
                    .build()
                    .map_err(malformed)?,
            ),
            What::Check(key) => part.condition_check(
                ConditionCheck::builder()
                    .table_name(table)
                    .set_key(Some(attributes(&key)))
                    .condition_expression(condition)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(old)
                    .build()
                    .map_err(malformed)?,
            ),
        };
        Ok(part.build())
    }
}
