//! Reads phone numbers as a post may write them (docs/flowroute.md#what-is-accepted).

use super::json::Json;
use crate::domain::{Number, is_invisible};

/// What stands where a phone number is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phone {
    /// A number of the North American plan.
    Number(Number),
    /// Another number: a short code, or one of another country.
    Other,
    /// A name, an e-mail address or the like.
    Name,
}

/// The names that a field may have in an object that stands for a phone number.
const FIELDS: [&str; 7] = ["phone_number", "number", "phone", "value", "address", "to", "from"];
/// More recipients of one text are not looked at.
const MOST: usize = 100;

/// The phone numbers of a field: a string or a number, an object that has it, or a list of these. Blank ones are left out.
pub(super) fn phones(field: Json<'_>) -> Vec<Phone> {
    let elements = field.elements().unwrap_or_else(|| vec![field]);
    let mut phones = Vec::new();
    if elements.len() > MOST {
        tracing::warn!("a text has {} recipients, of which {MOST} are looked at", elements.len());
    }
    for element in elements.into_iter().take(MOST) {
        let inner = element.fields().and_then(|fields| FIELDS.iter().find_map(|name| fields.get(name)));
        let value = inner.unwrap_or(element);
        match (value.number(), value.string()) {
            (Some(digits), _) => phones.push(integer(digits)),
            (_, Some(text)) => phones.extend(text.split([',', ';']).filter_map(phone)),
            _ => {}
        }
    }
    phones
}

/// A JSON number. `12065551212.0` is the same as `12065551212`.
fn integer(digits: &str) -> Phone {
    let whole = digits.parse::<f64>().ok().filter(|number| number.fract() == 0.0 && *number >= 0.0);
    whole.and_then(|number| phone(&format!("{number:.0}"))).unwrap_or(Phone::Other)
}

/// Reads a phone number. `None`: there is nothing but blanks.
fn phone(text: &str) -> Option<Phone> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c));
    if text.is_empty() {
        return None;
    }
    let scheme = text.get(..4).filter(|scheme| scheme.eq_ignore_ascii_case("tel:"));
    let mut digits = String::new();
    let mut has_plus = false;
    for c in text[scheme.map_or(0, str::len)..].chars() {
        match c {
            '0'..='9' => digits.push(c),
            '+' | '＋' if digits.is_empty() && !has_plus => has_plus = true,
            '０'..='９' => digits.extend(char::from_digit(u32::from(c) - u32::from('０'), 10)),
            c if is_separator(c) => {}
            _ => return Some(Phone::Name),
        }
    }
    if digits.is_empty() {
        return Some(Phone::Name);
    }
    let number = if has_plus { digits } else { with_country(digits) };
    Some(number.parse().map_or(Phone::Other, Phone::Number))
}

fn is_separator(c: char) -> bool {
    c.is_whitespace()
        || is_invisible(c)
        || matches!(c, '-' | '.' | '(' | ')' | '/' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '－')
}

/// The number without the digits that are dialled for a call abroad, or with the country code if it is left out.
fn with_country(digits: String) -> String {
    let abroad = ["011", "00"].iter().find_map(|prefix| digits.strip_prefix(prefix));
    if let Some(number) = abroad.filter(|number| number.len() == 11) {
        return number.to_owned();
    }
    // An area code begins with 2 to 9; other ten digits are a number of another country.
    if digits.len() == 10 && digits.starts_with(|first| first >= '2') { format!("1{digits}") } else { digits }
}
