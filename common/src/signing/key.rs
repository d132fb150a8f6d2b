//! Ed25519 keys (RFC 8032).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rand::{CryptoRng, RngExt as _};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::secret::Secret;

const NAME: &str = "ed25519:";

/// A public key, written `ed25519:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

/// The text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// It has another form.
    #[error("a public key is `ed25519:` and 64 lower-case hexadecimal digits")]
    Form,
    /// It has a small order: there are signatures by such a key that fit many messages.
    #[error("a public key must not be a point of small order")]
    SmallOrder,
    /// It is not the text of a private key.
    #[error("not a signing key of this system")]
    Private,
}

/// The encodings of points of small order, without the bit of the sign (RFC 8032; the list is that of
/// libsodium). A signature by such a key can fit every message, and `ring` accepts them.
const SMALL_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/// Exactly so many lower-case hexadecimal digits as bytes.
pub(super) fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

impl PublicKey {
    pub(super) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// SHA-256 of its 32 bytes, which people compare.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NAME}{}", hex::encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let bytes: [u8; 32] = text.strip_prefix(NAME).and_then(digits).ok_or(InvalidKey::Form)?;
        let mut without_sign = bytes;
        without_sign[31] &= 0x7f;
        if SMALL_ORDER.contains(&hex::encode(without_sign).as_str()) {
            return Err(InvalidKey::SmallOrder);
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for PublicKey {
    type Error = InvalidKey;

    fn try_from(text: String) -> Result<Self, InvalidKey> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

/// A private key. It is never printed: its text is for the file that it is kept in.
#[derive(Clone)]
pub struct SigningKey {
    line: Secret,
    pair: Arc<Ed25519KeyPair>,
}

const PRIVATE: &str = "eosfed-signing-key-v1 ";

impl SigningKey {
    /// Makes a key of a cryptographically secure generator.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::from_seed(rng.random())
    }

    /// The key of a seed.
    ///
    /// # Panics
    /// Never: each seed of this length is one of a key.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("each seed of 32 bytes is one of a key");
        let line = Secret::new(format!("{PRIVATE}{}\n", hex::encode(seed)));
        Self { line, pair: Arc::new(pair) }
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey(bytes)
    }

    pub(super) fn sign_bytes(&self, bytes: &[u8]) -> [u8; 64] {
        let mut value = [0; 64];
        value.copy_from_slice(self.pair.sign(bytes).as_ref());
        value
    }

    /// The line that a file keeps it as.
    #[must_use]
    pub const fn to_file(&self) -> &Secret {
        &self.line
    }

    /// Reads the line of a file. The error never shows it.
    ///
    /// # Errors
    /// [`InvalidKey::Private`].
    pub fn from_file(text: &str) -> Result<Self, InvalidKey> {
        let seed = text.trim_end().strip_prefix(PRIVATE).and_then(digits).ok_or(InvalidKey::Private)?;
        Ok(Self::from_seed(seed))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the private half of {}", self.public())
    }
}
