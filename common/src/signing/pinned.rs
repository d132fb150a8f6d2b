//! The signing keys of a coordinator as a member knows them. A member takes the keys that it is told when it
//! joins. Later it takes a new key only if a key that it knows has signed it.

use serde::{Deserialize, Serialize};

use super::{KeySignature, PublicKey, SigningKey, SuccessionStatement};

/// Most keys that a coordinator has had.
pub const MAX_KEYS: usize = 16;

/// A key of the coordinator as members are told it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoordinatorKey {
    /// The key.
    pub key: PublicKey,
    /// The signature of the key before it; absent for the first key.
    pub endorsement: Option<KeySignature>,
}

impl CoordinatorKey {
    /// A first key.
    #[must_use]
    pub const fn first(key: PublicKey) -> Self {
        Self { key, endorsement: None }
    }

    /// A key that follows another one, which signs it.
    #[must_use]
    pub fn following(key: PublicKey, before: &SigningKey) -> Self {
        Self { key, endorsement: Some(before.sign(&SuccessionStatement { key })) }
    }
}

/// The keys of a coordinator: the one that signs, and what it tells members.
#[derive(Debug, Clone)]
pub struct CoordinatorKeys {
    key: SigningKey,
    named: Vec<CoordinatorKey>,
}

impl CoordinatorKeys {
    /// A first key.
    #[must_use]
    pub fn new(key: SigningKey) -> Self {
        let named = vec![CoordinatorKey::first(key.public())];
        Self { key, named }
    }

    /// A key with what members are told; nothing if the last of them is another key.
    #[must_use]
    pub fn restore(key: SigningKey, named: Vec<CoordinatorKey>) -> Option<Self> {
        (named.last()?.key == key.public()).then_some(Self { key, named })
    }

    /// The key that signs.
    #[must_use]
    pub const fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The keys that members are told, oldest first.
    #[must_use]
    pub fn named(&self) -> &[CoordinatorKey] {
        &self.named
    }

    /// The public keys.
    #[must_use]
    pub fn public(&self) -> Vec<PublicKey> {
        self.named.iter().map(|one| one.key).collect()
    }

    /// With a new key, which the present one signs. The oldest key is forgotten if there are too many.
    #[must_use]
    pub fn rotated(&self, key: SigningKey) -> Self {
        let mut named = self.named.clone();
        named.push(CoordinatorKey::following(key.public(), &self.key));
        let named = named.split_off(named.len().saturating_sub(MAX_KEYS));
        Self { key, named }
    }
}

/// The keys that a member knows, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedKeys(pub Vec<PublicKey>);

/// A key that no known key has signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the coordinator names the signing key {0}, which no key that is known here has signed; nothing was \
     replaced. Ask its operator; with a new token you can join again"
)]
pub struct NotEndorsed(pub PublicKey);

impl PinnedKeys {
    /// The keys that a coordinator names, if they are known, or if known keys have signed them. Where no key
    /// is known yet, all of them.
    ///
    /// # Errors
    /// The first key that is neither.
    pub fn extended(&self, named: &[CoordinatorKey]) -> Result<Self, NotEndorsed> {
        let mut keys = self.0.clone();
        for CoordinatorKey { key, endorsement } in named.iter().take(MAX_KEYS) {
            if keys.contains(key) {
                continue;
            }
            let statement = SuccessionStatement { key: *key };
            let signed = endorsement.is_some_and(|signature| signature.verify(&statement, &keys).is_ok());
            if !signed && !self.0.is_empty() {
                return Err(NotEndorsed(*key));
            }
            keys.push(*key);
        }
        let first = keys.len().saturating_sub(MAX_KEYS);
        Ok(Self(keys.split_off(first)))
    }
}
