//! What the imagery that something was trained on has in common.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The imagery that a head or a specialist was trained on. `predict` cuts a scene into windows of the same size and compares
/// the ground sampling distances, since a head does not recognise things at another scale.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Imagery {
    /// Height and width of a sample in pixels, before it was resized to `input_size`. Absent if samples had
    /// several sizes.
    pub tile: Option<[u32; 2]>,
    /// Metres on the ground from one pixel to the next. Absent if files do not state it or differ.
    pub ground_sampling_distance: Option<f64>,
}

impl fmt::Display for Imagery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tile {
            Some([height, width]) => write!(f, "tiles of {height}x{width} pixels")?,
            None => f.write_str("tiles of several or unknown sizes")?,
        }
        match self.ground_sampling_distance {
            Some(metres) => write!(f, " at {metres:.2} m"),
            None => f.write_str(" at an unknown ground sampling distance"),
        }
    }
}

impl Imagery {
    /// Largest side of a tile in pixels.
    pub const MAX_TILE: u32 = 32_768;
    /// Largest ground sampling distance in metres.
    pub const MAX_DISTANCE: f64 = 1e6;
    /// Ground sampling distances that differ by less than this factor count as equal.
    pub const ALIKE: f64 = 1.1;

    /// The common properties of the imagery of several institutions: those that all of them report with the
    /// same value.
    #[must_use]
    pub fn shared(all: &[Self]) -> Self {
        let tile = all.first().and_then(|first| first.tile);
        let distances: Option<Vec<f64>> = all.iter().map(|one| one.ground_sampling_distance).collect();
        let distances = distances.unwrap_or_default();
        let low = distances.iter().copied().fold(f64::INFINITY, f64::min);
        let high = distances.iter().copied().fold(0.0, f64::max);
        Self {
            tile: tile.filter(|tile| all.iter().all(|one| one.tile == Some(*tile))),
            ground_sampling_distance: (high > 0.0 && high <= low * Self::ALIKE).then(|| (low * high).sqrt()),
        }
    }

    /// Whether nothing is known of it.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// Metres on the ground in a pixel as a network sees it, which gets tiles resized to `input_size`. `None` if
    /// that is unknown.
    #[must_use]
    pub fn metres_per_pixel(&self, input_size: Option<u32>) -> Option<f64> {
        let metres = self.ground_sampling_distance?;
        let Some(side) = input_size else { return Some(metres) };
        let [height, width] = self.tile?;
        Some(metres * f64::from(height.max(width)) / f64::from(side.max(1)))
    }

    /// Checks the bounds of the numbers.
    ///
    /// # Errors
    /// A sentence with the key, the rule and the value found.
    pub fn check(&self) -> Result<(), String> {
        if let Some(tile) = self.tile
            && !tile.iter().all(|side| (1..=Self::MAX_TILE).contains(side))
        {
            let (most, [height, width]) = (Self::MAX_TILE, tile);
            return Err(format!(
                "`imagery.tile` must be 1 to {most} pixels high and wide, found `{height}x{width}`"
            ));
        }
        match self.ground_sampling_distance {
            Some(metres) if !(metres > 0.0 && metres <= Self::MAX_DISTANCE) => Err(format!(
                "`imagery.ground_sampling_distance` must be above 0 and at most {} metres, found `{metres}`",
                Self::MAX_DISTANCE
            )),
            _ => Ok(()),
        }
    }
}
