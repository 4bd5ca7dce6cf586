//! Lists and their pages.

use super::{error::ApiError, reason::Reason};
use crate::domain::Page;
use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Datelike, Timelike, Utc};
use serde::{Serialize, Serializer};

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

/// A time as the API writes it: UTC, whole seconds.
pub(super) fn date(time: DateTime<Utc>) -> String {
    // Several times as fast as chrono's format of strings; its years have four digits.
    let (day, second) = (time.date_naive(), time.time());
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        day.year(),
        day.month(),
        day.day(),
        second.hour(),
        second.minute(),
        second.second()
    )
}
