//! Reads Flowroute's message list completely, or fails (docs/flowroute.md#message-list).

use super::api::{Api, read_limited};
use crate::{
    domain::{Number, kept_id},
    limits,
    provider::{ListError, Listed},
};
use chrono::{DateTime, Utc};
use reqwest::{Method, StatusCode, header};
use serde_json::Value;
use url::Url;

/// The number of rows on a page.
const PAGE_ROWS: &str = "100";

/// Reads every page since then, following the links.
pub(super) async fn read(api: &Api, since: DateTime<Utc>) -> Result<Vec<Listed>, ListError> {
    let mut url = api.address("v2.1/messages").map_err(|_| failed("has no valid address"))?;
    let start = since.format("%Y-%m-%dT%H:%M:%S+00:00").to_string();
    url.query_pairs_mut().append_pair("start_date", &start).append_pair("limit", PAGE_ROWS);
    let mut rows = Vec::new();
    for _ in 0..limits::LIST_PAGES {
        let page = page(api, url.clone()).await?;
        let data =
            page.get("data").and_then(Value::as_array).ok_or_else(|| failed("has a page without data"))?;
        for row in data {
            rows.extend(outbound(row)?);
        }
        match page.pointer("/links/next") {
            None | Some(Value::Null) => return Ok(rows),
            Some(next) => url = follow(&url, next).ok_or_else(|| failed("links to another host"))?,
        }
    }
    Err(failed("does not end"))
}

async fn page(api: &Api, url: Url) -> Result<Value, ListError> {
    let request = api.request(Method::GET, url).map_err(|error| ListError::Failed(error.to_string()))?;
    let request = request.header(header::ACCEPT, "application/json").timeout(limits::LIST_PAGE);
    let response = request.send().await.map_err(|_| failed("could not be reached"))?;
    if response.status() != StatusCode::OK {
        return Err(failed(&format!("was answered with {}", response.status())));
    }
    let body = read_limited(response, limits::LIST_PAGE_SIZE).await.map_err(|_| failed("was cut off"))?;
    serde_json::from_slice(&body).map_err(|_| failed("has a page that is not JSON"))
}

/// The next page's address: our credentials go to Flowroute only.
fn follow(from: &Url, next: &Value) -> Option<Url> {
    let next = from.join(next.as_str()?).ok()?;
    (next.origin() == from.origin()).then_some(next)
}

/// Reads a row of an outbound message to a number that we can text; `None` for other rows.
fn outbound(row: &Value) -> Result<Option<Listed>, ListError> {
    let attributes = row.get("attributes").ok_or_else(|| failed("has a row without attributes"))?;
    let text = |key: &str| attributes.get(key).and_then(Value::as_str);
    if text("direction").is_some_and(|direction| direction != "outbound") {
        return Ok(None);
    }
    let number = |key: &str| -> Option<Number> {
        match attributes.get(key)? {
            Value::String(digits) => digits.parse().ok(),
            Value::Number(number) => number.as_u64()?.try_into().ok(),
            _ => None,
        }
    };
    let (Some(from), Some(to)) = (number("from"), number("to")) else { return Ok(None) };
    let id = row.get("id").and_then(Value::as_str).map(kept_id).filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| failed("has a row without an id"))?;
    let sent_at = text("timestamp").and_then(|time| DateTime::parse_from_rfc3339(time).ok());
    Ok(Some(Listed {
        id,
        from,
        to,
        body: text("body").unwrap_or_default().to_owned(),
        sent_at: sent_at.map(|time| time.to_utc()),
    }))
}

fn failed(what: &str) -> ListError {
    ListError::Failed(format!("Flowroute's message list {what}"))
}
