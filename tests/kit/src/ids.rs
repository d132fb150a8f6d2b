//! Names, tokens and times.

use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{IdempotencyKey, InstitutionName, LeaseToken};
use rand::SeedableRng as _;
use rand_chacha::ChaCha12Rng;

/// When tests happen: in November 2026.
pub const NOW: Timestamp = Timestamp(1_795_000_000_000);

/// The name of an institution.
#[must_use]
pub fn name(text: &str) -> InstitutionName {
    text.parse().unwrap()
}

/// The generator with this seed.
#[must_use]
pub fn rng(seed: u64) -> ChaCha12Rng {
    ChaCha12Rng::seed_from_u64(seed)
}

/// A lease's token.
#[must_use]
pub fn token(seed: u64) -> LeaseToken {
    LeaseToken::random(&mut rng(seed))
}

/// The key of a call.
#[must_use]
pub fn key(seed: u64) -> IdempotencyKey {
    IdempotencyKey::random(&mut rng(seed))
}
