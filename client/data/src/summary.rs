//! A summary of a data set, to be read before training.

use std::collections::BTreeMap;

use eosfed_common::digest::Digest;
use eosfed_common::model::{STRIDE, Task};
use schemars::JsonSchema;
use serde::Serialize;

use crate::bandcheck::BandReport;
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::sample::{IGNORE, Sample, Target};
use crate::split::Split;
use crate::statistics::{BandStatistics, band_statistics};

/// Counts, statistics and warnings.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Summary {
    /// Samples in each part.
    pub samples: BTreeMap<String, usize>,
    /// For each part and class: images that have it, or labelled pixels.
    pub classes: BTreeMap<String, BTreeMap<String, u64>>,
    /// Moments of the target over the training part (regression).
    pub target: Option<BandStatistics>,
    /// Moments of each band over the training part.
    pub bands: Vec<BandStatistics>,
    /// The check of the bands against their names.
    pub band_check: Option<BandReport>,
    /// Smallest and largest sample, width by height.
    pub sizes: [[usize; 2]; 2],
    /// Digest of its description and of the names of its samples, each with its part.
    pub inventory: Digest,
    /// Warnings.
    pub warnings: Vec<String>,
}

/// Reads the whole data set and summarises it.
///
/// # Errors
/// As loading it.
pub fn summarise(dataset: &Dataset) -> Result<Summary, DataError> {
    let config = dataset.config();
    let mut summary = Summary {
        samples: BTreeMap::new(),
        classes: BTreeMap::new(),
        target: None,
        bands: Vec::new(),
        band_check: None,
        sizes: [[usize::MAX; 2], [0; 2]],
        inventory: dataset.inventory(),
        warnings: dataset.notes().to_vec(),
    };
    for split in Split::ALL {
        summary.samples.insert(split.name().to_owned(), dataset.len(split));
        if dataset.is_empty(split) {
            continue;
        }
        let loaded = dataset.load(split, &config.bands)?;
        summary.warnings.extend(loaded.skipped.iter().map(|reason| format!("skipped: {reason}")));
        for note in loaded.notes {
            if !summary.warnings.contains(&note) {
                summary.warnings.push(note);
            }
        }
        for Sample { width, height, .. } in &loaded.samples {
            let [low, high] = &mut summary.sizes;
            (low[0], low[1]) = (low[0].min(*width), low[1].min(*height));
            (high[0], high[1]) = (high[0].max(*width), high[1].max(*height));
        }
        let counts = class_counts(config.classes.len(), &loaded.samples);
        let named = config.classes.iter().cloned().zip(counts.iter().copied()).collect();
        summary.classes.insert(split.name().to_owned(), named);
        if split == Split::Train {
            summary.bands = band_statistics(&config.bands, loaded.samples.iter());
            let report = dataset.check_bands(&config.bands, &loaded.samples)?;
            summary.warnings.extend(report.findings.iter().map(ToString::to_string));
            summary.band_check = Some(report);
            if config.task == Task::Regression {
                summary.target = Some(target_moments(&config.classes[0], &loaded.samples));
            }
            summary.warnings.extend(label_warnings(dataset, &loaded.samples));
        }
    }
    summary.warnings.extend(size_warning(summary.sizes));
    for split in [Split::Train, Split::Validation] {
        if dataset.is_empty(split) {
            summary.warnings.push(format!("the {} part has no samples", split.name()));
        }
    }
    Ok(summary)
}

/// Whether the encoders can take samples of this width and height as they are.
#[must_use]
pub fn fits_encoders(size: [usize; 2]) -> bool {
    size.into_iter().all(|side| side > 0 && side.is_multiple_of(STRIDE as usize))
}

/// What samples of these sizes, the smallest and the largest, cannot be used for.
fn size_warning([low, high]: [[usize; 2]; 2]) -> Option<String> {
    if low == high && fits_encoders(low) {
        return None;
    }
    let sizes = format!("{}x{} to {}x{}", low[0], low[1], high[0], high[1]);
    Some(format!(
        "samples are from {sizes} pixels: jobs without `training.input_size` need one size whose sides are \
         multiples of {STRIDE}, and cannot use them; cut them by `layout.tile`, or ask for `training.input_size`"
    ))
}

fn class_counts(classes: usize, samples: &[Sample]) -> Vec<u64> {
    let mut counts = vec![0; classes];
    samples.iter().for_each(|sample| count_classes(&mut counts, &sample.target));
    counts
}

/// Adds the labels of a sample to the count of each class: images that have it, or labelled pixels.
pub(crate) fn count_classes(counts: &mut [u64], target: &Target) {
    match target {
        Target::Class(class) => counts[*class] += 1,
        Target::Classes(present) => {
            counts.iter_mut().zip(present).filter(|(_, has)| **has).for_each(|(count, _)| *count += 1);
        }
        Target::Values(values) => {
            counts[0] += values.iter().filter(|value| value.is_finite()).count() as u64;
        }
        Target::Mask(mask) => {
            mask.iter().filter(|class| **class != IGNORE).for_each(|class| counts[usize::from(*class)] += 1);
        }
    }
}

fn target_moments(name: &str, samples: &[Sample]) -> BandStatistics {
    let mut moments = BandStatistics::new(name);
    for sample in samples {
        if let Target::Values(values) = &sample.target {
            moments.add(values);
        }
    }
    moments
}

/// Warnings about the labels of a training part: classes that are missing, or all but one.
#[must_use]
pub fn label_warnings(dataset: &Dataset, samples: &[Sample]) -> Vec<String> {
    warnings_of_counts(dataset, &class_counts(dataset.config().classes.len(), samples))
}

/// The same, of labels that were counted already.
pub(crate) fn warnings_of_counts(dataset: &Dataset, counts: &[u64]) -> Vec<String> {
    let config = dataset.config();
    if config.task == Task::Regression {
        return Vec::new();
    }
    let (there, absent): (Vec<_>, Vec<_>) =
        config.classes.iter().zip(counts.iter().copied()).partition(|(_, count)| *count > 0);
    let names =
        |list: &[(&String, u64)]| list.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let path = dataset.path().display();
    match (there.len(), absent.len()) {
        (_, 0) => Vec::new(),
        (1, _) if config.classes.len() > 1 => {
            vec![format!(
                "{path}: the training part should have several classes, found only `{}`",
                names(&there)
            )]
        }
        _ => vec![format!("the training part has no sample of {}", names(&absent))],
    }
}
