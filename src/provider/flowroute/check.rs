//! Asks Flowroute whether it accepts our keys, by a call that changes nothing.

use super::{
    api::{BuildError, read_limited},
    client::Client,
};
use crate::{limits, net};
use chrono::{DateTime, Utc};
use reqwest::{Method, header};
use serde_json::Value;

/// How Flowroute has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    /// Whether the answer is a message list, as Flowroute's is.
    pub is_list: bool,
    /// The time by Flowroute's clock.
    pub date: Option<DateTime<Utc>>,
}

/// Why Flowroute has not answered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoAnswer {
    /// It could not be asked.
    #[error("{0}")]
    Build(#[from] BuildError),
    /// It could not be reached in time.
    #[error("Flowroute cannot be reached")]
    Unreachable,
}

impl Client {
    /// Requests one row of the message list at most, with our keys.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn check(&self, now: DateTime<Utc>) -> Result<Answered, NoAnswer> {
        let mut url = self.api.address("v2.1/messages")?;
        let start = now.format("%Y-%m-%dT%H:%M:%S+00:00").to_string();
        url.query_pairs_mut().append_pair("start_date", &start).append_pair("limit", "1");
        let request = self.api.request(Method::GET, url)?.header(header::ACCEPT, "application/json");
        let response = request.timeout(limits::LIST_PAGE).send().await.map_err(|_| NoAnswer::Unreachable)?;
        let (status, date) = (response.status().as_u16(), net::date_of(&response));
        let body = read_limited(response, limits::LIST_PAGE_SIZE).await.unwrap_or_default();
        let is_list = serde_json::from_slice::<Value>(&body).is_ok_and(|body| body["data"].is_array());
        Ok(Answered { status, is_list, date })
    }
}
