//! Delivery receipts: what they say, and which one of a message is kept (docs/flowroute.md#receipts).

use super::MessageId;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

/// Flowroute's code for a recipient who has opted out of the TN (docs/flowroute.md#opt-out).
pub const OPTED_OUT_CODE: &str = "1110";

/// Flowroute's code for a message that was delivered.
const DELIVERED: u32 = 1004;

/// Parts of the words for a message that was not delivered.
const FAILED: [&str; 6] = ["fail", "reject", "expire", "error", "undeliver", "not deliver"];

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

/// The statuses that are kept as they are, in lower case and with blanks: Flowroute's, and those of software like its own
/// (docs/flowroute.md#receipts).
const STATUSES: &[&str] = &[
    "accepted",
    "buffered",
    "delivered",
    "delivery failure",
    "delivery success",
    "expired",
    "failed",
    "message buffered",
    "message sent",
    "pending",
    "queued",
    "rejected",
    "sent",
    "smsc reject",
    "smsc submit",
    "submitted",
    "undelivered",
    "unknown",
];

/// An id of Flowroute's, as it is stored, compared and logged: as it is if it looks like one, or else a hash of it, because
/// anything else may quote a text or a number (docs/flowroute.md#what-is-kept).
#[must_use]
pub fn kept_id(id: &str) -> String {
    let id = id.trim();
    match id.is_empty() || looks_like_id(id) {
        true => id.to_owned(),
        false => format!("hash-{}", Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes()).simple()),
    }
}

/// Whether this is `mdr`, a digit, `-` and a UUID or something too short to quote a phone number or much of a text.
fn looks_like_id(id: &str) -> bool {
    let Some((kind, rest)) = id.split_once('-') else { return false };
    let version = kind.strip_prefix("mdr").unwrap_or_default();
    let is_uuid = matches!(rest.len(), 32 | 36) && Uuid::try_parse(rest).is_ok();
    let digits = rest.bytes().filter(u8::is_ascii_digit).count();
    let is_short = (1..=12).contains(&rest.len())
        && digits < 10
        && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    version.len() == 1 && version.bytes().all(|b| b.is_ascii_digit()) && (is_uuid || is_short)
}

impl Delivery {
    /// A level as it is kept: a number of one digit.
    #[must_use]
    pub fn kept_level(level: &str) -> Option<i64> {
        level.trim().parse().ok().filter(|level| (0..10).contains(level))
    }

    /// A code as it is kept: up to five digits, too few for a phone number.
    #[must_use]
    pub fn kept_code(code: &str) -> Option<String> {
        let code = code.trim();
        let is_code = (1..=5).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_digit());
        is_code.then(|| code.to_owned())
    }

    /// A status as it is kept: as it is if it is known, or else a word of ours with the same meaning. Other words may quote
    /// the text.
    #[must_use]
    pub fn kept_status(status: &str) -> String {
        let status = status.trim();
        let plain = status.to_ascii_lowercase().replace(['_', '-'], " ");
        if status.is_empty() || STATUSES.contains(&plain.as_str()) {
            return status.to_owned();
        }
        let word = match by_word(status) {
            Finality::Final if has_any(status, &FAILED) => "failed",
            Finality::Final => "delivered",
            Finality::Passing => "pending",
            Finality::Unclear => "other",
        };
        word.into()
    }

    /// The same without a time that is later than the clocks of two computers differ: it is no time.
    #[must_use]
    pub fn without_future(self, now: DateTime<Utc>) -> Self {
        Self { at: self.at.filter(|at| *at <= now + MAX_CLOCK_SKEW), ..self }
    }

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

    /// Whether it says finally that the message was not delivered. A code that is final counts more than the word.
    pub(super) fn is_failure(&self) -> bool {
        match self.code_number() {
            code if by_code(code) == Finality::Final => code != DELIVERED,
            _ => has_any(&self.status, &FAILED),
        }
    }

    fn finality(&self) -> Finality {
        by_code(self.code_number()).max(by_word(&self.status))
    }

    fn code_number(&self) -> u32 {
        self.code.as_deref().and_then(|code| code.parse().ok()).unwrap_or(0)
    }
}

/// Flowroute's codes: [`Finality::Passing`] are queued, sent, accepted, unknown and temporary failures.
fn by_code(code: u32) -> Finality {
    match code {
        1000..=1003 | 1100 | 1111 | 1200 | 1210 => Finality::Passing,
        DELIVERED..=1299 => Finality::Final,
        _ => Finality::Unclear,
    }
}

fn by_word(status: &str) -> Finality {
    const PASSING: [&str; 7] = ["submit", "buffer", "pending", "queue", "accept", "sent", "progress"];
    match () {
        () if has_any(status, &FAILED) => Finality::Final,
        () if has_any(status, &PASSING) => Finality::Passing,
        () if has_any(status, &["deliver"]) => Finality::Final,
        () => Finality::Unclear,
    }
}

fn has_any(status: &str, words: &[&str]) -> bool {
    let status = status.to_ascii_lowercase();
    words.iter().any(|word| status.contains(word))
}
