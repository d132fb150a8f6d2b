//! Sentinel-2 products before and since processing baseline 04.00, whose numbers differ by 1,000 for the same
//! reflectance: files say which they are.

use std::collections::BTreeSet;

use super::Dataset;
use super::grids::Header;
use crate::geotiff::{Baseline, FileScaling};

/// A note that is shown only beside one about later baselines.
const EARLIER: &str = "images are of a Sentinel-2 processing baseline before 04.00";
const LATER: &str = "images are of Sentinel-2 processing baseline 04.00 or later, whose numbers are 1000 larger than those of \
                     earlier ones, and `offset` does not take it away; write `baseline_offset = \"remove\"` in dataset.toml, \
                     or `\"keep\"` if it was removed before";
const MIXED: &str = "images are of Sentinel-2 processing baselines before and since 04.00, whose numbers differ by 1000 for the \
                     same reflectance; write `baseline_offset = \"remove\"` in dataset.toml, or `\"keep\"` if that difference \
                     was removed before";
/// A note that is shown only beside one about earlier baselines.
const REMOVED: &str =
    "images are of Sentinel-2 processing baseline 04.00 or later, and `offset` takes 1000 away";
/// How near an offset must be to what the data set needs, as a share of it.
const NEAR: f64 = 1e-3;

impl Dataset {
    /// A note about the baselines of the files of a stack, if they have to be told apart.
    pub(super) fn baseline_note(&self, headers: &[Header]) -> Option<String> {
        let config = &self.config;
        if config.baseline_offset.is_some() || config.file_scaling == Some(FileScaling::Apply) {
            return None;
        }
        let mut found = headers.iter().filter_map(|header| header.baseline);
        let first = found.next()?;
        let later = first >= Baseline::WITH_OFFSET;
        let needed = -Baseline::OFFSET * config.scale;
        let removed = (config.offset - needed).abs() <= NEAR * needed.abs();
        Some(match (later, found.all(|other| (other >= Baseline::WITH_OFFSET) == later)) {
            (_, false) => MIXED.to_owned(),
            (false, true) => EARLIER.to_owned(),
            // Beside earlier images, this is a note too.
            (true, true) if removed => REMOVED.to_owned(),
            (true, true) => LATER.to_owned(),
        })
    }
}

/// Notes about all samples together.
pub(crate) fn joined(notes: &BTreeSet<String>) -> Vec<String> {
    let has = |note: &str| notes.contains(note);
    let mixed = has(MIXED) || (has(EARLIER) && (has(LATER) || has(REMOVED)));
    let own = [EARLIER, LATER, REMOVED, MIXED];
    let others = notes.iter().filter(|note| !own.contains(&note.as_str())).cloned();
    let said = if mixed { Some(MIXED) } else { has(LATER).then_some(LATER) };
    others.chain(said.map(str::to_owned)).collect()
}
