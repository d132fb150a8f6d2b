//! Which pixels of a data set count, by its rule `valid`.

use crate::config::{DatasetConfig, ValidRule};
use crate::raster::Raster;

/// The rule, and where its bands are in a stack; nothing if there is no rule.
#[derive(Debug)]
pub(super) struct Valid {
    rule: Option<ValidRule>,
    positions: Vec<usize>,
}

impl Valid {
    /// That of a checked description.
    pub(super) fn new(config: &DatasetConfig) -> Self {
        let rule = config.valid.as_deref().and_then(|text| ValidRule::parse(text).ok());
        let position = |band: &str| config.bands.iter().position(|known| known == band);
        let positions = rule.iter().flat_map(ValidRule::bands).filter_map(position).collect();
        Self { rule, positions }
    }

    /// The bands of the rule, one for each condition.
    pub(super) fn positions(&self) -> &[usize] {
        &self.positions
    }

    /// Whether each pixel counts at every date; none if all do.
    pub(super) fn counting(&self, dates: &[Raster]) -> Option<Vec<bool>> {
        let rule = self.rule.as_ref()?;
        let counts = |at: usize| {
            dates.iter().all(|date| rule.holds(self.positions.iter().map(|band| date.band(*band)[at])))
        };
        let first = dates.first()?;
        Some((0..first.width * first.height).map(counts).collect())
    }

    /// The rule in a sentence about pixels that count.
    pub(super) fn said(&self) -> &'static str {
        if self.rule.is_some() { ", and for which `valid` holds" } else { "" }
    }
}
