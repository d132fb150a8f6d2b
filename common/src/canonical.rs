//! One text for each JSON value, which is hashed or signed.

use serde::Serialize;
use serde_json::Value;

use crate::digest::Digest;

/// The canonical JSON of a value: members in the order of their names, no white space. Without floats it is
/// that of RFC 8785; a float is written as `serde_json` writes it, with the fewest digits that read back.
#[must_use]
pub fn canonical(value: &Value) -> String {
    let mut sorted = value.clone();
    sorted.sort_all_objects();
    sorted.to_string()
}

/// The digest of the canonical JSON of plain data.
///
/// # Panics
/// If a value has no JSON: plain data always has.
#[must_use]
pub fn digest_of<T: Serialize>(value: &T) -> Digest {
    let value = serde_json::to_value(value).expect("plain data has a JSON form");
    Digest::of(canonical(&value).as_bytes())
}
