//! Lists and their pages.

use super::error::ApiError;
use crate::store::Page;
use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::Serialize;

/// The largest page.
const LARGEST: u32 = 1000;

/// A page as the query asks for it.
pub(super) struct Asked(pub(super) Page);

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        let mut page = Page::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=LARGEST).contains(limit));
                    let wrong =
                        || ApiError::bad_request("invalid_limit", format!("limit must be 1 to {LARGEST}"));
                    page.limit = Some(limit.ok_or_else(wrong)?);
                }
                "after" => page.after = Some(value.into_owned()),
                _ => {}
            }
        }
        Ok(Self(page))
    }
}

/// Refuses a mark that no page of this list ends with, since the list would begin anew.
pub(super) fn known_mark(page: Page, is_mark: impl Fn(&str) -> bool) -> Result<Page, ApiError> {
    match &page.after {
        Some(after) if !is_mark(after) => {
            Err(ApiError::bad_request("invalid_after", "after must be the next of the page before"))
        }
        _ => Ok(page),
    }
}

/// The variable part of a path. One that cannot be read is nobody's path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub(super) struct Named<T>(pub(super) T);

/// A page's `next`; the whole list, asked for without a limit, has none.
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

/// How lists are answered.
#[derive(Clone, Copy)]
pub(super) struct Lists {
    pub(super) answer_limit: Option<usize>,
}

impl Lists {
    /// The list as JSON, unless it is longer than the way back can carry.
    pub(super) fn answer(self, list: &impl Serialize) -> Result<Response, ApiError> {
        let json = serde_json::to_vec(list).unwrap_or_default();
        // API Gateway carries the body as a JSON string, in which quotes and backslashes are escaped.
        let carried = json.len() + json.iter().filter(|byte| matches!(byte, b'"' | b'\\')).count();
        if self.answer_limit.is_some_and(|limit| carried > limit) {
            let message = "the list is too long for one answer; ask for a part of it with ?limit=1000";
            return Err(ApiError::bad_request("list_too_long", message));
        }
        let content_type = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(([content_type], json).into_response())
    }
}

/// A time as the API writes it: UTC, whole seconds.
pub(super) fn date(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}
