//! Sends messages through Flowroute's API (docs/flowroute.md#sending).

use super::{
    api::{Api, BuildError, ClientOptions, read_limited},
    list,
    scrub::scrub,
    version::ApiVersion,
    webhook::short,
};
use crate::{
    domain::{OPTED_OUT_CODE, Outbound},
    limits,
    provider::{ListError, Listed, NotTaken, Provider, SendError},
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use reqwest::{Method, Response, StatusCode, header};
use serde_json::Value;
use std::time::Duration;
use url::Url;

/// Flowroute as a [`Provider`]. Connections are pooled.
#[derive(Debug)]
pub struct Client {
    api: Api,
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

    async fn refused(&self, response: Response, message: &Outbound) -> SendError {
        let status = response.status().as_u16();
        // Without a readable body the status alone decides: nothing was sent.
        let body = read_limited(response, limits::FLOWROUTE_RESPONSE).await.unwrap_or_default();
        let content = &message.text.content;
        let Explanation { codes, words } = explain(&body);
        // If the text itself has this number, a quotation of it says nothing about the recipient.
        let own = std::iter::once(&content.body).chain(&content.media_urls).any(|part| says_opted_out(part));
        let opted_out = codes.iter().any(|code| says_opted_out(code)) || (!own && says_opted_out(&words));
        let detail = if words.is_empty() { "no reason given".into() } else { scrub(&words, content) };
        SendError::Refused { status, opted_out, detail }
    }
}

#[async_trait]
impl Provider for Client {
    fn name(&self) -> &'static str {
        "Flowroute"
    }

    fn remedy(&self) -> &'static str {
        "check FLOWROUTE_ACCESS_KEY, FLOWROUTE_SECRET_KEY, FLOWROUTE_API_URL and the account"
    }

    async fn send(&self, message: &Outbound, limit: Duration) -> Result<String, SendError> {
        let options = &self.api.options;
        let body = options.version.body(message, options.receipts_to(message.id));
        let no_client = |error: BuildError| SendError::NotTaken {
            cause: NotTaken::NoConnection,
            detail: error.to_string(),
        };
        let request = self
            .api
            .request(Method::POST, self.endpoint.clone())
            .map_err(no_client)?
            .header(header::CONTENT_TYPE, options.version.media_type())
            .header(header::ACCEPT, options.version.media_type())
            .timeout(limit)
            .body(body.to_string());
        let response = request.send().await.map_err(|error| unsent(&error))?;
        match classify(response.status()) {
            StatusVerdict::Taken => {
                let body = read_limited(response, limits::FLOWROUTE_RESPONSE)
                    .await
                    .map_err(|error| unsent(&error))?;
                id_of(&body).ok_or_else(|| SendError::Unknown { detail: "accepted without an id".into() })
            }
            StatusVerdict::Refused => Err(self.refused(response, message).await),
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

fn id_of(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let id = short(body.pointer("/data/id")?.as_str()?);
    (!id.is_empty()).then_some(id)
}

/// Why a message was refused.
struct Explanation {
    /// The codes and statuses of the errors.
    codes: Vec<String>,
    /// Their titles and details; may be empty.
    words: String,
}

/// Reads the errors of a response, one or several (docs/flowroute.md#errors).
fn explain(body: &[u8]) -> Explanation {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let errors = match body.get("errors").or_else(|| body.get("error")) {
        Some(Value::Array(errors)) => errors.as_slice(),
        error => std::slice::from_ref(error.unwrap_or(&body)),
    };
    let fields = |error: &Value, keys: &[&str]| -> Vec<String> {
        keys.iter().filter_map(|key| field(error, key)).collect()
    };
    let words = errors.iter().map(|error| fields(error, &["title", "detail", "message"]).join(": "));
    Explanation {
        codes: errors.iter().flat_map(|error| fields(error, &["code", "status"])).collect(),
        words: words.filter(|words| !words.is_empty()).collect::<Vec<_>>().join("; "),
    }
}

fn field(error: &Value, key: &str) -> Option<String> {
    match error.get(key)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Whether the opt-out code is anywhere in this text: in which field Flowroute returns it is not known
/// (docs/flowroute.md#open-questions). The end of a phone number such as 555-1110 does not count.
fn says_opted_out(text: &str) -> bool {
    let groups = text.split(|c: char| !c.is_ascii_digit() && !matches!(c, '-' | '.'));
    groups.map(|group| group.trim_matches(['-', '.'])).any(|group| group == OPTED_OUT_CODE)
}
