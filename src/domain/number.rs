//! Phone numbers of the North American plan, the only ones that Flowroute's numbers can text.

use std::{fmt, str::FromStr};

/// A phone number `1XXXXXXXXXX`: a 1 and ten digits (docs/flowroute.md#sending).
///
/// It has no `Display`, so that no log line and no error can show it in full by accident:
/// [`digits`](Self::digits) is for the wire, [`masked`](Self::masked) for everything else.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Number(u64);

/// Why a string is no [`Number`]. The texts end a sentence that begins with the field's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNumber {
    /// A character other than an ASCII digit (one leading `+` is fine).
    #[error("has a character that is not a digit; expected 11 digits beginning with 1")]
    NotDigits,
    /// Not eleven digits.
    #[error("has {0} digits; expected 11, beginning with 1")]
    Length(usize),
    /// Eleven digits, but the first is not the country code 1.
    #[error("does not begin with 1; expected 11 digits beginning with 1")]
    Country,
}

impl Number {
    const LOWEST: u64 = 10_000_000_000;
    const HIGHEST: u64 = 19_999_999_999;

    /// The eleven digits, as they go over the wire.
    #[must_use]
    pub fn digits(self) -> String {
        self.0.to_string()
    }

    /// `***1212`: the last four digits, for logs and errors.
    #[must_use]
    pub fn masked(self) -> String {
        format!("***{:04}", self.0 % 10_000)
    }

    /// The three digits after the country code.
    #[must_use]
    pub fn area_code(self) -> u16 {
        u16::try_from(self.0 / 10_000_000 % 1000).unwrap_or_default()
    }

    /// The number as an integer, for stores that keep it so.
    #[must_use]
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for Number {
    type Error = InvalidNumber;

    fn try_from(value: u64) -> Result<Self, InvalidNumber> {
        match value {
            Self::LOWEST..=Self::HIGHEST => Ok(Self(value)),
            _ => value.to_string().parse(),
        }
    }
}

impl FromStr for Number {
    type Err = InvalidNumber;

    /// Reads eleven digits, with or without one leading `+`.
    fn from_str(text: &str) -> Result<Self, InvalidNumber> {
        let digits = text.strip_prefix('+').unwrap_or(text);
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidNumber::NotDigits);
        }
        if digits.len() != 11 {
            return Err(InvalidNumber::Length(digits.len()));
        }
        match digits.parse() {
            Ok(value @ Self::LOWEST..=Self::HIGHEST) => Ok(Self(value)),
            _ => Err(InvalidNumber::Country),
        }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}
