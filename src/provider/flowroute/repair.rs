//! Repairs JSON that some programs write and no JSON library for Rust accepts.

/// Escapes control characters in strings, and replaces the numbers `NaN`, `Infinity` and `-Infinity` by `null`.
pub(super) fn repair(json: &str) -> String {
    let mut repaired = String::with_capacity(json.len());
    let mut rest = json;
    let mut in_string = false;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        match c {
            '"' => {
                in_string = !in_string;
                repaired.push(c);
            }
            '\\' if in_string => {
                taken += rest[taken..].chars().next().map_or(0, char::len_utf8);
                repaired.push_str(&rest[..taken]);
            }
            c if in_string && c < ' ' => repaired.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => match ["NaN", "Infinity", "-Infinity"].iter().find(|word| rest.starts_with(**word)) {
                Some(word) if !in_string => {
                    taken = word.len();
                    repaired.push_str("null");
                }
                _ => repaired.push(c),
            },
        }
        rest = &rest[taken..];
    }
    repaired
}
