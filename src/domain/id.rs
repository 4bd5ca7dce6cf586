//! Ids of our own: v4 UUIDs, written as 32 lower-case hexadecimal digits.

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
    /// Names a session, in the API and in the log.
    SessionId
}

id! {
    /// Names an outbound message; Flowroute gives it back in a delivery receipt (`?m=`).
    MessageId
}

impl MessageId {
    /// The id of the message that an inbound text leads to: the same each time that the text is posted.
    #[must_use]
    pub fn for_inbound(id: &str) -> Self {
        Self(Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_is_written() {
        let id = SessionId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn only_32_lower_case_hex_digits_are_an_id() {
        for bad in ["", "abc", &"g".repeat(32), &"A".repeat(32), "67e55044-10b1-426f-9247-bb680e5fe0c8"] {
            assert_eq!(bad.parse::<SessionId>(), Err(InvalidId), "{bad}");
        }
    }
}
