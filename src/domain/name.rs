//! Enums whose variants have a name in stores and in the API.

/// A name that no variant has. It is not quoted: it may hold private data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown name")]
pub struct UnknownName;

/// Converts the variants to their names and back.
macro_rules! names {
    ($type:ident { $($variant:ident => $name:literal),* $(,)? }) => {
        impl $type {
            /// Every variant.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The variant's name in stores and in the API.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::domain::UnknownName;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                match name { $($name => Ok(Self::$variant),)* _ => Err($crate::domain::UnknownName) }
            }
        }
    };
}

pub(super) use names;
