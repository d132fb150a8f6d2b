//! Sentinel-2 products before and since processing baseline 04.00, whose numbers differ by 1,000 for the same
//! reflectance: files say which they are.

use std::path::{Path, PathBuf};

use super::Dataset;
use super::baseline_words::{EARLIER, LATER, MIXED, NOT_THERE, REMOVED, joined};
use super::grids::Header;
use crate::bandcheck::Scaling;
use crate::config::Reading;
use crate::error::DataError;
use crate::geotiff::{Baseline, FileScaling};
use crate::image_file::ImageFile;

/// How near an offset must be to what the data set needs, as a share of it.
const NEAR: f64 = 1e-3;

impl Dataset {
    /// A note about the baselines of the files of a stack, if they have to be told apart.
    ///
    /// # Errors
    /// Under `strict`, if they contradict each other or the description.
    pub(super) fn baseline_note(
        &self,
        paths: &[PathBuf],
        headers: &[Header],
    ) -> Result<Option<String>, DataError> {
        let known = || {
            let files = paths.iter().map(PathBuf::as_path).zip(headers);
            files.filter_map(|(path, header)| Some((path, header.baseline?)))
        };
        if self.config.strict
            && let Some(contradiction) = self.contradicting_baselines(known())
        {
            return Err(DataError::Contradicted { path: self.path.clone(), findings: vec![contradiction] });
        }
        Ok(note_of(&self.config.reading(), known().map(|(_, baseline)| baseline)))
    }

    /// What is contradicted by the baselines of images, with how many they are and one of each kind.
    pub(super) fn contradicting_baselines<'a>(
        &self,
        images: impl Iterator<Item = (&'a Path, Baseline)>,
    ) -> Option<String> {
        let reading = self.config.reading();
        if are_settled(&reading) {
            return None;
        }
        let mut kinds: [Option<(usize, &Path, Baseline)>; 2] = [None; 2];
        for (path, baseline) in images {
            let kind = kinds[usize::from(baseline.has_offset())].get_or_insert((0, path, baseline));
            kind.0 += 1;
        }
        let said = |kind: Option<(usize, &Path, Baseline)>| {
            let (count, path, baseline) = kind?;
            let path = path.strip_prefix(self.root()).unwrap_or(path);
            Some(format!("{count} of baseline {baseline} and the like (`{}`)", path.display()))
        };
        let [earlier, later] = kinds.map(said);
        match (earlier, later, offset_is_removed(&reading)) {
            (Some(earlier), Some(later), _) => Some(format!("{MIXED}; found {earlier} and {later}")),
            (Some(earlier), None, true) => Some(format!("{NOT_THERE}; found {earlier}")),
            (None, Some(later), false) => Some(format!("{LATER}; found {later}")),
            _ => None,
        }
    }
}

/// What may be wrong about the baselines of images that are read together, where no data set describes them.
#[must_use]
pub fn baseline_notes<'a>(reading: &Reading, images: impl Iterator<Item = &'a ImageFile>) -> Vec<String> {
    let note = note_of(reading, images.filter_map(ImageFile::baseline));
    joined(&note.into_iter().collect())
}

fn note_of(reading: &Reading, mut found: impl Iterator<Item = Baseline>) -> Option<String> {
    if are_settled(reading) {
        return None;
    }
    let later = found.next()?.has_offset();
    let removed = offset_is_removed(reading);
    let note = match (later, found.all(|other| other.has_offset() == later)) {
        (_, false) => MIXED,
        (false, true) if removed => NOT_THERE,
        (false, true) => EARLIER,
        // Beside earlier images, this is a note too.
        (true, true) if removed => REMOVED,
        (true, true) => LATER,
    };
    Some(note.to_owned())
}

/// Whether it is said what is done about them.
fn are_settled(reading: &Reading) -> bool {
    reading.baseline_offset.is_some() || reading.file_scaling == Some(FileScaling::Apply)
}

/// Whether `offset` takes away what later baselines have added, from every band of light.
fn offset_is_removed(reading: &Reading) -> bool {
    let scaling = reading.scaling(&reading.bands);
    let light = reading.named_bands().into_iter().map(|band| band.is_reflective());
    let scaled: Vec<Scaling> =
        light.enumerate().filter(|(_, is_light)| *is_light).map(|(at, _)| scaling.of(at)).collect();
    // Bands of no known wavelength are taken for light.
    let all = if scaled.is_empty() { vec![scaling.of(0)] } else { scaled };
    all.into_iter().all(|Scaling { scale, offset }| {
        let needed = -Baseline::OFFSET * scale;
        (offset - needed).abs() <= NEAR * needed.abs()
    })
}
