//! Reads request bodies: bounded in size and time, and strictly where the sender is a client of the API.

use super::error::ApiError;
use crate::domain::Number;
use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Value, error::Category};
use std::{fmt, time::Duration};

/// How long a client may take to send a body.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(10);
/// The largest body of a management call.
const MANAGEMENT_LIMIT: usize = 16 * 1024;

/// Reads a body of at most `limit` bytes.
pub(super) async fn read(body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let whole = Limited::new(body, limit).collect();
    match tokio::time::timeout(TIME_LIMIT, whole).await {
        Ok(Ok(bytes)) => Ok(bytes.to_bytes().into()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::too_large(limit)),
        Ok(Err(_)) => Err(ApiError::bad_request("incomplete_body", "the body ended early; send it again")),
        Err(_) => Err(ApiError::too_slow()),
    }
}

/// The declared media type, without parameters.
pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
    let declared = headers.get(header::CONTENT_TYPE)?.to_str().unwrap_or("unreadable");
    Some(declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// The fields of a management call's JSON object, taken one by one.
#[derive(Debug)]
pub(super) struct Fields(Vec<(String, Value)>);

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (head, body) = request.into_parts();
        let body = read(body, MANAGEMENT_LIMIT).await?;
        if !body.is_empty() && media_type(&head.headers).as_deref() != Some("application/json") {
            return Err(ApiError::unsupported_media_type("application/json"));
        }
        let malformed = |error: serde_json::Error| {
            let problem = match error.classify() {
                _ if body.is_empty() => "the body is empty".to_owned(),
                Category::Data => "the body is not a JSON object, or has a field twice".to_owned(),
                _ => format!("the body is not JSON (line {}, column {})", error.line(), error.column()),
            };
            ApiError::bad_request("malformed_json", format!("{problem}; expected is a JSON object"))
        };
        serde_json::from_slice(&body).map_err(malformed)
    }
}

impl Fields {
    /// Refuses fields other than these: a misspelt one must not be passed over.
    pub(super) fn allow(self, names: &[&str]) -> Result<Self, ApiError> {
        match self.0.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            None => Ok(self),
            Some(_) => {
                let known = names.join(", ");
                Err(ApiError::bad_request(
                    "unknown_field",
                    format!("the body has an unknown field; known are: {known}"),
                ))
            }
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    fn require(&self, name: &str) -> Result<&Value, ApiError> {
        self.get(name).ok_or_else(|| ApiError::bad_request("missing_field", format!("{name} is missing")))
    }

    /// A phone number: a string of 11 digits, with or without a leading `+`, or a JSON integer.
    pub(super) fn number(&self, name: &str) -> Result<Number, ApiError> {
        let number = match self.require(name)? {
            Value::String(text) => text.parse(),
            Value::Number(number) if number.is_u64() => number.as_u64().unwrap_or_default().try_into(),
            _ => {
                let message =
                    format!("{name} is neither a string nor an integer; expected 11 digits beginning with 1");
                return Err(ApiError::bad_request("invalid_number", message));
            }
        };
        number.map_err(|problem| ApiError::invalid_number(name, problem))
    }

    pub(super) fn string(&self, name: &str) -> Result<&str, ApiError> {
        let wrong = || ApiError::bad_request("wrong_type", format!("{name} is not a string"));
        self.require(name)?.as_str().ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields: Vec<(String, Value)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if fields.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom("the body has a field twice"));
                    }
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Object)
    }
}
