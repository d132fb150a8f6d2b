//! Signatures with Ed25519: keys, statements, signing and verifying. Pure: keys and randomness are arguments.
//!
//! What is signed is a statement. Its bytes are a line with its kind, `eosfed KIND v1`, and the canonical JSON
//! of its content: members in the order of their names, no white space, numbers as `serde_json` writes them.
//! A signature for one kind of statement is therefore never one for another kind.

mod key;
mod pinned;
mod statements;

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use ring::signature::{ED25519, UnparsedPublicKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::canonical::canonical;

pub use key::{InvalidKey, PublicKey, SigningKey};
pub use pinned::{CoordinatorKey, CoordinatorKeys, MAX_KEYS, NotEndorsed, PinnedKeys};
pub use statements::{
    EnrolmentStatement, EvaluationStatement, SignedUpdate, StatisticsStatement, SuccessionStatement,
    UpdateStatement,
};

/// Something that can be signed.
pub trait Statement {
    /// The kind, a few words.
    const KIND: &'static str;

    /// What is stated.
    fn content(&self) -> Value;
}

/// The bytes that are signed.
fn bytes<S: Statement>(statement: &S) -> Vec<u8> {
    format!("eosfed {} v1\n{}", S::KIND, canonical(&statement.content())).into_bytes()
}

/// A signature and the key that it was made with, written `ed25519:KEY:VALUE` with 64 and 128 hexadecimal
/// digits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct KeySignature {
    /// The key.
    pub key: PublicKey,
    value: [u8; 64],
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// It was made with a key that does not count here.
    #[error("it is signed with the key {found}, expected {}", expected(.known))]
    OtherKey {
        /// The key.
        found: PublicKey,
        /// The keys that count.
        known: Vec<PublicKey>,
    },
    /// It is not a signature of this statement.
    #[error("the signature by {key} does not fit the {kind}: one of them was changed")]
    Wrong {
        /// The key.
        key: PublicKey,
        /// The kind of statement.
        kind: &'static str,
    },
}

fn expected(known: &[PublicKey]) -> String {
    match known {
        [] => "none, because no key is known".to_owned(),
        keys => keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "),
    }
}

impl SigningKey {
    /// Signs a statement. The same statement has the same signature each time.
    #[must_use]
    pub fn sign<S: Statement>(&self, statement: &S) -> KeySignature {
        KeySignature { key: self.public(), value: self.sign_bytes(&bytes(statement)) }
    }
}

impl KeySignature {
    /// Checks that it was made with one of these keys, for this statement.
    ///
    /// # Errors
    /// The first of the two that does not hold.
    pub fn verify<S: Statement>(&self, statement: &S, keys: &[PublicKey]) -> Result<(), BadSignature> {
        if !keys.contains(&self.key) {
            return Err(BadSignature::OtherKey { found: self.key, known: keys.to_vec() });
        }
        let verified =
            UnparsedPublicKey::new(&ED25519, self.key.bytes()).verify(&bytes(statement), &self.value);
        verified.map_err(|_| BadSignature::Wrong { key: self.key, kind: S::KIND })
    }
}

impl fmt::Display for KeySignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.key, hex::encode(self.value))
    }
}

impl fmt::Debug for KeySignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a signature is `ed25519:`, 64 lower-case hexadecimal digits, `:` and 128 of them")]
pub struct InvalidSignature;

impl FromStr for KeySignature {
    type Err = InvalidSignature;

    fn from_str(text: &str) -> Result<Self, InvalidSignature> {
        let (key, digits) = text.rsplit_once(':').ok_or(InvalidSignature)?;
        let key = key.parse().map_err(|_| InvalidSignature)?;
        Ok(Self { key, value: key::digits(digits).ok_or(InvalidSignature)? })
    }
}

impl TryFrom<String> for KeySignature {
    type Error = InvalidSignature;

    fn try_from(text: String) -> Result<Self, InvalidSignature> {
        text.parse()
    }
}

impl From<KeySignature> for String {
    fn from(signature: KeySignature) -> Self {
        signature.to_string()
    }
}
