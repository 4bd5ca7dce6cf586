//! Turns errors into responses, and logs each failure once.

use super::reason::Reason;
use crate::{
    domain::{InvalidNumber, NotAllowed},
    limits,
    provider::flowroute::Unreadable,
    service::Error,
    telemetry::metrics::{Event, count},
};
use axum::{
    Json,
    extract::rejection::PathRejection,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::fmt;

/// An error response: what went wrong and what to do, and a code for programs.
#[derive(Debug)]
pub(super) struct ApiError {
    reason: Reason,
    message: String,
    challenge: Option<&'static str>,
}

#[derive(Serialize)]
struct Body<'a> {
    message: &'a str,
    reason: &'a str,
}

impl ApiError {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), challenge: None }
    }

    pub(super) fn reason(&self) -> Reason {
        self.reason
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn invalid_number(field: &str, problem: InvalidNumber) -> Self {
        Self::new(Reason::InvalidNumber, format!("{field} {problem}"))
    }

    pub(super) fn not_found() -> Self {
        Self::new(Reason::NotFound, "there is nothing at this path")
    }

    pub(super) fn method_not_allowed() -> Self {
        let message = "method not allowed; the Allow header lists the methods of this path";
        Self::new(Reason::MethodNotAllowed, message)
    }

    pub(super) fn no_api_key() -> Self {
        let message = "API key missing or wrong; send one of API_KEYS as x-api-key or as a Bearer token";
        Self { challenge: Some("Bearer"), ..Self::new(Reason::Unauthorized, message) }
    }

    pub(super) fn no_webhook_token() -> Self {
        let message = "webhook token missing or wrong; put WEBHOOK_TOKEN into the callback URL as ?token=… or as its password";
        let challenge = Some("Basic realm=\"sms-proxy\"");
        Self { challenge, ..Self::new(Reason::Unauthorized, message) }
    }

    pub(super) fn too_many_attempts() -> Self {
        let message = format!(
            "more than {} wrong keys or tokens in {} s came from this address; a right one is admitted",
            limits::ATTEMPTS,
            limits::ATTEMPTS_WINDOW.as_secs()
        );
        Self::new(Reason::TooManyAttempts, message)
    }

    pub(super) fn unsupported_media_type(expected: &str) -> Self {
        let message = format!("the content-type of the body must be {expected}");
        Self::new(Reason::UnsupportedMediaType, message)
    }

    pub(super) fn unsupported_content_encoding() -> Self {
        let message = "the content-encoding of the body must be gzip or deflate, or there must be none";
        Self::new(Reason::UnsupportedMediaType, message)
    }

    pub(super) fn body_too_large(limit: usize) -> Self {
        Self::new(Reason::BodyTooLarge, format!("the body is larger than {limit} bytes"))
    }

    pub(super) fn unreadable_event(flaw: &str) -> Self {
        Self::new(Reason::UnreadableEvent, format!("the gateway's event cannot be read: {flaw}"))
    }

    pub(super) fn unavailable() -> Self {
        Self::new(Reason::StoreUnavailable, "the store is unavailable; try again")
    }

    /// The request timed out. Only the store can cause this: a send has a shorter limit of its own.
    pub(super) fn timed_out() -> Self {
        store_failed("the request timed out; its work may still complete");
        Self::unavailable()
    }
}

/// Logs and counts a failure of the store that makes a request fail.
pub(super) fn store_failed(error: impl fmt::Display) {
    tracing::error!(%error, "the store failed");
    count(Event::StoreErrors);
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let reason = match &error {
            Error::DuplicateTn => Reason::DuplicateTn,
            Error::TnNotFound => Reason::TnNotFound,
            Error::TnInUse(_) => Reason::TnInUse,
            Error::TnUnavailable(_) => Reason::TnUnavailable,
            Error::TnIsParticipant => Reason::TnIsParticipant,
            Error::NumberNotAllowed { why: NotAllowed::Impossible(_), .. } => Reason::InvalidNumber,
            Error::NumberNotAllowed { .. } => Reason::NumberNotAllowed,
            Error::SameParticipant => Reason::SameParticipant,
            Error::ParticipantIsTn(_) => Reason::ParticipantIsTn,
            Error::ParticipantOptedOut(_) => Reason::ParticipantOptedOut,
            Error::KeyReused => Reason::IdempotencyKeyReused,
            Error::NoTnAvailable => Reason::NoTnAvailable,
            Error::SessionNotFound | Error::SessionNotStored => Reason::SessionNotFound,
            Error::NotOptedOut => Reason::OptOutNotFound,
            Error::ProviderRejected { .. } => Reason::ProviderRejected,
            Error::Store(failure) => {
                store_failed(failure);
                if failure.is_retryable() {
                    return Self::unavailable();
                }
                // 503 so that Flowroute sends the text again: the right release may be deployed by then.
                let message =
                    "the store holds data that this release cannot read; look up the x-request-id in the log";
                return Self::new(Reason::StoreUnavailable, message);
            }
            Error::Contention => {
                store_failed(&error);
                return Self::unavailable();
            }
            Error::TimedOut => return Self::timed_out(),
            Error::Crashed => Reason::InternalError,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<PathRejection> for ApiError {
    fn from(_: PathRejection) -> Self {
        Self::not_found()
    }
}

impl From<Unreadable> for ApiError {
    fn from(error: Unreadable) -> Self {
        let reason = match error {
            Unreadable::NotJson => Reason::MalformedJson,
            Unreadable::NotObject(_) | Unreadable::NoText(_) => Reason::WrongType,
            Unreadable::Missing(_) => Reason::MissingField,
            Unreadable::NoNumber(_) => Reason::InvalidNumber,
        };
        Self::new(reason, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Json(Body { message: &self.message, reason: self.reason.as_str() });
        let mut response = (self.reason.status(), body).into_response();
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if self.reason == Reason::TooManyAttempts {
            let seconds = limits::ATTEMPTS_WINDOW.as_secs();
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(self.reason);
        response
    }
}
