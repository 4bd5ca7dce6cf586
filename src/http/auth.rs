//! Access: API keys for the management routes, a token for Flowroute's webhook.

use super::{
    attempts::Attempts,
    error::ApiError,
    keys::{Hash, Keys},
    origin,
    reason::Reason,
    refusals::Refusals,
    source::{self, Networks},
};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, header, request::Parts},
    middleware::Next,
    response::Response,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The secrets that callers must send. Without API keys the management routes are unguarded, without a token the webhook.
#[derive(Debug, Default)]
pub struct Auth {
    /// The API keys, each valid for all management routes: `key`, `name=key`, `sha256:hash` or `name=sha256:hash`.
    pub api_keys: Vec<SecretString>,
    /// The webhook token, in the callback URL as `?token=` or as the password of Basic authentication.
    pub webhook_token: Option<SecretString>,
    /// The addresses that may post to the webhook; empty: all.
    pub webhook_allowed: Networks,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Networks,
    /// Whether calls for which no secret is set must name this machine, and not come from pages of other sites.
    pub own_calls_only: bool,
}

/// Decides who is admitted.
pub(super) struct Access {
    keys: Keys,
    token: Option<Hash>,
    webhook_allowed: Networks,
    trusted_proxies: Networks,
    own_calls_only: bool,
    attempts: Attempts,
}

/// Marks the response to a caller who was admitted.
#[derive(Clone, Copy)]
pub(super) struct Admitted;

impl From<&Auth> for Access {
    fn from(auth: &Auth) -> Self {
        let token = auth.webhook_token.as_ref().map(|token| Hash::of(token.expose_secret()));
        Self {
            keys: Keys::of(&auth.api_keys),
            token,
            webhook_allowed: auth.webhook_allowed.clone(),
            trusted_proxies: auth.trusted_proxies.clone(),
            own_calls_only: auth.own_calls_only,
            attempts: Attempts::default(),
        }
    }
}

impl Access {
    /// Admits a call for which no secret is set.
    fn without_secret(&self, head: &Parts) -> Result<(), ApiError> {
        if self.own_calls_only && !origin::is_own(&head.uri, &head.headers) {
            let message = "without API_KEYS and WEBHOOK_TOKEN only programs and pages of this machine are answered, and \
                           they call a loopback address; set both to admit others";
            return Err(ApiError::new(Reason::ForeignOrigin, message));
        }
        Ok(())
    }

    /// Admits the holder of an API key, and notes which one in the log.
    fn manager(&self, head: &Parts) -> Result<(), ApiError> {
        if self.keys.is_empty() {
            return self.without_secret(head);
        }
        let given = api_key(&head.headers);
        let key = given.and_then(|key| self.keys.label(key));
        let key = key.ok_or_else(|| self.refuse(head, given.is_some(), ApiError::no_api_key()))?;
        tracing::Span::current().record("key", key);
        Ok(())
    }

    /// Admits a post with the webhook token.
    fn post(&self, head: &Parts) -> Result<(), ApiError> {
        if !self.webhook_allowed.is_empty() {
            let caller = source::address(head, &self.trusted_proxies);
            if !caller.is_some_and(|caller| self.webhook_allowed.contains(caller)) {
                let message = "this address may not post; WEBHOOK_ALLOWED_IPS has those that may, TRUSTED_PROXIES the \
                               proxies that tell addresses";
                return Err(ApiError::new(Reason::AddressNotAllowed, message));
            }
        }
        let Some(token) = &self.token else { return self.without_secret(head) };
        let is_token = |given: &str| Hash::of(given).is(token);
        let in_query = token_in_query(head.uri.query().unwrap_or_default());
        let given = in_query.or_else(|| basic_password(&head.headers));
        if given.as_deref().is_some_and(is_token) {
            return Ok(());
        }
        Err(self.refuse(head, given.is_some(), ApiError::no_webhook_token()))
    }

    /// How a call is answered that is not admitted: it may have been one wrong key too many.
    fn refuse(&self, head: &Parts, has_wrong_key: bool, refused: ApiError) -> ApiError {
        let caller = || source::address(head, &self.trusted_proxies);
        if has_wrong_key && self.attempts.are_too_many(caller()) {
            ApiError::too_many_attempts()
        } else {
            refused
        }
    }
}

/// The only value of a header. A header that is sent twice, which API Gateway may join with a comma, is not one key.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let (value, more) = (values.next()?, values.next());
    value.to_str().ok().filter(|_| more.is_none())
}

/// The key that a request presents.
fn api_key(headers: &HeaderMap) -> Option<&str> {
    if headers.contains_key(&API_KEY) { only(headers, &API_KEY) } else { credentials(headers, "Bearer") }
}

/// The only token in a query.
fn token_in_query(query: &str) -> Option<String> {
    let mut tokens = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "token");
    let (token, more) = (tokens.next()?.1, tokens.next());
    more.is_none().then(|| token.into_owned())
}

/// What follows the scheme in the `Authorization` header; the scheme's case does not matter.
fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let (given, rest) = only(headers, &header::AUTHORIZATION)?.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

fn basic_password(headers: &HeaderMap) -> Option<String> {
    let pair = BASE64_STANDARD.decode(credentials(headers, "Basic")?).ok()?;
    let pair = String::from_utf8(pair).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

/// What a caller needs to use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// An API key, if keys are set.
    ApiKey,
    /// The webhook token, if it is set.
    WebhookToken,
    /// Nothing.
    Open,
}

impl Guard {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::ApiKey, Self::WebhookToken, Self::Open];
}

/// Refuses a request that does not have what the guard asks for.
pub(super) async fn admit(
    State((access, refusals, guard)): State<(Arc<Access>, Arc<Refusals>, Guard)>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let admitted = match guard {
        Guard::ApiKey => access.manager(&head),
        Guard::WebhookToken => access.post(&head).inspect_err(|refused| refusals.warn(refused)),
        Guard::Open if access.keys.is_empty() => access.without_secret(&head),
        Guard::Open => Ok(()),
    };
    admitted?;
    let mut response = next.run(Request::from_parts(head, body)).await;
    if guard != Guard::Open {
        response.extensions_mut().insert(Admitted);
    }
    Ok(response)
}
