//! The fields of a JSON object.
//!
//! `#[serde(deny_unknown_fields)]` is not used: its errors distinguish a missing, an unknown and a duplicate field in their
//! text only, and the API has a reason for each.

use super::{error::ApiError, reason::Reason};
use crate::domain::Number;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// The fields of a JSON object, without duplicates.
#[derive(Debug)]
pub(super) struct Fields(Vec<(String, Value)>);

impl Fields {
    pub(super) fn all_in(&self, names: &[&str]) -> bool {
        self.0.iter().all(|(name, _)| names.contains(&name.as_str()))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    fn require(&self, name: &str) -> Result<&Value, ApiError> {
        self.get(name).ok_or_else(|| ApiError::new(Reason::MissingField, format!("{name} is missing")))
    }

    /// A phone number: a string of 11 digits, with or without a leading `+`, or a JSON integer.
    pub(super) fn number(&self, name: &str) -> Result<Number, ApiError> {
        let number = match self.require(name)? {
            Value::String(text) => text.parse(),
            value if let Some(number) = whole(value) => number.try_into(),
            _ => {
                let problem = "is neither a string nor an integer; expected 11 digits beginning with 1";
                return Err(ApiError::new(Reason::InvalidNumber, format!("{name} {problem}")));
            }
        };
        number.map_err(|problem| ApiError::invalid_number(name, problem))
    }

    pub(super) fn string(&self, name: &str) -> Result<String, ApiError> {
        let wrong = || ApiError::new(Reason::WrongType, format!("{name} is not a string"));
        self.require(name)?.as_str().map(str::to_owned).ok_or_else(wrong)
    }
}

/// A whole number that is not negative. `10.0` and `1e1` are the number 10, as JSON Schema has it too.
pub(super) fn whole(value: &Value) -> Option<u64> {
    /// From here on not every whole number is an `f64`.
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    let of_fraction = || value.as_f64().filter(|it| it.fract() == 0.0 && (0.0..LIMIT).contains(it));
    value.as_u64().or_else(|| of_fraction().map(|it| it as u64))
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields: Vec<(String, Value)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if fields.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom("duplicate field"));
                    }
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Object)
    }
}
