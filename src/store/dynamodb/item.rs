//! Items, and how values are stored in their attributes.
//!
//! `serde_dynamo` would not be shorter: each domain type would need a second type with serde, and conversions.

use super::keys::Key;
use crate::{
    domain::{Kind, MessageId, Number, Role, SessionId, State},
    store::{Result, StoreError},
};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use std::collections::HashMap;

/// The version of the items that this program writes. Items of a newer version are refused.
pub(super) const VERSION: i64 = 1;

/// Attributes, or values of an expression, by name.
pub(super) type Values = HashMap<String, AttributeValue>;

/// A value that an attribute holds. Empty values have no attribute.
pub(super) trait Attribute: Sized {
    fn write(&self) -> Option<AttributeValue>;
    fn read(value: Option<&AttributeValue>) -> Option<Self>;
}

macro_rules! attributes {
    ($variant:ident: $($type:ty => $text:ident),*) => {
        $(impl Attribute for $type {
            fn write(&self) -> Option<AttributeValue> {
                Some(AttributeValue::$variant(self.$text().into()))
            }

            fn read(value: Option<&AttributeValue>) -> Option<Self> {
                let AttributeValue::$variant(text) = value? else { return None };
                text.parse().ok()
            }
        })*
    };
}

attributes!(N: i64 => to_string, u32 => to_string);
attributes!(S: String => clone, Number => digits, SessionId => to_string, MessageId => to_string);
attributes!(S: Kind => as_str, Role => as_str, State => as_str);

impl Attribute for AttributeValue {
    fn write(&self) -> Option<AttributeValue> {
        Some(self.clone())
    }

    fn read(value: Option<&AttributeValue>) -> Option<Self> {
        value.cloned()
    }
}

impl Attribute for bool {
    fn write(&self) -> Option<AttributeValue> {
        self.then_some(AttributeValue::Bool(true))
    }

    fn read(value: Option<&AttributeValue>) -> Option<Self> {
        value.map_or(Some(false), |value| value.as_bool().ok().copied())
    }
}

impl Attribute for DateTime<Utc> {
    fn write(&self) -> Option<AttributeValue> {
        self.timestamp_millis().write()
    }

    fn read(value: Option<&AttributeValue>) -> Option<Self> {
        DateTime::from_timestamp_millis(i64::read(value)?)
    }
}

/// Written as a list; a set of texts can be read too.
impl<T: Attribute> Attribute for Vec<T> {
    fn write(&self) -> Option<AttributeValue> {
        (!self.is_empty()).then(|| AttributeValue::L(self.iter().filter_map(T::write).collect()))
    }

    fn read(value: Option<&AttributeValue>) -> Option<Self> {
        match value {
            None => Some(Self::new()),
            Some(AttributeValue::L(list)) => list.iter().map(|value| T::read(Some(value))).collect(),
            Some(AttributeValue::Ss(set)) => set.iter().map(|text| T::read(text.write().as_ref())).collect(),
            Some(_) => None,
        }
    }
}

impl<T: Attribute> Attribute for Option<T> {
    fn write(&self) -> Option<AttributeValue> {
        self.as_ref()?.write()
    }

    fn read(value: Option<&AttributeValue>) -> Option<Self> {
        value.map_or(Some(None), |value| T::read(Some(value)).map(Some))
    }
}

/// An item, written or read.
#[derive(Debug, Clone)]
pub(super) struct Item(pub(super) Values);

impl Item {
    /// A new item under this key.
    pub(super) fn new(key: &Key) -> Self {
        Self(key.attributes()).with("item_version", VERSION)
    }

    pub(super) fn with(self, name: &str, value: impl Attribute) -> Self {
        self.with_all([(name, value.write())])
    }

    pub(super) fn with_all<'a>(
        mut self,
        values: impl IntoIterator<Item = (&'a str, Option<AttributeValue>)>,
    ) -> Self {
        let values = values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        self.0.extend(values);
        self
    }

    /// An item as read.
    ///
    /// # Errors
    /// When a newer version has written it.
    pub(super) fn read(attributes: Values) -> Result<Self> {
        let item = Self(attributes);
        match item.get::<Option<i64>>("item_version")? {
            Some(newer) if newer > VERSION => Err(StoreError::Unreadable(format!(
                "an item of version {newer}, and this program knows versions up to {VERSION}; a newer release has \
                 written it: deploy that release everywhere"
            ))),
            _ => Ok(item),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn get<T: Attribute>(&self, name: &str) -> Result<T> {
        let unreadable = || StoreError::Unreadable(format!("an item's {name} is missing or malformed"));
        T::read(self.0.get(name)).ok_or_else(unreadable)
    }

    pub(super) fn key(&self) -> Result<Key> {
        Ok(Key { pk: self.get("pk")?, sk: self.get("sk")? })
    }

    /// Whether its `expires_at`, if it has one, is later than `now`.
    pub(super) fn is_unexpired(&self, now: DateTime<Utc>) -> Result<bool> {
        Ok(self.get::<Option<DateTime<Utc>>>("expires_at")?.is_none_or(|expiry| expiry > now))
    }
}
