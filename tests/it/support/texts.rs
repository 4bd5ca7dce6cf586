//! Phone numbers, and texts as Flowroute posts them.
#![allow(dead_code, reason = "each test target uses a part of it")]

use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};

pub const TN: &str = "12062992129";
pub const ALICE: &str = "12065551212";
pub const BOB: &str = "12065551213";
pub const EVE: &str = "12065559999";

/// A text as Flowroute posts it in its flat form (FLOWROUTE.md 2.2).
pub fn flat(id: &str, from: &str, to: &str, body: &str) -> Value {
    json!({"to": to, "from": from, "body": body, "id": id})
}

/// An id such as Flowroute's.
pub fn fresh_id() -> String {
    format!("mdr2-{}", sms_proxy::domain::MessageId::random())
}

/// The n-th of many phone numbers.
pub fn number(n: u32) -> String {
    format!("1{:010}", 3_000_000_000_u64 + u64::from(n))
}

/// A phone number that no other call gives.
pub fn fresh_number() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1_000_000);
    number(NEXT.fetch_add(1, Ordering::SeqCst))
}
