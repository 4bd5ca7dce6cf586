//! Reads request bodies, limited in size and time.
//!
//! `tower-http` is not used: its responses 413 and 408 are not our JSON errors.

use super::{error::ApiError, fields::Fields, reason::Reason};
use crate::limits;
use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::error::Category;

/// The size limit of a management call's body, in bytes.
const MANAGEMENT_LIMIT: usize = 16 * 1024;

/// Reads a body of at most `limit` bytes.
pub(super) async fn read(body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let whole = Limited::new(body, limit).collect();
    match tokio::time::timeout(limits::REQUEST_BODY, whole).await {
        Ok(Ok(bytes)) => Ok(bytes.to_bytes().into()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::body_too_large(limit)),
        Ok(Err(_)) => Err(ApiError::new(Reason::IncompleteBody, "the body is incomplete; send it again")),
        Err(_) => Err(ApiError::new(Reason::BodyTooSlow, "request body timed out; send it again")),
    }
}

/// The declared media type, without parameters.
pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
    let declared = headers.get(header::CONTENT_TYPE)?.to_str().unwrap_or("unreadable");
    Some(declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// The body of a management call.
pub(super) trait Payload: Sized {
    /// The known fields. Others are refused: a misspelt `expiry_window` must not create a session without expiry.
    const FIELDS: &[&str];

    /// Reads the fields.
    fn read(fields: &Fields) -> Result<Self, ApiError>;
}

/// Extracts the [`Payload`] of a management call.
pub(super) struct Json<T>(pub(super) T);

impl<S: Send + Sync, T: Payload> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (head, body) = request.into_parts();
        let body = read(body, MANAGEMENT_LIMIT).await?;
        if !body.is_empty() && media_type(&head.headers).as_deref() != Some("application/json") {
            return Err(ApiError::unsupported_media_type("application/json"));
        }
        let fields: Fields = serde_json::from_slice(&body).map_err(|error| malformed(&body, &error))?;
        if !fields.all_in(T::FIELDS) {
            let known = T::FIELDS.join(", ");
            let message = format!("the body has an unknown field; known fields: {known}");
            return Err(ApiError::new(Reason::UnknownField, message));
        }
        T::read(&fields).map(Self)
    }
}

fn malformed(body: &[u8], error: &serde_json::Error) -> ApiError {
    let problem = match error.classify() {
        _ if body.is_empty() => "the body is empty".to_owned(),
        Category::Data => "the body is not a JSON object, or has a duplicate field".to_owned(),
        _ => format!("the body is not JSON (line {}, column {})", error.line(), error.column()),
    };
    ApiError::new(Reason::MalformedJson, format!("{problem}; expected a JSON object"))
}
