//! Sends texts through Flowroute's API (FLOWROUTE.md 1).

use super::{list, scrub::scrub, webhook::short};
use crate::{
    domain::{MessageId, Outbound},
    fresh::{self, Fresh},
    http_client,
    provider::{ListError, Listed, NotTaken, Provider, SendError},
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use reqwest::{RequestBuilder, Response, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::{str::FromStr, time::Duration};
use url::Url;

/// How long opening a connection may take (DESIGN.md 3, Times).
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// How long an unused connection is kept. Short, since a text that is written into a dead one is *unknown*.
const IDLE_LIMIT: Duration = Duration::from_secs(20);
/// How much of an answer is read; Flowroute's take a few hundred bytes.
const ANSWER_LIMIT: usize = 64 * 1024;
/// The error code of a recipient who has opted out (FLOWROUTE.md 5).
const OPTED_OUT: &str = "1110";

/// Which form of Flowroute's API a text is sent in (FLOWROUTE.md 1.1 to 1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiVersion {
    /// The flat form of 2016. It has no media: their addresses follow the text, one a line.
    V2,
    /// JSON:API, the default of new accounts.
    V2_1,
    /// As `V2_1`, with prices in the answer.
    V2_2,
}

/// A name that is no version of the API.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("expected v2.1, v2.2 or v2")]
pub struct UnknownApiVersion;

impl FromStr for ApiVersion {
    type Err = UnknownApiVersion;

    fn from_str(name: &str) -> Result<Self, UnknownApiVersion> {
        match name {
            "v2" => Ok(Self::V2),
            "v2.1" => Ok(Self::V2_1),
            "v2.2" => Ok(Self::V2_2),
            _ => Err(UnknownApiVersion),
        }
    }
}

impl ApiVersion {
    fn path(self) -> &'static str {
        match self {
            Self::V2 => "v2/messages",
            Self::V2_1 => "v2.1/messages",
            Self::V2_2 => "v2.2/messages",
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::V2 => "application/json",
            Self::V2_1 | Self::V2_2 => "application/vnd.api+json",
        }
    }

    /// The request's body (FLOWROUTE.md 1.2).
    fn body(self, message: &Outbound, receipts_to: Option<Url>) -> Value {
        let text = &message.text;
        let (to, from) = (text.to.digits(), text.from.digits());
        let media = &text.content.media_urls;
        if self == Self::V2 {
            let lines = std::iter::once(&text.content.body).chain(media).filter(|line| !line.is_empty());
            let body = lines.map(String::as_str).collect::<Vec<_>>().join("\n");
            // The documentation says `body`, Flowroute's own v2 clients send `content`: FLOWROUTE.md 10.1.
            return json!({"to": to, "from": from, "body": body, "content": body});
        }
        let mut attributes = json!({"to": to, "from": from});
        if !text.content.body.is_empty() {
            attributes["body"] = text.content.body.as_str().into();
        }
        if !media.is_empty() {
            attributes["is_mms"] = true.into();
            attributes["media_urls"] = media.as_slice().into();
        }
        if let Some(url) = receipts_to {
            attributes["dlr_callback"] = url.as_str().into();
        }
        json!({"data": {"type": "message", "attributes": attributes}})
    }
}

/// How the client reaches Flowroute.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// The base address, normally `https://api.flowroute.com`.
    pub url: Url,
    /// The form of the API.
    pub version: ApiVersion,
    /// The user of the Basic authentication.
    pub access_key: SecretString,
    /// Its password.
    pub secret_key: SecretString,
    /// Where Flowroute reaches us: with it, delivery receipts are asked for (FLOWROUTE.md 1.2, 3).
    pub public_url: Option<Url>,
    /// The token that lets Flowroute's posts in.
    pub webhook_token: Option<SecretString>,
    /// The process may be frozen between two sends, as in Lambda: connections that it kept may be dead then.
    pub may_freeze: bool,
}

