//! Replaces JSON escapes of lone surrogates (half an emoji), which no JSON library for Rust accepts.

use std::borrow::Cow;

/// Replaces each `\uD800`–`\uDFFF` escape that has no partner with `\uFFFD`.
///
/// Flowroute writes an emoji as two escapes (docs/flowroute.md#webhook). If a text was cut between the two, the rest of it
/// must not be lost.
pub(super) fn replace_lone(json: &str) -> Cow<'_, str> {
    let bytes = json.as_bytes();
    let mut replaced: Option<String> = None;
    let mut copied = 0;
    let mut at = 0;
    while let Some(offset) = json[at..].find('\\') {
        let escape = at + offset;
        let Some(unit) = unit_at(bytes, escape) else {
            // Another escape, of two characters; the second may be a backslash.
            at = (escape + 2).min(bytes.len());
            while !json.is_char_boundary(at) {
                at += 1;
            }
            continue;
        };
        let paired = is_high(unit) && unit_at(bytes, escape + 6).is_some_and(is_low);
        at = escape + if paired { 12 } else { 6 };
        if !paired && (is_high(unit) || is_low(unit)) {
            let text = replaced.get_or_insert_with(String::new);
            text.push_str(&json[copied..escape]);
            text.push_str("\\uFFFD");
            copied = at;
        }
    }
    match replaced {
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
