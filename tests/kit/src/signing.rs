//! Signing keys that follow from names.

use eosfed_common::digest::Digest;
use eosfed_common::signing::{CoordinatorKeys, SigningKey};

fn key(of: &str) -> SigningKey {
    let digits = Digest::of(format!("eosfed test key of {of}").as_bytes()).to_hex();
    SigningKey::from_file(&format!("eosfed-signing-key-v1 {digits}")).unwrap()
}

/// The key of an institution.
#[must_use]
pub fn institution(name: &str) -> SigningKey {
    key(&format!("institution {name}"))
}

/// The keys of the coordinator.
#[must_use]
pub fn coordinator() -> CoordinatorKeys {
    CoordinatorKeys::new(key("coordinator"))
}