impl ClientOptions {
    /// Where the receipts of this message go. They name Flowroute's id only, which is what an unknown outcome lacks:
    /// so ours is in the address.
    fn receipts_to(&self, message: MessageId) -> Option<Url> {
        let mut url = self.public_url.clone()?;
        let path = format!("{}/", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url.query_pairs_mut().append_pair("m", &message.to_string());
        if let Some(token) = &self.webhook_token {
            url.query_pairs_mut().append_pair("token", token.expose_secret());
        }
        Some(url)
    }
}

/// The HTTP client can't be made.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot set up the HTTP client for Flowroute: {0}")]
pub struct BuildError(String);

/// Flowroute's API as a [`Provider`]. Connections are kept and used again.
#[derive(Debug)]
pub struct Client {
    http: Fresh<Result<reqwest::Client, BuildError>>,
    options: ClientOptions,
    endpoint: Url,
}

impl Client {
    /// A client that has connected to nothing yet.
    ///
    /// # Errors
    /// When the address can't be joined with the API's path, or TLS can't be set up.
    pub fn new(options: ClientOptions) -> Result<Self, BuildError> {
        let http = Fresh::new(options.may_freeze.then_some(fresh::LIMIT), make_client);
        http.client()?;
        let mut client = Self { http, endpoint: options.url.clone(), options };
        client.endpoint =
            client.address(client.options.version.path()).map_err(|e| BuildError(e.to_string()))?;
        Ok(client)
    }

    /// The HTTP client to be used now.
    pub(super) fn http(&self) -> Result<reqwest::Client, BuildError> {
        self.http.client()
    }

    /// The address of a path of the API.
    pub(super) fn address(&self, path: &str) -> Result<Url, url::ParseError> {
        Url::parse(&format!("{}/{path}", self.options.url.as_str().trim_end_matches('/')))
    }

    /// The request with our credentials.
    pub(super) fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        let ClientOptions { access_key, secret_key, .. } = &self.options;
        request.basic_auth(access_key.expose_secret(), Some(secret_key.expose_secret()))
    }

    async fn refused(&self, response: Response, message: &Outbound) -> SendError {
        let status = response.status().as_u16();
        // Without a readable answer the status alone decides: nothing was sent.
        let answer = read_limited(response, ANSWER_LIMIT).await.unwrap_or_default();
        let content = &message.text.content;
        let Reason { codes, words } = explain(&answer);
        // Words that repeat a text with this number in it say nothing about the recipient.
        let own = std::iter::once(&content.body).chain(&content.media_urls).any(|part| says_opted_out(part));
        let opted_out = codes.iter().any(|code| says_opted_out(code)) || (!own && says_opted_out(&words));
        let detail = if words.is_empty() { "no reason given".into() } else { scrub(&words, content) };
        SendError::Refused { status, opted_out, detail }
    }
}

#[async_trait]
impl Provider for Client {
    async fn send(&self, message: &Outbound, limit: Duration) -> Result<String, SendError> {
        let version = self.options.version;
        let body = version.body(message, self.options.receipts_to(message.id));
        let http = self.http().map_err(|error| SendError::NotTaken {
            cause: NotTaken::NoConnection,
            detail: error.to_string(),
        })?;
        let request = self
            .authorized(http.post(self.endpoint.clone()))
            .header(header::CONTENT_TYPE, version.media_type())
            .header(header::ACCEPT, version.media_type())
            .timeout(limit)
            .body(body.to_string());
        let response = request.send().await.map_err(|error| unsent(&error))?;
        match classify(response.status()) {
            Verdict::Taken => {
                let answer = read_limited(response, ANSWER_LIMIT).await.map_err(|error| unsent(&error))?;
                id_of(&answer).ok_or_else(|| SendError::Unknown { detail: "accepted without an id".into() })
            }
            Verdict::Refused => Err(self.refused(response, message).await),
            Verdict::NotTaken(cause) => Err(SendError::NotTaken {
                cause,
                detail: format!("Flowroute answered {}", response.status()),
            }),
            Verdict::Unclear => {
                Err(SendError::Unknown { detail: format!("Flowroute answered {}", response.status()) })
            }
        }
    }

