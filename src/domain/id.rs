//! Ids of our own: UUIDs, random or a hash, written as 32 lower-case hexadecimal digits.

use super::Number;
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// A string that is not 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is 32 lower-case hexadecimal digits")]
pub struct InvalidId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh random id.
            #[must_use]
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }

            /// The 16 bytes that the digits write.
            #[must_use]
            pub fn bytes(self) -> [u8; 16] {
                self.0.into_bytes()
            }
        }

        impl From<[u8; 16]> for $name {
            fn from(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let plain = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                if !plain {
                    return Err(InvalidId);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.simple().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id! {
    /// The id of a session.
    SessionId
}

id! {
    /// The id of an outbound message; Flowroute returns it in a delivery receipt (`?m=`).
    MessageId
}

id! {
    /// A keyed hash of a person's number, made with the key of a store.
    PersonHash
}

impl SessionId {
    /// The id of the session that a request with this idempotency key opens: a hash of the key.
    #[must_use]
    pub fn for_key(key: &str) -> Self {
        Self(Uuid::new_v5(&Uuid::NAMESPACE_URL, key.as_bytes()))
    }

    /// The id as a number.
    #[must_use]
    pub fn as_u128(self) -> u128 {
        self.0.as_u128()
    }

    /// The id with this number.
    #[must_use]
    pub fn from_u128(number: u128) -> Self {
        Self(Uuid::from_u128(number))
    }
}

impl MessageId {
    /// The id of the first message that an inbound text to a number causes: the same each time the text is posted, in
    /// whichever form.
    #[must_use]
    pub fn for_inbound(id: &str, to: Number) -> Self {
        Self(Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{} {id}", to.digits()).as_bytes()))
    }
}
