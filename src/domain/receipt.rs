//! Delivery receipts: what they say, and which one of a message is kept (docs/flowroute.md#receipts).

use super::MessageId;
use chrono::{DateTime, TimeDelta, Utc};

/// Flowroute's code for a recipient who has opted out of the TN (docs/flowroute.md#opt-out).
pub const OPTED_OUT_CODE: &str = "1110";

/// A receipt's time may be this far in the future. A later one is not a time.
const MAX_CLOCK_SKEW: TimeDelta = TimeDelta::days(1);

/// What a delivery receipt says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// 1: handed to the carrier; 2: anything after. Not every receipt has it.
    pub level: Option<i64>,
    /// A word such as `delivered`; may be empty.
    pub status: String,
    /// A code such as `1003`.
    pub code: Option<String>,
    /// When it happened.
    pub at: Option<DateTime<Utc>>,
}

/// What Flowroute reports about a message that we sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Our id of the message, from the callback's `?m=`.
    pub message: Option<MessageId>,
    /// Flowroute's id of the message; may be empty.
    pub provider_id: String,
    /// What it says.
    pub delivery: Delivery,
}

/// How much a receipt says about the outcome.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Finality {
    Unclear,
    Passing,
    Final,
}

impl Delivery {
    /// Whether this receipt replaces another one of the same message: a final state replaces a passing one, and of two
    /// like that the later replaces the earlier; of two at the same time the one with the higher level is kept.
    #[must_use]
    pub fn replaces(&self, known: &Self, now: DateTime<Utc>) -> bool {
        let rank = |delivery: &Self| {
            let at = delivery.at.filter(|at| *at <= now + MAX_CLOCK_SKEW);
            (delivery.finality(), at, delivery.level)
        };
        rank(self) > rank(known)
    }

    /// Whether it has neither a status nor a code.
    pub(super) fn is_empty(&self) -> bool {
        self.status.trim().is_empty() && self.code.is_none()
    }

    fn finality(&self) -> Finality {
        let code = self.code.as_deref().and_then(|code| code.parse().ok());
        by_code(code.unwrap_or(0)).max(by_word(&self.status))
    }
}

/// Flowroute's codes: [`Finality::Passing`] are queued, sent, accepted, unknown and temporary failures.
fn by_code(code: u32) -> Finality {
    match code {
        1000..=1003 | 1100 | 1111 | 1200 | 1210 => Finality::Passing,
        1004..=1299 => Finality::Final,
        _ => Finality::Unclear,
    }
}

fn by_word(status: &str) -> Finality {
    const FAILED: [&str; 5] = ["fail", "reject", "expire", "error", "undeliver"];
    const PASSING: [&str; 7] = ["submit", "buffer", "pending", "queue", "accept", "sent", "progress"];
    let status = status.to_ascii_lowercase();
    let has_any = |words: &[&str]| words.iter().any(|word| status.contains(word));
    match () {
        () if has_any(&FAILED) => Finality::Final,
        () if has_any(&PASSING) => Finality::Passing,
        () if has_any(&["deliver"]) => Finality::Final,
        () => Finality::Unclear,
    }
}
