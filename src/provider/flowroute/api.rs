//! The transport to Flowroute's API: address, credentials, HTTP client.

use super::{version::ApiVersion, webhook::MESSAGE_PARAMETER};
use crate::{
    domain::MessageId,
    limits,
    net::{self, Reconnecting},
};
use reqwest::{Method, RequestBuilder, Response};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// How the client reaches Flowroute.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// The base address, normally `https://api.flowroute.com`.
    pub url: Url,
    /// The version of the API.
    pub version: ApiVersion,
    /// The user of the Basic authentication.
    pub access_key: SecretString,
    /// Its password.
    pub secret_key: SecretString,
    /// Where Flowroute reaches us: with it, delivery receipts are requested (docs/flowroute.md#receipts).
    pub public_url: Option<Url>,
    /// The token of the webhook.
    pub webhook_token: Option<SecretString>,
    /// The process may be frozen between two sends, as in Lambda, so its pooled connections may be stale.
    pub may_freeze: bool,
}

impl ClientOptions {
    /// The callback URL for this message's receipts. It has our id, because receipts have Flowroute's id only, which we do not
    /// know of a message with an unknown outcome.
    pub(super) fn receipts_to(&self, message: MessageId) -> Option<Url> {
        let mut url = self.public_url.clone()?;
        let path = format!("{}/", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url.query_pairs_mut().append_pair(MESSAGE_PARAMETER, &message.to_string());
        if let Some(token) = &self.webhook_token {
            url.query_pairs_mut().append_pair("token", token.expose_secret());
        }
        Some(url)
    }
}

/// The HTTP client cannot be made.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot set up the HTTP client for Flowroute: {0}")]
pub struct BuildError(String);

/// Flowroute's API.
#[derive(Debug)]
pub(super) struct Api {
    http: Reconnecting<Result<reqwest::Client, BuildError>>,
    pub(super) options: ClientOptions,
}

impl Api {
    pub(super) fn new(options: ClientOptions) -> Result<Self, BuildError> {
        let http = Reconnecting::new(options.may_freeze.then_some(limits::MAX_IDLE), make_client);
        http.client()?;
        Ok(Self { http, options })
    }

    /// The address of a path of the API.
    pub(super) fn address(&self, path: &str) -> Result<Url, BuildError> {
        let address = format!("{}/{path}", self.options.url.as_str().trim_end_matches('/'));
        Url::parse(&address).map_err(|e| BuildError(e.to_string()))
    }

    /// A request with our credentials.
    pub(super) fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, BuildError> {
        let ClientOptions { access_key, secret_key, .. } = &self.options;
        let request = self.http.client()?.request(method, url);
        Ok(request.basic_auth(access_key.expose_secret(), Some(secret_key.expose_secret())))
    }

    /// Opens a connection, by a request without credentials.
    pub(super) async fn connect(&self) {
        let Ok(http) = self.http.client() else { return };
        // Any response leaves a pooled connection.
        if let Err(error) = http.head(self.options.url.clone()).send().await {
            tracing::debug!(error = %error.without_url(), "no connection to Flowroute yet");
        }
    }
}

fn make_client() -> Result<reqwest::Client, BuildError> {
    net::builder(limits::FLOWROUTE_CONNECT)
        .map_err(|e| BuildError(e.to_string()))?
        .user_agent(concat!("sms-proxy/", env!("CARGO_PKG_VERSION")))
        .pool_idle_timeout(limits::FLOWROUTE_IDLE)
        .build()
        .map_err(|e| BuildError(e.to_string()))
}

/// The response's body, cut off at the limit.
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
