//! A response of the service.

use serde_json::{Value, json};

/// A response whose body is read.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: axum::http::HeaderMap,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body, which must be JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// Asserts that this is an error of the HTTP contract with this status and `reason`.
    #[track_caller]
    pub fn assert_error(&self, status: u16, reason: &str) {
        let json = if self.body.is_empty() { Value::Null } else { self.json() };
        assert_eq!((self.status, &json["reason"]), (status, &json!(reason)), "{self:?}");
        assert!(json["message"].as_str().is_some_and(|message| !message.is_empty()), "{self:?}");
    }
}