    async fn list(&self, since: DateTime<Utc>, limit: Duration) -> Result<Vec<Listed>, ListError> {
        if self.options.version == ApiVersion::V2 {
            // Its ids are of another kind than the list's (FLOWROUTE.md 1.3).
            return Err(ListError::Unsupported);
        }
        let late = || ListError::Failed("Flowroute's list of messages did not come in time".into());
        tokio::time::timeout(limit, list::read(self, since)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn connect(&self) {
        let Ok(http) = self.http() else { return };
        // Flowroute's answer does not matter: it comes over the connection that is kept.
        if let Err(error) = http.head(self.options.url.clone()).send().await {
            tracing::debug!(error = %error.without_url(), "no connection to Flowroute yet");
        }
    }
}

fn make_client() -> Result<reqwest::Client, BuildError> {
    http_client::builder(CONNECT_LIMIT)
        .map_err(|e| BuildError(e.to_string()))?
        .user_agent(concat!("sms-proxy/", env!("CARGO_PKG_VERSION")))
        .pool_idle_timeout(IDLE_LIMIT)
        .build()
        .map_err(|e| BuildError(e.to_string()))
}

enum Verdict {
    Taken,
    Refused,
    NotTaken(NotTaken),
    Unclear,
}

/// What a status says about the text (FLOWROUTE.md 1.4; DESIGN.md 3).
fn classify(status: StatusCode) -> Verdict {
    match status.as_u16() {
        200..=299 => Verdict::Taken,
        400 | 403 | 422 => Verdict::Refused,
        401 => Verdict::NotTaken(NotTaken::Credentials),
        429 | 503 => Verdict::NotTaken(NotTaken::Busy),
        // Whatever else the client's fault may be, the text was not accepted.
        300..=499 => Verdict::NotTaken(NotTaken::Misconfigured),
        _ => Verdict::Unclear,
    }
}

/// Only a connection that never came about is sure to have carried nothing.
fn unsent(error: &reqwest::Error) -> SendError {
    if error.is_connect() {
        let detail = "cannot connect to Flowroute".into();
        return SendError::NotTaken { cause: NotTaken::NoConnection, detail };
    }
    let detail = if error.is_timeout() { "no answer in time" } else { "the connection was cut" };
    SendError::Unknown { detail: detail.into() }
}

/// The answer's body, up to the limit; what is cut off there is no JSON any more.
pub(super) async fn read_limited(mut response: Response, limit: usize) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > limit {
            body.truncate(limit);
            break;
        }
    }
    Ok(body)
}

fn id_of(answer: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let id = short(answer.pointer("/data/id")?.as_str()?);
    (!id.is_empty()).then_some(id)
}

/// Why a text was refused.
struct Reason {
    /// What the errors carry as a code or a status.
    codes: Vec<String>,
    /// What they say; empty when they say nothing.
    words: String,
}

/// Reads the errors of an answer, one or several (FLOWROUTE.md 1.4, 8.11).
fn explain(answer: &[u8]) -> Reason {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let errors = match answer.get("errors").or_else(|| answer.get("error")) {
        Some(Value::Array(errors)) => errors.as_slice(),
        error => std::slice::from_ref(error.unwrap_or(&answer)),
    };
    let fields = |error: &Value, keys: &[&str]| -> Vec<String> {
        keys.iter().filter_map(|key| field(error, key)).collect()
    };
    let words = errors.iter().map(|error| fields(error, &["title", "detail", "message"]).join(": "));
    Reason {
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

/// Whether the opt-out code stands anywhere in this: where Flowroute puts it is not known (FLOWROUTE.md 10.3).
/// The end of a phone number such as 555-1110 does not count.
fn says_opted_out(text: &str) -> bool {
    let groups = text.split(|c: char| !c.is_ascii_digit() && !matches!(c, '-' | '.'));
    groups.map(|group| group.trim_matches(['-', '.'])).any(|group| group == OPTED_OUT)
}
