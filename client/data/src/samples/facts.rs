//! What is known of a part of a data set once all of its samples have been read.

use eosfed_common::band_values::{BandMoments, BandValues};
use eosfed_common::finite::Finite;
use eosfed_common::head::Imagery;
use serde::{Deserialize, Serialize};

use crate::bandcheck::PixelSampler;
use crate::dataset::{Dataset, ImageryRange, Note, Notes, ReadSample};
use crate::error::DataError;
use crate::sample::{Sample, Target};
use crate::statistics::BandStatistics;
use crate::summary::{count_classes, warnings_of_counts};

/// What is known of a part. It is small for any size of the part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartFacts {
    /// Samples that can be read.
    pub samples: u64,
    /// Bytes of all of them in their narrowest form.
    pub bytes: u64,
    /// Moments of each band over the pixels that are judged, scaled.
    pub statistics: Vec<BandStatistics>,
    /// For each class: images that have it, or labelled pixels.
    pub labels: Vec<u64>,
    /// Moments of the target values, in the units of the files; absent where labels are classes.
    pub target: Option<BandStatistics>,
    /// Height and width of the first sample, and of the first that differs from it.
    pub sizes: Vec<[usize; 2]>,
    /// The common properties of the images.
    pub imagery: Imagery,
    /// Positions of the samples that cannot be read, among those of the part.
    pub unreadable: Vec<u64>,
    /// What is wrong with each of them.
    pub skipped: Vec<String>,
    /// Notes about the images, such as resampling.
    pub notes: Vec<String>,
    /// Warnings about the labels.
    pub label_warnings: Vec<String>,
    /// What the check of the bands has found.
    pub findings: Vec<String>,
    /// What the numbers of each band look like; unknown of bands without pixels that are valid in all.
    pub values: Vec<Option<BandValues>>,
}

/// Only finite pixels are counted, and 32-bit floats are too small to overflow 64-bit sums.
const FINITE: &str = "moments of finite pixels are finite";

impl PartFacts {
    /// Moments, unit and range of each band, as an institution tells them.
    #[must_use]
    pub fn moments(&self) -> Vec<BandMoments> {
        let of = |(entry, values): (&BandStatistics, &Option<BandValues>)| BandMoments {
            band: entry.band.clone(),
            count: entry.count,
            mean: Finite::new(entry.mean).expect(FINITE),
            m2: Finite::new(entry.m2).expect(FINITE),
            values: *values,
        };
        self.statistics.iter().zip(&self.values).map(of).collect()
    }

    /// Tells the data set which samples of this part, whose positions in it are `entries`, can be read and which cannot.
    pub(super) fn tell(&self, dataset: &Dataset, entries: &[u32]) {
        let mut wrong = self.unreadable.iter().zip(&self.skipped).peekable();
        for (at, entry) in (0_u64..).zip(entries) {
            let reason = wrong.next_if(|(position, _)| **position == at).map(|(_, reason)| reason.as_str());
            dataset.is_known(*entry, reason);
        }
    }
}

/// The scaled sample and what was computed from it alone.
pub(super) struct Seen {
    pub(super) sample: Sample,
    statistics: Vec<BandStatistics>,
    target: Option<BandStatistics>,
    notes: Vec<Note>,
    ground_sampling_distance: Option<f64>,
}

impl Seen {
    /// Looks at a sample whose values are scaled.
    pub(super) fn new(read: ReadSample) -> Self {
        let ReadSample { sample, notes, ground_sampling_distance, unlisted: _ } = read;
        let statistics = sample.judged_channels().map(|values| BandStatistics::of(&values)).collect();
        let target = match &sample.target {
            Target::Values(values) => Some(BandStatistics::of(values)),
            Target::Class(_) | Target::Classes(_) | Target::Mask(_) => None,
        };
        Self { sample, statistics, target, notes, ground_sampling_distance }
    }
}

/// Collects the facts, sample by sample in their order.
pub(super) struct FactsBuilder {
    statistics: Vec<BandStatistics>,
    labels: Vec<u64>,
    target: Option<BandStatistics>,
    sizes: Vec<[usize; 2]>,
    imagery: ImageryRange,
    pixels: PixelSampler,
    notes: Notes,
    skipped: Vec<String>,
    unreadable: Vec<u64>,
    samples: u64,
}

impl FactsBuilder {
    /// For a part of `total` samples.
    pub(super) fn new(dataset: &Dataset, bands: &[String], total: usize) -> Self {
        let images = total.saturating_mul(dataset.dates());
        Self {
            statistics: bands.iter().map(|band| BandStatistics::new(band)).collect(),
            labels: vec![0; dataset.config().classes.len()],
            target: None,
            sizes: Vec::new(),
            imagery: ImageryRange::default(),
            pixels: PixelSampler::new(bands.len(), images),
            notes: Notes::default(),
            skipped: Vec::new(),
            unreadable: Vec::new(),
            samples: 0,
        }
    }

    /// Adds a sample.
    pub(super) fn add(&mut self, seen: Seen) {
        let Seen { sample, statistics, target, notes, ground_sampling_distance } = seen;
        let bands = self.statistics.len().max(1);
        // A second date has the same bands again.
        for (channel, moments) in statistics.iter().enumerate() {
            self.statistics[channel % bands].merge(moments);
        }
        count_classes(&mut self.labels, &sample.target);
        if let Some(moments) = &target {
            self.target.get_or_insert_with(|| BandStatistics::new("target")).merge(moments);
        }
        let size = [sample.height, sample.width];
        if self.sizes.len() < 2 && self.sizes.first() != Some(&size) {
            self.sizes.push(size);
        }
        self.imagery.add(size, ground_sampling_distance);
        self.pixels.add(&sample);
        self.notes.extend(notes);
        self.samples += 1;
    }

    /// Adds one that cannot be read. `position` is its place in the part.
    pub(super) fn skip(&mut self, position: usize, error: &DataError) {
        self.unreadable.push(position as u64);
        self.skipped.push(error.to_string());
    }

    /// What was wrong so far.
    pub(super) fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// The facts. `bytes` is the size of all samples in their narrowest form.
    ///
    /// # Errors
    /// If the pixels contradict the names of the bands and the data set is `strict`.
    pub(super) fn finish(
        self,
        dataset: &Dataset,
        bands: &[String],
        bytes: u64,
    ) -> Result<PartFacts, DataError> {
        let notes = self.notes.said(dataset.root()).into_iter().chain(self.imagery.note()).collect();
        let report = dataset.check_sampled(bands, self.pixels)?;
        Ok(PartFacts {
            samples: self.samples,
            bytes,
            label_warnings: warnings_of_counts(dataset, &self.labels),
            statistics: self.statistics,
            labels: self.labels,
            target: self.target,
            sizes: self.sizes,
            imagery: self.imagery.imagery(),
            unreadable: self.unreadable,
            skipped: self.skipped,
            notes,
            findings: report.findings.iter().map(ToString::to_string).collect(),
            values: report.values,
        })
    }
}
