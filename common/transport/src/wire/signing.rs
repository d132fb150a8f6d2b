//! Signing keys of the coordinator.

use eosfed_common::signing::{CoordinatorKey, MAX_KEYS};
use eosfed_proto::v1;

use super::{Wire, WireError, at_most, parse};

impl Wire for CoordinatorKey {
    type Message = v1::CoordinatorKey;

    fn from_message(message: v1::CoordinatorKey) -> Result<Self, WireError> {
        let v1::CoordinatorKey { key, endorsement } = message;
        let endorsement = Some(endorsement).filter(|text| !text.is_empty());
        Ok(Self {
            key: parse("key", &key)?,
            endorsement: endorsement.map(|text| parse("endorsement", &text)).transpose()?,
        })
    }

    fn into_message(self) -> v1::CoordinatorKey {
        let Self { key, endorsement } = self;
        let endorsement = endorsement.map(String::from).unwrap_or_default();
        v1::CoordinatorKey { key: key.to_string(), endorsement }
    }
}

/// The keys that a coordinator names.
///
/// # Errors
/// If there are too many, or one is none.
pub fn coordinator_keys(message: Vec<v1::CoordinatorKey>) -> Result<Vec<CoordinatorKey>, WireError> {
    at_most("coordinator_keys", MAX_KEYS, message)?.into_iter().map(CoordinatorKey::from_message).collect()
}

/// The message of keys.
#[must_use]
pub fn coordinator_keys_message(keys: &[CoordinatorKey]) -> Vec<v1::CoordinatorKey> {
    keys.iter().cloned().map(Wire::into_message).collect()
}
