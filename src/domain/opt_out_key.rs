//! The keyed hash under which a person's opt-outs are kept, so that they outlast the erasure of the person's number.

use super::{Number, PersonHash};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

/// The random key of a store: 64 lower-case hexadecimal digits. Whoever has it can find a number by its hash, by trying
/// all numbers, so it is in no log.
#[derive(Clone, PartialEq, Eq)]
pub struct OptOutKey(String);

/// A string that is not 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key of opt-outs is 64 lower-case hexadecimal digits")]
pub struct InvalidOptOutKey;

impl OptOutKey {
    /// A fresh key.
    #[must_use]
    pub fn random() -> Self {
        let bytes: [u8; 32] = rand::random();
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The digits, as stores keep them.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0
    }

    /// The hash of this person's number. All that is hashed has the same length, so a plain prefix makes a keyed hash.
    #[must_use]
    pub fn hash(&self, person: Number) -> PersonHash {
        let digest = Sha256::new().chain_update(&self.0).chain_update(person.digits()).finalize();
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        half.into()
    }
}

impl FromStr for OptOutKey {
    type Err = InvalidOptOutKey;

    fn from_str(text: &str) -> Result<Self, InvalidOptOutKey> {
        let is_key = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if is_key { Ok(Self(text.to_owned())) } else { Err(InvalidOptOutKey) }
    }
}

impl fmt::Debug for OptOutKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OptOutKey")
    }
}
