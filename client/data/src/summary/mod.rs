//! A summary of a data set, to be read before training. Samples are read a few at a time, so that memory does not
//! depend on their number.

mod target;
mod unused;

use std::collections::BTreeMap;

use eosfed_common::counted::counted;
use eosfed_common::digest::Digest;
use eosfed_common::model::{STRIDE, Task};
use schemars::JsonSchema;
use serde::Serialize;

use target::TargetSurvey;
pub use target::{TargetPercentiles, TargetStatistics};
pub use unused::UnusedFile;

use crate::bandcheck::BandReport;
use crate::dataset::{Dataset, EqualPixels, Notes, PolygonReport, Unlisted};
use crate::error::DataError;
use crate::reasons::{Groups, ReasonGroup};
use crate::sample::{IGNORE, Sample, Target};
use crate::split::Split;
use crate::statistics::BandStatistics;
use crate::survey::{BandSurvey, Surveyed};

/// Samples that are in memory at once.
const AT_ONCE: usize = 32;

/// Counts, statistics and warnings.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Summary {
    /// Samples in each part.
    pub samples: BTreeMap<String, usize>,
    /// Samples of each part that were looked at, if not all: everything below is of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<BTreeMap<String, usize>>,
    /// For each part and class: images that have it, or labelled pixels.
    pub classes: BTreeMap<String, BTreeMap<String, u64>>,
    /// For each value of masks that `mask_values` does not list: its pixels, which have no label. Other values than whole numbers,
    /// and what are too many, are `others`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unlisted_mask_values: BTreeMap<String, u64>,
    /// The target over the training part (regression).
    pub target: Option<TargetStatistics>,
    /// Moments of each band over the training part.
    pub bands: Vec<BandStatistics>,
    /// The check of the bands against their names.
    pub band_check: Option<BandReport>,
    /// Smallest and largest sample, width by height.
    pub sizes: [[usize; 2]; 2],
    /// Pixels at each edge of a sample that are not judged, where it is no edge of its image. Numbers of classes and moments are
    /// of the others. Absent if all are judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halo: Option<u32>,
    /// How many features of polygon files are used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub polygons: Option<PolygonReport>,
    /// Digest of its description and of the names of its samples, each with its part.
    pub inventory: Digest,
    /// Samples that cannot be read, by what is wrong with them; for equal reasons once.
    pub unreadable: Vec<ReasonGroup>,
    /// Files in the folders of the data set that belong to no sample, with the reason.
    pub unused: Vec<UnusedFile>,
    /// Warnings.
    pub warnings: Vec<String>,
}

/// How a data set is looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// Most samples of each part that are read, spread evenly over it; all if not given.
    pub most: Option<usize>,
}

/// Reads the whole data set and summarises it.
///
/// # Errors
/// As loading it.
pub fn summarise(dataset: &Dataset) -> Result<Summary, DataError> {
    summarise_with(dataset, Look::default(), |_, _| ())
}

