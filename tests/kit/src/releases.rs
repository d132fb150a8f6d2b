//! Releases, and heads over them.

use eosfed_common::card::ReleaseManifest;
use eosfed_common::head::HeadOver;

/// A head over [`release`], as it travels.
pub const HEAD: &str = include_str!("../documents/head.json");

/// The head over [`release`]; it tells `a` from `b`.
#[must_use]
pub fn head() -> HeadOver {
    HeadOver::from_bytes(HEAD.as_bytes()).unwrap()
}

/// The release of one specialist, [`crate::cards::card`].
#[must_use]
pub fn release() -> ReleaseManifest {
    head().release
}
