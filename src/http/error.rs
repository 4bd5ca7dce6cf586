//! The one place where an error becomes an answer.

use crate::{
    domain::{InvalidNumber, Role},
    provider::flowroute::Unreadable,
    service::Error,
    store::StoreError,
};
use axum::{
    Json,
    extract::rejection::PathRejection,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// An error as the client sees it: what went wrong and what to do, and a code for programs.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    reason: &'static str,
    message: String,
    challenge: Option<&'static str>,
}

#[derive(Serialize)]
struct Body<'a> {
    message: &'a str,
    reason: &'a str,
}

impl ApiError {
    fn new(status: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { status, reason, message: message.into(), challenge: None }
    }

    pub(super) fn bad_request(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason, message)
    }

    pub(super) fn invalid_number(field: &str, problem: InvalidNumber) -> Self {
        Self::bad_request("invalid_number", format!("{field} {problem}"))
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path")
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "this path does not take this method; the Allow header names those that it takes",
        )
    }

    pub(super) fn no_api_key() -> Self {
        let message =
            "an API key is needed: send one of the service's API_KEYS as x-api-key or as a Bearer token";
        Self { challenge: Some("Bearer"), ..Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message) }
    }

    pub(super) fn no_webhook_token() -> Self {
        let message = "the webhook token is needed: put WEBHOOK_TOKEN into the callback URL as ?token=… or as its password";
        Self {
            challenge: Some("Basic realm=\"sms-proxy\""),
            ..Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
        }
    }

    pub(super) fn too_large(limit: usize) -> Self {
        let message = format!("the body is too large; at most {limit} bytes are taken");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }

    pub(super) fn too_slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_too_slow",
            "the body did not come in time; send it again",
        )
    }

    pub(super) fn unsupported_media_type(expected: &str) -> Self {
        let message = format!("the body must be declared as content-type {expected}");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
    }

    pub(super) fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "store_unavailable",
            "the store is not available; try again",
        )
    }

    /// What cannot be read now may be when the right release is deployed: Flowroute should post it again.
    fn unreadable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "store_unavailable",
            "the store holds something that this release cannot read; look for the x-request-id of this answer in its log",
        )
    }

    /// The time of the request is up. What it waits for is the store.
    pub(super) fn late() -> Self {
        tracing::error!("the request took too long; what it asked for may still happen");
        Self::unavailable()
    }

    fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "the service failed; look for the x-request-id of this answer in its log",
        )
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let bad = |reason, message: &str| Self::bad_request(reason, message);
        match error {
            Error::DuplicateTn => bad("duplicate_tn", "this TN is in the pool already"),
            Error::TnNotFound => Self::new(
                StatusCode::NOT_FOUND,
                "tn_not_found",
                "this TN is not in the pool; add it with POST /tn",
            ),
            Error::TnInUse(session) => Self::bad_request(
                "tn_in_use",
                format!("this TN is in use by session {session}; end that session first"),
            ),
            Error::TnIsParticipant => {
                bad("tn_is_participant", "this number is a participant of a live session and cannot be a TN")
            }
            Error::SameParticipant => {
                bad("same_participant", "participant_a and participant_b must be two different numbers")
            }
            Error::ParticipantIsTn(role) => {
                let field = if role == Role::A { "participant_a" } else { "participant_b" };
                Self::bad_request(
                    "participant_is_tn",
                    format!("{field} is a virtual TN of the pool and cannot be a participant"),
                )
            }
            Error::NoTnAvailable => {
                bad("no_tn_available", "Could not create session -- No virtual TNs available")
            }
            Error::SessionNotFound => {
                Self::new(StatusCode::NOT_FOUND, "session_not_found", "no live session has this id")
            }
            Error::SessionNotOnRecord => {
                Self::new(StatusCode::NOT_FOUND, "session_not_found", "no session with this id is on record")
            }
            Error::ProviderRejected(detail) => Self::new(
                StatusCode::BAD_GATEWAY,
                "provider_rejected",
                format!("the session was not created: Flowroute rejected its start message: {detail}"),
            ),
            Error::Store(error) => {
                tracing::error!(%error, "the store failed");
                match error {
                    StoreError::Unavailable(_) => Self::unavailable(),
                    StoreError::Unreadable(_) => Self::unreadable(),
                }
            }
            Error::Contention => {
                tracing::error!("gave up for contention");
                Self::unavailable()
            }
            Error::Late => Self::late(),
            Error::Crashed => {
                tracing::error!("a task crashed");
                Self::internal()
            }
        }
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
            Unreadable::NotJson => "malformed_json",
            Unreadable::NotObject(_) | Unreadable::NoText(_) => "wrong_type",
            Unreadable::Missing(_) => "missing_field",
            Unreadable::NoNumber(_) => "invalid_number",
        };
        Self::bad_request(reason, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Json(Body { message: &self.message, reason: self.reason });
        let mut response = (self.status, body).into_response();
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response.extensions_mut().insert(Reason(self.reason));
        response
    }
}

/// The code of an error, for the log line of its request.
#[derive(Clone, Copy)]
pub(super) struct Reason(pub(super) &'static str);
