//! Ways to write a text or a number.

use base64::{Engine, prelude::BASE64_STANDARD};
use std::fmt::Write as _;

/// Ways to write a text or a number so that a search for it does not find it.
pub(super) fn disguises(plain: &str) -> Vec<String> {
    let each = |form: &dyn Fn(char) -> String| plain.chars().map(form).collect::<String>();
    let digits = |zero: u32| {
        let shown = |c: char| c.to_digit(10).and_then(|d| char::from_u32(zero + d)).unwrap_or(c);
        each(&|c| shown(c).to_string())
    };
    let grouped = |by: &str| {
        let (head, tail) = plain.split_at(plain.len() - 10);
        format!("{head}{by}{}{by}{}{by}{}", &tail[..3], &tail[3..6], &tail[6..])
    };
    let mut forms = vec![
        plain.to_owned(),
        plain.to_uppercase(),
        plain.chars().rev().collect(),
        plain.replace(' ', "+"),
        plain.replace(' ', "_"),
        plain.replace(' ', "-").to_uppercase(),
        each(&|c| format!("{c} ")),
        each(&|c| format!("{c}.")),
        each(&|c| format!("%{:02X}", u32::from(c))),
        each(&|c| format!("&#{};", u32::from(c))),
        each(&|c| format!("&#x{:x};", u32::from(c))),
        each(&|c| format!("\\u{:04x}", u32::from(c))),
        BASE64_STANDARD.encode(plain),
        plain.bytes().fold(String::new(), |mut hex, b| {
            let _ = write!(hex, "{b:02x}");
            hex
        }),
        grouped("/"),
        grouped(","),
        grouped("-"),
        grouped("."),
        grouped(" "),
        grouped("'"),
    ];
    if let Some(national) = plain.strip_prefix('1') {
        forms.extend([digits(0xFF10), digits(0x0660), digits(0x0966), national.to_owned()]);
        forms.extend([0, 1, 3].map(|at| format!("({}) {}", &plain[at..at + 3], &plain[at + 3..])));
        forms.push(format!("{:x}", plain.parse::<u64>().unwrap()));
    }
    forms
}
