//! Which bands of files are taken.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A band of the files that are stacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FileBand {
    /// Its number, from 1; of several files whose bands are stacked, counted through all of them.
    Number(u32),
    /// Its description, or its wavelength with a unit: `665 nm`, `2.19 um`.
    Text(String),
}

impl fmt::Display for FileBand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{}", text.escape_debug()),
        }
    }
}
