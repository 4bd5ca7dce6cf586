//! What a client of the service gets.
#![allow(dead_code, reason = "each test target uses a part of it")]

use serde_json::{Value, json};

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: axum::http::HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// Asserts that this is an error of the contract, with this status and code.
    #[track_caller]
    pub fn assert_error(&self, status: u16, reason: &str) {
        let json = if self.body.is_empty() { Value::Null } else { self.json() };
        assert_eq!((self.status, &json["reason"]), (status, &json!(reason)), "{self:?}");
        assert!(json["message"].as_str().is_some_and(|message| !message.is_empty()), "{self:?}");
    }
}
