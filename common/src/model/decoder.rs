//! How wide the decoder of a head is.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Method, Task};

/// Groups of channels that the decoder normalises together.
const GROUPS: u32 = 32;
const MOST: u32 = 512;

/// Channels of a UPerNet decoder: a multiple of 32 up to 512. Most of a head's parameters are in its 3x3 convolutions,
/// so they grow with the square: over maps of ConvNeXtV2-atto a decoder has 2.2 million with 128 channels, and 0.2
/// million with 32. With few labelled samples a narrow one overfits less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u32", into = "u32")]
#[schemars(extend("x-rule" = "a multiple of 32, 32 to 512"))]
pub struct DecoderChannels(u32);

impl DecoderChannels {
    /// As in the reference set-up of EoS-FM.
    pub const DEFAULT: Self = Self(128);

    /// The number.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0 as usize
    }

    /// Whether a head for a task with a method can have it: a head without decoder takes the default only.
    #[must_use]
    pub fn fits(self, task: Task, method: Method) -> bool {
        self.is_default() || (task.is_dense() && method == Method::Fusion)
    }

    /// Whether it is the default, which documents leave out.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::DEFAULT
    }
}

impl Default for DecoderChannels {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl TryFrom<u32> for DecoderChannels {
    type Error = String;

    fn try_from(channels: u32) -> Result<Self, String> {
        if channels.is_multiple_of(GROUPS) && (GROUPS..=MOST).contains(&channels) {
            return Ok(Self(channels));
        }
        Err(format!(
            "a decoder must have a multiple of {GROUPS} channels, {GROUPS} to {MOST}, found `{channels}`"
        ))
    }
}

impl FromStr for DecoderChannels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<u32>()
            .map_err(|error| format!("`{text}` is not a number of channels: {error}"))?
            .try_into()
    }
}

impl fmt::Display for DecoderChannels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<DecoderChannels> for u32 {
    fn from(channels: DecoderChannels) -> Self {
        channels.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_multiples_of_the_groups_within_bounds() {
        for good in [32, 64, 128, 512] {
            assert_eq!(DecoderChannels::try_from(good).map(u32::from), Ok(good));
        }
        for bad in [0, 1, 31, 33, 544, u32::MAX] {
            assert!(DecoderChannels::try_from(bad).unwrap_err().contains(&format!("found `{bad}`")));
        }
        assert!(
            serde_json::from_str::<DecoderChannels>("100")
                .unwrap_err()
                .to_string()
                .contains("multiple of 32")
        );
        let narrow = DecoderChannels::try_from(32).unwrap();
        assert!(narrow.fits(Task::Segmentation, Method::Fusion));
        assert!(
            !narrow.fits(Task::Classification, Method::Fusion)
                && !narrow.fits(Task::Segmentation, Method::Router)
        );
        assert!(DecoderChannels::DEFAULT.fits(Task::Classification, Method::Router));
    }
}
