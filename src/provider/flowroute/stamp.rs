//! Reads time stamps (docs/flowroute.md#what-is-accepted).

use chrono::{DateTime, Datelike, NaiveDateTime, SubsecRound, Utc};
use serde_json::Value;

/// Years in which a text can have been sent. A time outside of them stands for "unknown", such as 1970 or the year 1.
const YEARS: std::ops::Range<i32> = 2000..2200;
/// Numbers below it are seconds; each further factor of 1000 is the next smaller unit.
const LARGEST_SECONDS: f64 = 1e11;

/// Reads a time. Without a zone it is UTC. `None`: it cannot be read with certainty.
pub(super) fn time(value: &Value) -> Option<DateTime<Utc>> {
    let time = match value {
        Value::Number(number) => since_1970(number.as_f64()?),
        Value::String(text) => match text.trim().parse() {
            Ok(number) => since_1970(number),
            Err(_) => in_words(text.trim()),
        },
        _ => None,
    };
    // Stores keep milliseconds: a receipt that is posted again must equal the stored one.
    time.filter(|time| YEARS.contains(&time.year())).map(|time| time.trunc_subsecs(3))
}

/// A number of seconds, milliseconds, microseconds or nanoseconds.
fn since_1970(mut number: f64) -> Option<DateTime<Utc>> {
    for _ in 0..3 {
        if number < LARGEST_SECONDS {
            break;
        }
        number /= 1000.0;
    }
    #[expect(clippy::cast_possible_truncation, reason = "`as` stops at the bounds, which are no time")]
    DateTime::from_timestamp_millis((number * 1000.0).round() as i64)
}

fn in_words(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_rfc2822(text)) {
        return Some(time.to_utc());
    }
    let text = text.to_ascii_uppercase();
    let without_name = ["Z", "UTC", "GMT"].iter().find_map(|zone| text.strip_suffix(zone)).unwrap_or(&text);
    let text = without_name.trim_end().replace('T', " ").replace(',', ".");
    let zoned = DateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f %#z");
    let naive = NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f");
    zoned.map(|time| time.to_utc()).or_else(|_| naive.map(|time| time.and_utc())).ok()
}
