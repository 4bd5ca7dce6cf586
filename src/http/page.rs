//! Lists and their pages.

use super::{error::ApiError, reason::Reason};
use crate::domain::{Number, Page};
use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Datelike, Timelike, Utc};
use serde::{Serialize, Serializer};
use uuid::Uuid;

/// The maximum number of items on a page.
const MAX_ITEMS: u32 = 1000;

/// The value of this name in a query.
pub(super) fn required_in_query(query: Option<&str>, name: &str) -> Result<String, ApiError> {
    let mut query = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let value = query.find(|(given, _)| given == name).map(|(_, value)| value.into_owned());
    value.ok_or_else(|| ApiError::new(Reason::MissingField, format!("{name} is missing in the query")))
}

/// The page that the query requests.
pub(super) struct PageQuery(pub(super) Page);

impl<S: Send + Sync> FromRequestParts<S> for PageQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        let mut page = Page::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MAX_ITEMS).contains(limit));
                    let wrong =
                        || ApiError::new(Reason::InvalidLimit, format!("limit must be 1 to {MAX_ITEMS}"));
                    page.limit = Some(limit.ok_or_else(wrong)?);
                }
                "after" => page.after = Some(value.into_owned()),
                _ => {}
            }
        }
        Ok(Self(page))
    }
}

/// Refuses an `after` that is not a cursor of this list.
pub(super) fn known_cursor(page: Page, is_cursor: impl Fn(&str) -> bool) -> Result<Page, ApiError> {
    match &page.after {
        Some(after) if !is_cursor(after) => {
            Err(ApiError::new(Reason::InvalidAfter, "after must be the next of the previous page"))
        }
        _ => Ok(page),
    }
}

/// The parameter in a path; 404 if it cannot be decoded.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub(super) struct PathParameter<T>(pub(super) T);

/// `next` of a page, the cursor of the following page; absent from a list that was requested without a limit.
#[derive(Serialize)]
pub(super) struct Next {
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Option<String>>,
}

impl Next {
    pub(super) fn of(limit: Option<u32>, next: Option<String>) -> Self {
        Self { next: limit.map(|_| next) }
    }
}

/// The elements of a list, of which one at a time is in its wire form.
pub(super) struct Elements<T, F>(pub(super) Vec<T>, pub(super) F);

impl<T, W: Serialize, F: Fn(&T) -> W> Serialize for Elements<T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(&self.1))
    }
}

/// Makes responses of lists.
#[derive(Clone, Copy)]
pub(super) struct Lists {
    pub(super) response_limit: Option<usize>,
}

impl Lists {
    /// The list as JSON, unless it is larger than the runtime's limit.
    pub(super) fn respond(self, list: &impl Serialize) -> Result<Response, ApiError> {
        let json = serde_json::to_vec(list).unwrap_or_default();
        // In Lambda the body is a JSON string, in which quotes and backslashes are escaped.
        let escaped = || json.len() + json.iter().filter(|byte| matches!(byte, b'"' | b'\\')).count();
        if self.response_limit.is_some_and(|limit| escaped() > limit) {
            let message = "the list is too long for one response; request pages with ?limit=1000";
            return Err(ApiError::new(Reason::ListTooLong, message));
        }
        let content_type = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(([content_type], json).into_response())
    }
}

/// Text of this length. A long list has several for each element, and none is a string of its own.
#[derive(Clone, Copy)]
pub(super) struct Ascii<const LENGTH: usize>([u8; LENGTH]);

impl<const LENGTH: usize> Serialize for Ascii<LENGTH> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

impl From<Number> for Ascii<11> {
    fn from(number: Number) -> Self {
        Self(decimal(number.as_u64()))
    }
}

// An id, as the API writes it.
impl From<[u8; 16]> for Ascii<32> {
    fn from(id: [u8; 16]) -> Self {
        let mut digits = [0; 32];
        Uuid::from_bytes(id).simple().encode_lower(&mut digits);
        Self(digits)
    }
}

/// A time as the API writes it: UTC, whole seconds. The years have four digits.
pub(super) fn date(time: DateTime<Utc>) -> Ascii<19> {
    let (day, second) = (time.date_naive(), time.time());
    let mut text = *b"0000-00-00 00:00:00";
    text[..4].copy_from_slice(&decimal::<4>(day.year().unsigned_abs().into()));
    let parts = [day.month(), day.day(), second.hour(), second.minute(), second.second()];
    for (at, part) in (5..).step_by(3).zip(parts) {
        text[at..at + 2].copy_from_slice(&decimal::<2>(part.into()));
    }
    Ascii(text)
}

/// The last so many decimal digits.
fn decimal<const LENGTH: usize>(mut value: u64) -> [u8; LENGTH] {
    let mut digits = [b'0'; LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit += (value % 10) as u8;
        value /= 10;
    }
    digits
}