/// As [`summarise`]. `progress` is told how many samples have been read, and of how many.
///
/// # Errors
/// As loading it.
pub fn summarise_with(
    dataset: &Dataset,
    look: Look,
    mut progress: impl FnMut(usize, usize),
) -> Result<Summary, DataError> {
    let config = dataset.config();
    let most = look.most.unwrap_or(usize::MAX);
    let of_part = |split: Split| dataset.len(split).min(most);
    let wanted = Split::ALL.into_iter().map(of_part).sum();
    let mut summary = Summary {
        samples: BTreeMap::new(),
        looked_at: None,
        classes: BTreeMap::new(),
        unlisted_mask_values: BTreeMap::new(),
        target: None,
        bands: Vec::new(),
        band_check: None,
        sizes: [[usize::MAX; 2], [0; 2]],
        halo: Some(config.layout.cut().halo).filter(|halo| *halo > 0),
        polygons: dataset.polygons().cloned(),
        inventory: dataset.inventory(),
        unreadable: Vec::new(),
        unused: unused::of(dataset)?,
        warnings: [dataset.notes(), &config.warnings()].concat(),
    };
    summary.warnings.extend(unused::place_files(dataset, &summary.unused));
    let mut done = 0;
    // Files that could not be opened belong to no part, and are told with the training part.
    let broken = if dataset.is_empty(Split::Train) { dataset.broken_groups() } else { Groups::default() };
    let mut unreadable = Unreadable { groups: broken, empty: None };
    let mut unlisted = Unlisted::default();
    let mut equal = EqualPixels::default();
    let mut notes = Notes::default();
    for split in Split::ALL {
        summary.samples.insert(split.name().to_owned(), dataset.len(split));
        if dataset.is_empty(split) {
            continue;
        }
        let mut part = Part::new(dataset, split, of_part(split));
        let mut readable = false;
        let mut chunks = dataset.chunks(split, &config.bands, AT_ONCE)?.at_most(of_part(split)).to_the_end();
        while let Some(chunk) = chunks.next() {
            readable = true;
            for sample in &chunk? {
                part.add(sample);
                equal.add(split, &sample.key, sample.width, &sample.image);
            }
            progress(done + chunks.done(), wanted);
        }
        done += chunks.done();
        unreadable.groups.merge(chunks.groups());
        unlisted.merge(chunks.unlisted());
        if !readable {
            unreadable.empty.get_or_insert_with(|| chunks.without_readable());
            continue;
        }
        let (of_part, about_all) = chunks.noted();
        notes.merge(of_part);
        summary.warnings.extend(about_all.filter(|note| !summary.warnings.contains(note)));
        part.report(dataset, chunks.unlisted(), &mut summary)?;
    }
    for note in notes.said(dataset.root()) {
        if !summary.warnings.contains(&note) {
            summary.warnings.push(note);
        }
    }
    let sampled = Split::ALL.into_iter().any(|split| dataset.len(split) > most);
    let files = if sampled { wanted + dataset.broken().len() } else { dataset.files() };
    summary.unreadable = unreadable.judged(dataset, files)?;
    summary.warnings.extend(unlisted_warning(&unlisted.pixels()));
    summary.unlisted_mask_values = unlisted.pixels().into_iter().collect();
    let equal: Vec<String> = equal.findings().collect();
    if config.strict && !equal.is_empty() {
        return Err(DataError::Contradicted { path: dataset.path().to_owned(), findings: equal });
    }
    summary.warnings.extend(equal);
    let skipped = summary.unreadable.iter().map(|group| format!("skipped: {group}"));
    summary.warnings.extend(skipped.collect::<Vec<_>>());
    if sampled {
        let parts = Split::ALL.into_iter().map(|split| (split.name().to_owned(), of_part(split)));
        summary.looked_at = Some(parts.collect());
        let total: usize = summary.samples.values().sum();
        let warning = format!(
            "{wanted} of {total} samples were read: numbers of classes, statistics and warnings are of these"
        );
        summary.warnings.push(warning);
    }
    summary.warnings.extend(size_warning(summary.sizes));
    for split in [Split::Train, Split::Validation] {
        if dataset.is_empty(split) {
            summary.warnings.push(format!("the {} part has no samples", split.name()));
        }
    }
    Ok(summary)
}

/// What cannot be read, of all parts.
struct Unreadable {
    groups: Groups,
    /// That no sample of a part can be read, if there is such a part.
    empty: Option<DataError>,
}

impl Unreadable {
    /// The reasons, if the data set allows so many of `files`.
    fn judged(self, dataset: &Dataset, files: usize) -> Result<Vec<ReasonGroup>, DataError> {
        dataset.judged(&self.groups, files, files)?;
        self.empty.map_or_else(|| Ok(self.groups.list()), Err)
    }
}

/// What is known of a part so far.
struct Part {
    split: Split,
    counts: Vec<u64>,
    sizes: [[usize; 2]; 2],
    target: TargetSurvey,
    survey: BandSurvey,
}

impl Part {
    /// Of at most so many samples.
    fn new(dataset: &Dataset, split: Split, samples: usize) -> Self {
        let config = dataset.config();
        let images = samples.saturating_mul(dataset.dates());
        Self {
            split,
            counts: vec![0; config.classes.len()],
            sizes: [[usize::MAX; 2], [0; 2]],
            target: TargetSurvey::new(&config.classes[0], samples),
            survey: BandSurvey::new(config.named_bands(), images),
        }
    }

    fn add(&mut self, sample: &Sample) {
        let Sample { width, height, .. } = *sample;
        let [low, high] = &mut self.sizes;
        (low[0], low[1]) = (low[0].min(width), low[1].min(height));
        (high[0], high[1]) = (high[0].max(width), high[1].max(height));
        count_classes(&mut self.counts, &sample.target);
        match &sample.target {
            Target::Values(values) => self.target.add(values, width),
            Target::Mask(_) | Target::Class(_) | Target::Classes(_) => {}
        }
        if self.split == Split::Train {
            self.survey.add(sample);
        }
    }

