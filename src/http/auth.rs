//! Access: API keys for the management routes, a token for Flowroute's webhook.

use super::error::ApiError;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::Response,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// The secrets that callers must send. Without API keys the management routes are unguarded, without a token the webhook.
#[derive(Debug, Default)]
pub struct Auth {
    /// The API keys, each valid for all management routes.
    pub api_keys: Vec<SecretString>,
    /// The webhook token, in the callback URL as `?token=` or as the password of Basic authentication.
    pub webhook_token: Option<SecretString>,
}

fn equal(given: &str, secret: &SecretString) -> bool {
    given.as_bytes().ct_eq(secret.expose_secret().as_bytes()).into()
}

impl Auth {
    fn admits(&self, headers: &HeaderMap) -> bool {
        let key = headers.get("x-api-key").and_then(|value| value.to_str().ok());
        let given = key.or_else(|| credentials(headers, "Bearer"));
        // All keys are compared, so that the time taken reveals nothing about them.
        self.api_keys.is_empty()
            || given.is_some_and(|given| self.api_keys.iter().fold(false, |any, key| any | equal(given, key)))
    }

    /// Whether a webhook call with this query and these headers has the token, if one is set.
    pub(super) fn admits_webhook(&self, query: Option<&str>, headers: &HeaderMap) -> bool {
        let Some(token) = &self.webhook_token else { return true };
        let in_query = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
            .any(|(name, value)| name == "token" && equal(&value, token));
        in_query || basic_password(headers).is_some_and(|password| equal(&password, token))
    }
}

/// What follows the scheme in the `Authorization` header; the scheme's case does not matter.
fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let (given, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

fn basic_password(headers: &HeaderMap) -> Option<String> {
    let pair = BASE64_STANDARD.decode(credentials(headers, "Basic")?).ok()?;
    let pair = String::from_utf8(pair).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

/// Refuses a request without a valid API key, if keys are set.
pub(super) async fn require_api_key(
    State(auth): State<Arc<Auth>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if auth.admits(request.headers()) { Ok(next.run(request).await) } else { Err(ApiError::no_api_key()) }
}
