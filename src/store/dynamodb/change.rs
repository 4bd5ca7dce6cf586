//! Writes as data: the change of one item, and its conditions.

use super::{
    item::{Attribute, Item, VERSION, Values},
    keys::Key,
    retry::malformed,
};
use crate::store::Result;
use aws_sdk_dynamodb::types::{
    ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use std::collections::BTreeMap;

/// The condition of every change: it never overwrites an item that a newer release has written.
const READABLE: &str = "attribute_not_exists(item_version) OR item_version <= :program_version";

/// The change of one item, and its conditions.
#[derive(Clone)]
pub(super) struct Change {
    action: Action,
    /// The clauses of an update expression, by their keyword.
    clauses: BTreeMap<&'static str, Vec<String>>,
    conditions: Vec<String>,
    pub(super) values: Values,
}

#[derive(Clone)]
enum Action {
    Put(Item),
    Update(Key),
    Delete(Key),
    Check(Key),
}

impl Change {
    /// Puts an item, which may replace another.
    pub(super) fn put(item: Item) -> Self {
        Self::new(Action::Put(item))
    }

    /// Puts an item that must not exist yet. As an update, so that alone it needs no transaction.
    pub(super) fn insert(key: Key, item: Item) -> Self {
        Self::update(key).set_all(item).when_absent("pk")
    }

    pub(super) fn update(key: Key) -> Self {
        Self::new(Action::Update(key))
    }

    /// Updates an item, or creates it.
    pub(super) fn upsert(key: Key) -> Self {
        let version = "item_version = if_not_exists(item_version, :program_version)";
        Self::update(key).clause("SET", version.to_owned())
    }

    pub(super) fn delete(key: Key) -> Self {
        Self::new(Action::Delete(key))
    }

    /// Changes nothing, and requires the conditions to hold.
    pub(super) fn check(key: Key) -> Self {
        Self::new(Action::Check(key))
    }

    fn new(action: Action) -> Self {
        let change = Self { action, clauses: BTreeMap::new(), conditions: Vec::new(), values: Values::new() };
        change.when(READABLE).with("program_version", VERSION)
    }

    /// Sets an attribute, or removes it if the value is empty.
    pub(super) fn set(self, name: &str, value: impl Attribute) -> Self {
        match value.write() {
            Some(value) => self.clause("SET", format!("{name} = :{name}")).with(name, value),
            None => self.remove(name),
        }
    }

    /// Sets all attributes of an item, except its key.
    pub(super) fn set_all(self, item: Item) -> Self {
        let attributes = item.0.into_iter().filter(|(name, _)| !matches!(name.as_str(), "pk" | "sk"));
        attributes.fold(self, |change, (name, value)| change.set(&name, value))
    }

    pub(super) fn remove(self, name: &str) -> Self {
        self.clause("REMOVE", name.to_owned())
    }

    /// Adds to a number or a set.
    pub(super) fn add(self, name: &str, value: impl Attribute) -> Self {
        self.clause("ADD", format!("{name} :{name}")).with(name, value)
    }

    /// Removes elements of a set.
    pub(super) fn subtract(self, name: &str, value: impl Attribute) -> Self {
        self.clause("DELETE", format!("{name} :{name}")).with(name, value)
    }

    fn clause(mut self, keyword: &'static str, clause: String) -> Self {
        self.clauses.entry(keyword).or_default().push(clause);
        self
    }

    /// The key, if this is an update.
    pub(super) fn updates(&self) -> Option<&Key> {
        match &self.action {
            Action::Update(key) => Some(key),
            _ => None,
        }
    }

    /// Requires this condition too.
    pub(super) fn when(mut self, condition: impl Into<String>) -> Self {
        self.conditions.push(condition.into());
        self
    }

    /// Requires the attribute to be absent.
    pub(super) fn when_absent(self, name: &str) -> Self {
        self.when(format!("attribute_not_exists({name})"))
    }

    /// Requires the attribute to have this value, or to be absent if the value is empty.
    pub(super) fn when_equal(self, name: &str, value: impl Attribute) -> Self {
        match value.write() {
            Some(value) => self.when(format!("{name} = :was_{name}")).with(&format!("was_{name}"), value),
            None => self.when_absent(name),
        }
    }

    /// Gives a value to the expressions.
    pub(super) fn with(mut self, name: &str, value: impl Attribute) -> Self {
        self.values.extend(value.write().map(|value| (format!(":{name}"), value)));
        self
    }

    pub(super) fn condition(&self) -> String {
        format!("({})", self.conditions.join(") AND ("))
    }

    pub(super) fn expression(&self) -> String {
        let clauses = self.clauses.iter();
        let clauses: Vec<String> =
            clauses.map(|(keyword, clauses)| format!("{keyword} {}", clauses.join(", "))).collect();
        clauses.join(" ")
    }

    /// The change as a part of a transaction.
    pub(super) fn into_part(self, table: &str) -> Result<TransactWriteItem> {
        let (expression, condition) = (self.expression(), self.condition());
        macro_rules! conditional {
            ($builder:expr) => {
                $builder
                    .table_name(table)
                    .condition_expression(condition)
                    .set_expression_attribute_values(Some(self.values))
                    .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
                    .build()
                    .map_err(malformed)?
            };
        }
        let part = TransactWriteItem::builder();
        let part = match self.action {
            Action::Put(item) => part.put(conditional!(Put::builder().set_item(Some(item.0)))),
            Action::Update(key) => part.update(conditional!(
                Update::builder().set_key(Some(key.attributes())).update_expression(expression)
            )),
            Action::Delete(key) => {
                part.delete(conditional!(Delete::builder().set_key(Some(key.attributes()))))
            }
            Action::Check(key) => {
                part.condition_check(conditional!(ConditionCheck::builder().set_key(Some(key.attributes()))))
            }
        };
        Ok(part.build())
    }
}
