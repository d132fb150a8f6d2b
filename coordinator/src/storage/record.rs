//! A record outside a store.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A record outside a store; as JSON, a line of an export.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// One of the store's trees.
    pub tree: String,
    /// Its key there.
    pub key: String,
    /// What it says, in the shape of the schema that it was written under.
    pub record: Value,
}
