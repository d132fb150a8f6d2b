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

/// As in a list on a command line: digits are a number, all else is text.
impl From<&str> for FileBand {
    fn from(text: &str) -> Self {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits => Self::Number(number),
            _ => Self::Text(text.to_owned()),
        }
    }
}

impl fmt::Display for FileBand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{}", text.escape_debug()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_a_number_and_all_else_is_text() {
        assert_eq!(FileBand::from("16"), FileBand::Number(16));
        for text in ["B03", "665 nm", "+1", "-1", "", "99999999999"] {
            assert_eq!(FileBand::from(text), FileBand::Text(text.to_owned()));
        }
    }
}
