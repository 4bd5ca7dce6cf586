//! Phone numbers, and texts as Flowroute posts them.

use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};

/// A TN.
pub const TN: &str = "12062992129";
/// A participant.
pub const ALICE: &str = "12065551212";
/// The other participant.
pub const BOB: &str = "12065551213";
/// A sender without a session.
pub const EVE: &str = "12065559999";

/// What the sender of a text that is not delivered gets, with the default settings.
pub const NOT_DELIVERED: &str = "[YOUR ORG NAME]: Your message could not be delivered.";

/// A text as Flowroute posts it in its flat form (`docs/flowroute.md#webhook`).
pub fn flat(id: &str, from: &str, to: &str, body: &str) -> Value {
    json!({"to": to, "from": from, "body": body, "id": id})
}

/// The body of a request that opens a session of Alice and Bob.
pub fn pair() -> Value {
    json!({"participant_a": ALICE, "participant_b": BOB})
}

/// A new id in Flowroute's format.
pub fn fresh_id() -> String {
    format!("mdr2-{}", sms_proxy::domain::MessageId::random())
}

/// The n-th of many phone numbers.
pub fn number(n: u32) -> String {
    format!("1{:010}", 3_000_000_000_u64 + u64::from(n))
}

/// A phone number that no other call returns.
pub fn fresh_number() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1_000_000);
    number(NEXT.fetch_add(1, Ordering::SeqCst))
}
