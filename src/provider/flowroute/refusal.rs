//! Why Flowroute refused a message (docs/flowroute.md#errors).
//!
//! Flowroute's words may quote the text, a number or our callback URL in any form. So the log and the store get the status
//! and the codes, explained in our words; Flowroute's words go to the caller of `POST /session` only, who knows both numbers.

use super::codes::meaning;
use crate::{
    domain::{Delivery, OPTED_OUT_CODE, Outbound},
    limits,
    provider::{Quote, SendError},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// The most known codes of one refusal that are told.
const MOST_CODES: usize = 3;
/// An address, a key or a token has at least so many characters.
const SECRET_WORD: usize = 16;

/// Reads a refusal of this message. Without a readable body the status alone decides. The keys are not shown to the caller.
pub(super) fn refused(status: u16, body: &[u8], message: &Outbound, keys: [&SecretString; 2]) -> SendError {
    let Explanation { mut codes, words } = explain(body);
    let opted_out = codes.iter().any(|code| code == OPTED_OUT_CODE)
        || (mentions_opt_out(&words) && !is_about_itself(message));
    if opted_out {
        codes.insert(0, OPTED_OUT_CODE.to_owned());
    }
    SendError::Refused {
        status,
        opted_out,
        detail: reason(status, &codes),
        quote: Quote::new(quote(&words, keys)),
    }
}

/// The status and the codes in our words. Of codes that are not known the first is told.
fn reason(status: u16, codes: &[String]) -> String {
    let mut known: Vec<String> = Vec::new();
    for code in codes {
        let told = meaning(code).map(|meaning| format!("{meaning} (code {code})"));
        known.extend(told.filter(|told| !known.contains(told)));
    }
    known.truncate(MOST_CODES);
    if !known.is_empty() {
        return known.join("; ");
    }
    let by_status = match status {
        403 => {
            "Flowroute does not permit it; check that the TN is a number of the account and may send texts"
        }
        422 => "Flowroute says that a value is wrong, such as a number or a picture",
        _ => "Flowroute cannot process it",
    };
    match codes.iter().find(|code| **code != status.to_string()) {
        Some(code) => format!("{by_status} (code {code})"),
        None => by_status.into(),
    }
}

/// Why a message was refused.
struct Explanation {
    /// The codes and statuses of the errors.
    codes: Vec<String>,
    /// Their titles and details; may be empty.
    words: String,
}

/// Reads the errors of a response, one or several.
fn explain(body: &[u8]) -> Explanation {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let errors = match body.get("errors").or_else(|| body.get("error")) {
        Some(Value::Array(errors)) => errors.as_slice(),
        error => std::slice::from_ref(error.unwrap_or(&body)),
    };
    let fields = |error: &Value, keys: &[&str]| -> Vec<String> {
        keys.iter().filter_map(|key| field(error, key)).collect()
    };
    let words = errors.iter().map(|error| fields(error, &["title", "detail", "message"]).join(": "));
    let codes = errors.iter().flat_map(|error| fields(error, &["code", "status"]));
    Explanation {
        codes: codes.filter_map(|code| Delivery::kept_code(&code)).collect(),
        words: words.filter(|words| !words.is_empty()).collect::<Vec<_>>().join("; "),
    }
}

fn field(error: &Value, key: &str) -> Option<String> {
    match error.get(key)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Whether the opt-out code is anywhere in this text: in which field Flowroute returns it is not known
/// (docs/flowroute.md#open-questions). The end of a phone number such as 555-1110 does not count.
fn mentions_opt_out(text: &str) -> bool {
    let groups = text.split(|c: char| !c.is_ascii_digit() && !matches!(c, '-' | '.'));
    groups.map(|group| group.trim_matches(['-', '.'])).any(|group| group == OPTED_OUT_CODE)
}

/// Whether the text or one of the numbers has the opt-out code's digits: then a quotation of it says nothing about the
/// recipient.
fn is_about_itself(message: &Outbound) -> bool {
    let text = &message.text;
    let parts = std::iter::once(&text.content.body).chain(&text.content.media_urls);
    parts.cloned().chain([text.from.digits(), text.to.digits()]).any(|part| part.contains(OPTED_OUT_CODE))
}

/// Flowroute's words, on one line and cut, without those that have a key or are long enough to be an address or a secret:
/// our callback URL has the webhook's token.
fn quote(words: &str, keys: [&SecretString; 2]) -> String {
    let has_key = |word: &str| keys.iter().any(|key| word.contains(key.expose_secret()));
    let word = |word: &str| {
        let word: String = word.chars().filter(|c| !c.is_control()).collect();
        if word.chars().count() < SECRET_WORD && !has_key(&word) { word } else { "[…]".into() }
    };
    let quote = words.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
    quote.chars().take(limits::QUOTE).collect()
}
