//! Queries: the items of a partition, page by page.

use super::{
    calls::{Calls, Values},
    item::Item,
};
use crate::store::{Result, StoreError};
use aws_sdk_dynamodb::{operation::query::builders::QueryFluentBuilder, types::AttributeValue};
use std::collections::HashMap;

/// How many items are looked at in one reading at least when some of them are filtered out.
const FILTERED: i32 = 50;

/// Which items of a partition, in the table or in an index.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    pub(super) index: Option<&'static str>,
    /// The name and value of the partition key.
    pub(super) hash: (&'static str, String),
    /// A condition on the sort key, such as `sk > :sk`, and its value.
    pub(super) range: Option<(&'static str, String)>,
    /// The value of `:until` in that condition.
    pub(super) until: Option<String>,
    /// What is left out, and the values in this condition.
    pub(super) filter: Option<(&'static str, Values)>,
    /// The attributes that are read; all of them without it. `item_version` must be among them.
    pub(super) only: Option<&'static str>,
    pub(super) backwards: bool,
    /// At most so many; with a filter, some more may come.
    pub(super) limit: Option<i32>,
}

impl Calls {
    /// The items of a partition. Reads of the table are consistent, those of an index are not.
    pub(super) async fn query(&self, query: Query) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        self.each(query, |item| {
            items.push(item);
            Ok(())
        })
        .await?;
        Ok(items)
    }

    /// Those items of a partition that this version can read, and what is wrong with another, if there is one.
    pub(super) async fn query_readable(&self, query: Query) -> Result<(Vec<Item>, Option<StoreError>)> {
        let (mut items, mut unreadable) = (Vec::new(), None);
        self.each_as_it_is(query, |item| {
            match Item::read(item) {
                Ok(item) => items.push(item),
                Err(error) => unreadable = Some(error),
            }
            Ok(())
        })
        .await?;
        Ok((items, unreadable))
    }

    /// How many items a query finds. Only their versions are transferred.
    pub(super) async fn count(&self, query: Query) -> Result<u64> {
        let mut count = 0;
        self.each(Query { only: Some("item_version"), ..query }, |_| {
            count += 1;
            Ok(())
        })
        .await?;
        Ok(count)
    }

    /// Shows the items of a partition one after the other.
    pub(super) async fn each(&self, query: Query, mut show: impl FnMut(Item) -> Result<()>) -> Result<()> {
        self.each_as_it_is(query, |item| show(Item::read(item)?)).await
    }

    async fn each_as_it_is(&self, query: Query, mut show: impl FnMut(Values) -> Result<()>) -> Result<()> {
        let mut shown = 0;
        let mut after = None;
        loop {
            let left = query.limit.map(|limit| limit - shown);
            if left.is_some_and(|left| left <= 0) {
                return Ok(());
            }
            // What the filter leaves out counts too where DynamoDB limits a reading.
            let left = left.map(|left| if query.filter.is_some() { left.max(FILTERED) } else { left });
            let request = self.request(&query).set_limit(left).set_exclusive_start_key(after);
            let answer = self.read(|| request.clone().send()).await?;
            for attributes in answer.items.unwrap_or_default() {
                shown += 1;
                show(attributes)?;
            }
            after = answer.last_evaluated_key;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    pub(super) fn request(&self, query: &Query) -> QueryFluentBuilder {
        let (hash, value) = &query.hash;
        let mut values = HashMap::from([(":hash".to_owned(), AttributeValue::S(value.clone()))]);
        let mut condition = format!("{hash} = :hash");
        if let Some((range, value)) = &query.range {
            condition += &format!(" AND {range}");
            values.insert(":range".to_owned(), AttributeValue::S(value.clone()));
        }
        if let Some(until) = &query.until {
            values.insert(":until".to_owned(), AttributeValue::S(until.clone()));
        }
        let filter = query.filter.as_ref().map(|(filter, filtered)| {
            values.extend(filtered.clone());
            (*filter).to_owned()
        });
        self.client
            .query()
            .table_name(&self.table)
            .set_index_name(query.index.map(str::to_owned))
            .consistent_read(query.index.is_none())
            .scan_index_forward(!query.backwards)
            .key_condition_expression(condition)
            .set_filter_expression(filter)
            .set_projection_expression(query.only.map(str::to_owned))
            .set_expression_attribute_values(Some(values))
    }
}
