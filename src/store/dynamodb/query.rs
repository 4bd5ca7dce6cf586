//! Queries: the items of a partition, page by page.

use super::{
    calls::Calls,
    item::{Attribute, Item, Values},
    keys::Index,
};
use crate::store::{Result, skip_unreadable};
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;

/// The page size of a query with a limit, after items of its first page were dropped.
const FURTHER_PAGE: i32 = 500;

/// Selects items of a partition. Reads of the table are consistent, those of an index are not.
#[derive(Debug, Clone)]
pub(super) struct Query<'a> {
    calls: &'a Calls,
    index: &'static Index,
    request: QueryFluentBuilder,
    page: Option<i32>,
    enough: usize,
}

impl Calls {
    /// All items of this partition of the table or of an index.
    pub(super) fn query(&self, index: &'static Index, pk: impl Into<String>) -> Query<'_> {
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .set_index_name(index.name.map(str::to_owned))
            .consistent_read(index.name.is_none())
            .key_condition_expression(format!("{} = :pk", index.pk));
        Query { calls: self, index, request, page: None, enough: usize::MAX }.with("pk", pk.into())
    }
}

impl Query<'_> {
    /// Only those whose sort key satisfies this comparison, such as `> :sk`.
    fn range(mut self, comparison: &str) -> Self {
        let Index { pk, sk, .. } = self.index;
        self.request = self.request.key_condition_expression(format!("{pk} = :pk AND {sk} {comparison}"));
        self
    }

    /// Only those whose sort key is `>`, `>=`, `<` or `<=` this.
    pub(super) fn sk(self, comparator: &str, sk: impl Into<String>) -> Self {
        self.range(&format!("{comparator} :sk")).with("sk", sk.into())
    }

    /// Only those whose sort key is one of these or between them.
    pub(super) fn between(self, from: impl Into<String>, until: impl Into<String>) -> Self {
        self.range("BETWEEN :sk AND :until").with("sk", from.into()).with("until", until.into())
    }

    /// Only those that pass this filter. The others are read, and not transferred.
    pub(super) fn filter(mut self, filter: &str) -> Self {
        self.request = self.request.filter_expression(filter);
        self
    }

    /// Gives a value to the expressions.
    pub(super) fn with(mut self, name: &str, value: impl Attribute) -> Self {
        if let Some(value) = value.write() {
            self.request = self.request.expression_attribute_values(format!(":{name}"), value);
        }
        self
    }

    /// Only these attributes; `item_version` must be among them.
    pub(super) fn only(mut self, attributes: &str) -> Self {
        self.request = self.request.projection_expression(attributes);
        self
    }

    pub(super) fn backwards(mut self, backwards: bool) -> Self {
        self.request = self.request.scan_index_forward(!backwards);
        self
    }

    /// Stops when at least `limit` are found, if there is a limit; some more may be returned.
    pub(super) fn limit(self, limit: impl Into<Option<usize>>) -> Self {
        let limit = limit.into();
        let page = limit.and_then(|limit| limit.try_into().ok());
        Self { page, enough: limit.unwrap_or(usize::MAX), ..self }
    }

    /// With a limit: the first page has at least this size.
    pub(super) fn min_page(self, size: i32) -> Self {
        Self { page: self.page.map(|page| page.max(size)), ..self }
    }

    pub(super) async fn items(self) -> Result<Vec<Item>> {
        self.map(Ok).await
    }

    /// Those that this version can read.
    pub(super) async fn readable(self) -> Result<Vec<Item>> {
        self.keep(|item| skip_unreadable(Item::read(item))).await
    }

    /// Their number. Only their versions are transferred.
    pub(super) async fn count(self) -> Result<u64> {
        Ok(self.only("item_version").map(|_| Ok(())).await?.len() as u64)
    }

    /// The items, each converted.
    pub(super) async fn map<T>(self, mut convert: impl FnMut(Item) -> Result<T>) -> Result<Vec<T>> {
        self.keep(|item| convert(Item::read(item)?).map(Some)).await
    }

    /// The items that are converted to something.
    pub(super) async fn keep<T>(
        self,
        mut convert: impl FnMut(Values) -> Result<Option<T>>,
    ) -> Result<Vec<T>> {
        let (mut page, mut after, mut kept) = (self.page, None, Vec::new());
        loop {
            let request = self.request.clone().set_limit(page).set_exclusive_start_key(after);
            let response = self.calls.read(|| request.clone().send()).await?;
            for item in response.items.unwrap_or_default() {
                kept.extend(convert(item)?);
            }
            after = response.last_evaluated_key;
            if after.is_none() || kept.len() >= self.enough {
                return Ok(kept);
            }
            page = page.map(|page| page.max(FURTHER_PAGE));
        }
    }

    pub(super) async fn one_page(self, size: i32) -> Result<Vec<Item>> {
        let request = self.request.limit(size);
        let response = self.calls.read(|| request.clone().send()).await?;
        response.items.unwrap_or_default().into_iter().map(Item::read).collect()
    }
}
