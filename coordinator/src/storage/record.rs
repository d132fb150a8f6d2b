//! A record outside of a store.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A record outside of a store. Its JSON is a line of an export.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// One of the store's trees.
    pub tree: String,
    /// Its key there.
    pub key: String,
    /// Its contents, in the schema that it was written with.
    pub record: Value,
}
