//! JSON that is read field by field, so that a field which is not used cannot make a post unreadable.

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use std::collections::BTreeMap;

/// A value of a JSON document. Its parts are not read before somebody asks for them.
#[derive(Clone, Copy)]
pub(super) struct Json<'a>(&'a RawValue);

/// The fields of a JSON object; the last one if a name is there twice.
pub(super) struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Json<'a> {
    /// A whole document. `None`: its syntax is wrong. Depth and the size of numbers have no limit.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    /// The fields, if this is an object.
    pub(super) fn fields(self) -> Option<Fields<'a>> {
        self.read('{').map(Fields)
    }

    /// The elements, if this is a list.
    pub(super) fn elements(self) -> Option<Vec<Self>> {
        let elements: Vec<&RawValue> = self.read('[')?;
        Some(elements.into_iter().map(Self).collect())
    }

    /// The text, if this is a string.
    pub(super) fn string(self) -> Option<String> {
        self.read('"')
    }

    /// The number as it is written, if this is a number.
    pub(super) fn number(self) -> Option<&'a str> {
        let text = self.0.get();
        text.starts_with(|c: char| c.is_ascii_digit() || c == '-').then_some(text)
    }

    /// The text of a string, or the digits of a number.
    pub(super) fn text_or_number(self) -> Option<String> {
        self.string().or_else(|| self.number().map(str::to_owned))
    }

    /// Whether this is `null`.
    pub(super) fn is_null(self) -> bool {
        self.0.get() == "null"
    }

    /// This value as a whole; `null` if it is too deep or has a number that is too large.
    pub(super) fn value(self) -> Value {
        serde_json::from_str(self.0.get()).unwrap_or_default()
    }

    /// Reads a value that begins with this character. For any other, `serde_json` would format an error that nobody reads.
    fn read<T: Deserialize<'a>>(self, first: char) -> Option<T> {
        let text = self.0.get();
        text.starts_with(first).then(|| serde_json::from_str(text).ok())?
    }
}

impl<'a> Fields<'a> {
    /// A field that is not `null`.
    pub(super) fn get(&self, name: &str) -> Option<Json<'a>> {
        self.0.get(name).copied().map(Json).filter(|value| !value.is_null())
    }

    /// The values that are objects or lists.
    pub(super) fn into_objects(self) -> impl Iterator<Item = Json<'a>> {
        self.0.into_values().map(Json).filter(|value| value.0.get().starts_with(['{', '[']))
    }

    /// Whether there is such a field, `null` or not.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The object, with each field as in [`Json::value`]. Those of the object in `nested` are read one by one, too.
    pub(super) fn values(&self, nested: &str) -> Map<String, Value> {
        let value = |(name, raw): (&String, &&'a RawValue)| {
            let inner = Some(Json(raw)).filter(|_| name == nested).and_then(Json::fields);
            let value = inner.map_or_else(|| Json(raw).value(), |inner| inner.values("").into());
            (name.clone(), value)
        };
        self.0.iter().map(value).collect()
    }
}
