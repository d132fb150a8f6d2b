//! Which pixels of images count, by the rule `valid`.

use crate::config::{Reading, ValidRule};
use crate::raster::Raster;

/// The rule, and where its bands are in a stack; nothing if there is no rule.
#[derive(Debug)]
pub struct Valid {
    rule: Option<ValidRule>,
    positions: Vec<usize>,
}

impl Valid {
    /// That of checked words ([`Reading::broken_rules`]).
    #[must_use]
    pub fn new(reading: &Reading) -> Self {
        let rule = reading.valid.as_deref().and_then(|text| ValidRule::parse(text).ok());
        let position = |band: &str| reading.bands.iter().position(|known| known == band);
        let positions = rule.iter().flat_map(ValidRule::bands).filter_map(position).collect();
        Self { rule, positions }
    }

    /// The bands of the rule, one for each condition, among those of [`Reading::bands`].
    #[must_use]
    pub fn positions(&self) -> &[usize] {
        &self.positions
    }

    /// Whether a pixel counts at a date; `values` has the stored number of each of [`Self::positions`]. All do without a
    /// rule.
    pub fn holds(&self, values: impl Iterator<Item = f32>) -> bool {
        self.rule.as_ref().is_none_or(|rule| rule.holds(values))
    }

    /// Whether each pixel counts at every date; none if all do.
    pub(super) fn counting(&self, dates: &[Raster]) -> Option<Vec<bool>> {
        self.rule.as_ref()?;
        let counts = |at: usize| {
            dates.iter().all(|date| self.holds(self.positions.iter().map(|band| date.band(*band)[at])))
        };
        let first = dates.first()?;
        Some((0..first.width * first.height).map(counts).collect())
    }

    /// The rule in a sentence about pixels that count.
    pub(super) const fn said(&self) -> &'static str {
        if self.rule.is_some() { ", and for which `valid` holds" } else { "" }
    }
}