    /// `unlisted` are the values of its masks that have no label.
    fn report(self, dataset: &Dataset, unlisted: &Unlisted, summary: &mut Summary) -> Result<(), DataError> {
        let config = dataset.config();
        let [low, high] = &mut summary.sizes;
        for axis in [0, 1] {
            low[axis] = low[axis].min(self.sizes[0][axis]);
            high[axis] = high[axis].max(self.sizes[1][axis]);
        }
        let named = config.classes.iter().cloned().zip(self.counts.iter().copied()).collect();
        summary.classes.insert(self.split.name().to_owned(), named);
        if self.split == Split::Train {
            let Surveyed { statistics, report } = dataset.surveyed(self.survey)?;
            summary.warnings.extend(report.findings.iter().map(ToString::to_string));
            summary.band_check = Some(report);
            summary.bands = statistics;
            if config.task == Task::Regression {
                summary.target = Some(self.target.finish(config.target_unit.clone()));
            }
            summary.warnings.extend(only_first_class(dataset, &self.counts, unlisted.usual()));
        }
        summary.warnings.extend(warnings_of_part(dataset, self.split, &self.counts));
        Ok(())
    }
}

/// A hint where all labelled pixels of masks are of the first class and `others` hold 255: that is no label unless
/// `mask_values` lists it.
fn only_first_class(dataset: &Dataset, counts: &[u64], others: u64) -> Option<String> {
    let config = dataset.config();
    let masks = matches!(config.task, Task::Segmentation | Task::ChangeDetection);
    let first_only = counts[0] > 0 && counts[1..].iter().all(|count| *count == 0);
    if !masks || !first_only || others == 0 {
        return None;
    }
    let remedy = match &config.classes[..] {
        [_, second] => {
            let first = config.mask_values.as_ref().and_then(|values| values.first()).copied().unwrap_or(0);
            format!("if it is `{second}`, write `mask_values = [{first}, {IGNORE}]`")
        }
        _ => format!("if it is a class, write {IGNORE} in its place in `mask_values`"),
    };
    let [labelled, others] = [counts[0], others].map(|pixels| counted(pixels, "pixel"));
    Some(format!(
        "masks of the training part have {labelled} of `{}`, none of another class, and {others} of {IGNORE}, which is no \
         label; {remedy}",
        config.classes[0]
    ))
}

/// How many pixels have no label since `mask_values` does not list their values.
fn unlisted_warning(values: &[(String, u64)]) -> Option<String> {
    const NAMED: usize = 20;
    let pixels: u64 = values.iter().map(|(_, pixels)| pixels).sum();
    let named: Vec<String> =
        values.iter().take(NAMED).map(|(value, pixels)| format!("{value} ({pixels})")).collect();
    let more = if values.len() > NAMED { ", …" } else { "" };
    (pixels > 0).then(|| {
        format!(
            "{} of masks without a label, since `mask_values` does not list their values: {}{more}; if they are of classes, add \
             each value there and its class to `classes`",
            counted(pixels, "pixel"),
            named.join(", ")
        )
    })
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

/// Warnings about the labels of a training part: classes that are missing, or all but one.
pub(crate) fn warnings_of_counts(dataset: &Dataset, counts: &[u64]) -> Vec<String> {
    warnings_of_part(dataset, Split::Train, counts)
}

/// The same, of any part.
fn warnings_of_part(dataset: &Dataset, split: Split, counts: &[u64]) -> Vec<String> {
    let config = dataset.config();
    if config.task == Task::Regression {
        return Vec::new();
    }
    let part = split_name(split);
    let (there, absent): (Vec<_>, Vec<_>) =
        config.classes.iter().zip(counts.iter().copied()).partition(|(_, count)| *count > 0);
    let names =
        |list: &[(&String, u64)]| list.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let path = dataset.path().display();
    match (there.len(), absent.len()) {
        (_, 0) => Vec::new(),
        (1, _) if config.classes.len() > 1 => {
            vec![format!(
                "{path}: the {part} part should have several classes, found only `{}`",
                names(&there)
            )]
        }
        _ => vec![format!("the {part} part has no sample of {}", names(&absent))],
    }
}

/// The name of a part in a sentence.
fn split_name(split: Split) -> &'static str {
    if split == Split::Train { "training" } else { split.name() }
}
