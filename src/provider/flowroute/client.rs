//! Sends messages through Flowroute's API (docs/flowroute.md#sending).

use super::{
    api::{Api, BuildError, ClientOptions, read_limited},
    list,
    refusal::refused,
    size,
    version::ApiVersion,
};
use crate::{
    domain::{Outbound, kept_id},
    limits,
    provider::{ListError, Listed, NotTaken, Provider, SendError},
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use reqwest::{Method, StatusCode, header};
use serde::Deserialize;
use std::{borrow::Cow, time::Duration};
use url::Url;

/// Flowroute as a [`Provider`]. Connections are pooled.
#[derive(Debug)]
pub struct Client {
    pub(super) api: Api,
    endpoint: Url,
}

impl Client {
    /// A client that has not connected yet.
    ///
    /// # Errors
    /// When the address cannot be joined with the API's path, or TLS cannot be set up.
    pub fn new(options: ClientOptions) -> Result<Self, BuildError> {
        let path = options.version.path();
        let api = Api::new(options)?;
        Ok(Self { endpoint: api.address(path)?, api })
    }
}

#[async_trait]
impl Provider for Client {
    fn name(&self) -> &'static str {
        "Flowroute"
    }

    fn setting(&self) -> &'static str {
        "flowroute"
    }

    fn remedy(&self) -> &'static str {
        "check FLOWROUTE_ACCESS_KEY, FLOWROUTE_SECRET_KEY, FLOWROUTE_API_URL and the account"
    }

    async fn send(&self, message: &Outbound, limit: Duration) -> Result<String, SendError> {
        let options = &self.api.options;
        size::check(options.version, message)?;
        let not_sent = |detail: String| SendError::NotTaken { cause: NotTaken::NoConnection, detail };
        let body = options.version.body(message, options.receipts_to(message.id));
        let body = body.map_err(|error| not_sent(error.to_string()))?;
        let request = self
            .api
            .request(Method::POST, self.endpoint.clone())
            .map_err(|error| not_sent(error.to_string()))?
            .header(header::CONTENT_TYPE, options.version.media_type())
            .header(header::ACCEPT, options.version.media_type())
            .timeout(limit)
            .body(body);
        let response = request.send().await.map_err(|error| unsent(&error))?;
        match classify(response.status()) {
            StatusVerdict::Taken => {
                let body = read_limited(response, limits::FLOWROUTE_RESPONSE)
                    .await
                    .map_err(|error| unsent(&error))?;
                id_of(&body).ok_or_else(|| SendError::Unknown { detail: "accepted without an id".into() })
            }
            StatusVerdict::Refused => {
                let status = response.status().as_u16();
                let body = read_limited(response, limits::FLOWROUTE_RESPONSE).await.unwrap_or_default();
                Err(refused(status, &body, message, [&options.access_key, &options.secret_key]))
            }
            StatusVerdict::NotTaken(cause) => Err(SendError::NotTaken {
                cause,
                detail: format!("Flowroute answered {}", response.status()),
            }),
            StatusVerdict::Unclear => {
                Err(SendError::Unknown { detail: format!("Flowroute answered {}", response.status()) })
            }
        }
    }

    async fn list(&self, since: DateTime<Utc>, limit: Duration) -> Result<Vec<Listed>, ListError> {
        if self.api.options.version == ApiVersion::V2 {
            // Its ids differ in kind from the list's (docs/flowroute.md#message-list).
            return Err(ListError::Unsupported);
        }
        let timed_out = || ListError::Failed("Flowroute's message list timed out".into());
        tokio::time::timeout(limit, list::read(&self.api, since)).await.unwrap_or_else(|_| Err(timed_out()))
    }

    async fn connect(&self) {
        self.api.connect().await;
    }
}

/// What a response's status says about the message.
enum StatusVerdict {
    Taken,
    Refused,
    NotTaken(NotTaken),
    Unclear,
}

/// Classifies a status (docs/flowroute.md#errors, docs/reliability.md#outcomes).
fn classify(status: StatusCode) -> StatusVerdict {
    match status.as_u16() {
        200..=299 => StatusVerdict::Taken,
        400 | 403 | 422 => StatusVerdict::Refused,
        401 => StatusVerdict::NotTaken(NotTaken::Credentials),
        429 | 503 => StatusVerdict::NotTaken(NotTaken::Busy),
        // Any other fault of the client: the message was not accepted.
        300..=499 => StatusVerdict::NotTaken(NotTaken::Misconfigured),
        _ => StatusVerdict::Unclear,
    }
}

/// Only if no connection was made is it certain that nothing was sent.
fn unsent(error: &reqwest::Error) -> SendError {
    if error.is_connect() {
        let detail = "cannot connect to Flowroute".into();
        return SendError::NotTaken { cause: NotTaken::NoConnection, detail };
    }
    let detail = if error.is_timeout() { "timed out" } else { "the connection was closed" };
    SendError::Unknown { detail: detail.into() }
}

/// The id in a response.
fn id_of(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Taken<'a> {
        #[serde(borrow)]
        data: Data<'a>,
    }
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow)]
        id: Cow<'a, str>,
    }
    let taken: Taken<'_> = serde_json::from_slice(body).ok()?;
    let id = kept_id(&taken.data.id);
    (!id.is_empty()).then_some(id)
}
