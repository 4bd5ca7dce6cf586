//! Mends half emoji: JSON escapes of lone surrogates, which no JSON reader for Rust accepts.

use std::borrow::Cow;

/// Replaces each `\uD800`–`\uDFFF` escape that has no partner with `\uFFFD`.
///
/// Python-style senders such as Flowroute write an emoji as two escapes (FLOWROUTE.md 2.1, 9); where a text was cut
/// between the two, the rest of it must not be lost.
pub(super) fn mend(json: &str) -> Cow<'_, str> {
    let bytes = json.as_bytes();
    let mut mended: Option<String> = None;
    let mut copied = 0;
    let mut at = 0;
    while let Some(offset) = json[at..].find('\\') {
        let escape = at + offset;
        let Some(unit) = unit_at(bytes, escape) else {
            // Some other escape, of two characters; the second may be a backslash.
            at = (escape + 2).min(bytes.len());
            while !json.is_char_boundary(at) {
                at += 1;
            }
            continue;
        };
        let paired = is_high(unit) && unit_at(bytes, escape + 6).is_some_and(is_low);
        at = escape + if paired { 12 } else { 6 };
        if !paired && (is_high(unit) || is_low(unit)) {
            let text = mended.get_or_insert_with(String::new);
            text.push_str(&json[copied..escape]);
            text.push_str("\\uFFFD");
            copied = at;
        }
    }
    match mended {
        None => Cow::Borrowed(json),
        Some(mut text) => {
            text.push_str(&json[copied..]);
            Cow::Owned(text)
        }
    }
}

/// The code unit of a `\uXXXX` escape that begins here.
fn unit_at(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let digits = digits.iter().all(u8::is_ascii_hexdigit).then_some(digits)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn is_high(unit: u16) -> bool {
    (0xD800..0xDC00).contains(&unit)
}

fn is_low(unit: u16) -> bool {
    (0xDC00..0xE000).contains(&unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lone_surrogates_become_the_replacement_character() {
        for (json, text) in [
            (r#""a\ud83d""#, "a\u{FFFD}"),
            (r#""\udE00b""#, "\u{FFFD}b"),
            (r#""\ud83d\ud83d\ude00""#, "\u{FFFD}😀"),
            (r#""\ud83d\n""#, "\u{FFFD}\n"),
            (r#""\\ud83d""#, "\\ud83d"),
            (r#""\\\ud83dé\\""#, "\\\u{FFFD}é\\"),
        ] {
            assert_eq!(serde_json::from_str::<String>(&mend(json)).ok().as_deref(), Some(text), "{json}");
        }
    }

    proptest! {
        #[test]
        fn valid_json_is_left_as_it_is(text in any::<String>()) {
            let json = serde_json::to_string(&text).expect("a string is JSON");
            prop_assert_eq!(&mend(&json), &json);
        }

        #[test]
        fn any_sequence_of_code_units_becomes_readable(units in prop::collection::vec(any::<u16>(), 0..20)) {
            let json: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let read: String = serde_json::from_str(&mend(&format!("\"{json}\""))).expect("readable");
            prop_assert_eq!(read, String::from_utf16_lossy(&units));
        }

        #[test]
        fn anything_at_all_is_survived(text in any::<String>()) {
            mend(&text);
            mend(&format!("\\{text}"));
        }
    }
}
