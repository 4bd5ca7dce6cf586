//! API keys: as settings write them, and how they are compared.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;

/// Begins an API key that is given as its hash.
const HASHED: &str = "sha256:";
/// The least number of characters of a key. A shorter one could be guessed.
pub const SHORTEST_KEY: usize = 16;
/// The most characters of a key's name.
const LONGEST_NAME: usize = 32;

/// The SHA-256 hash of a secret. All comparisons are of hashes, which have the same length.
#[derive(Clone, Copy)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The hash of this secret.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// Compares in constant time.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    fn parse(hex: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let is_hash = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)).filter(|_| is_hash) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        is_hash.then_some(Self(bytes))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// An API key, of which only the hash is kept.
pub struct ApiKey {
    /// What the log calls it: its name, or the first 8 digits of its hash.
    pub label: String,
    /// Its hash.
    pub hash: Hash,
}

/// Why an API key cannot be used. The texts do not quote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Other characters change their meaning in a URL, or separate keys and names.
    #[error("may have letters, digits, - . _ and ~ only; `sms-proxy new-key` makes a good one")]
    Characters,
    /// A shorter one could be guessed.
    #[error("has a key of fewer than {SHORTEST_KEY} characters, or a comma too many")]
    Short,
    /// So could this one.
    #[error("has a key of one repeated character; `sms-proxy new-key` makes a good one")]
    Repeated,
    /// It begins as a hash and is none.
    #[error("has a key that begins with sha256: and does not go on with 64 hex digits")]
    Hash,
    /// It has a `=`, but is no name and key.
    #[error(
        "has a key with a =, which stands between a key's name (at most {LONGEST_NAME} characters) and the key (at least \
         {SHORTEST_KEY}); both may have letters, digits, - . _ and ~ only"
    )]
    Name,
}

impl ApiKey {
    /// Reads `key`, `name=key`, `sha256:hash` or `name=sha256:hash`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(written: &str) -> Result<Self, InvalidKey> {
        let Some((name, key)) = written.split_once('=') else {
            let hash = read(written.trim())?;
            return Ok(Self { label: hash.to_string()[..8].to_owned(), hash });
        };
        let (name, hash) = (name.trim(), read(key.trim()));
        match hash {
            _ if !is_unreserved(name) || !(1..=LONGEST_NAME).contains(&name.len()) => Err(InvalidKey::Name),
            Err(InvalidKey::Characters | InvalidKey::Short) => Err(InvalidKey::Name),
            hash => Ok(Self { label: name.to_owned(), hash: hash? }),
        }
    }
}

/// The hash of a key that is given in full or as its hash.
fn read(key: &str) -> Result<Hash, InvalidKey> {
    match key.strip_prefix(HASHED) {
        Some(hex) => Hash::parse(hex).ok_or(InvalidKey::Hash),
        None => check_secret(key).map(|()| Hash::of(key)),
    }
}

/// Checks a key or token that is given in full.
///
/// # Errors
/// When it can be guessed, or has characters that do not mean themselves in a URL.
pub fn check_secret(secret: &str) -> Result<(), InvalidKey> {
    let mut characters = secret.chars();
    let first = characters.next();
    match secret.len() {
        _ if !is_unreserved(secret) => Err(InvalidKey::Characters),
        0..SHORTEST_KEY => Err(InvalidKey::Short),
        _ if characters.all(|other| Some(other) == first) => Err(InvalidKey::Repeated),
        _ => Ok(()),
    }
}

/// Whether all characters are unreserved in URLs (RFC 3986, section 2.3).
fn is_unreserved(secret: &str) -> bool {
    secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// The API keys of a server.
pub(super) struct Keys(Vec<ApiKey>);

impl Keys {
    /// The keys as the settings have written them. One that cannot be read admits nobody.
    pub(super) fn of(written: &[SecretString]) -> Self {
        let unusable = || ApiKey { label: "unusable".to_owned(), hash: Hash([0; 32]) };
        Self(
            written
                .iter()
                .map(|key| ApiKey::parse(key.expose_secret()).unwrap_or_else(|_| unusable()))
                .collect(),
        )
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The label of this key. All keys are compared, so that the time taken reveals nothing about them.
    pub(super) fn label(&self, given: &str) -> Option<&str> {
        let given = Hash::of(given);
        self.0
            .iter()
            .fold(None, |found, key| if key.hash.is(&given) { Some(key.label.as_str()) } else { found })
    }
}
