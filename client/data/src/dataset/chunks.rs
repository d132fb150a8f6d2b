//! Reading a part of a data set chunk by chunk, for work that must not hold all of it in memory.
//!
//! The share of damaged files is judged over the whole data set, for any size of chunks: in a chunk of
//! 32 samples a single damaged file is already 3 %.

use std::ops::Range;

use eosfed_common::head::Imagery;
use rayon::prelude::*;

use super::imagery::ImageryRange;
use super::notes::{Note, Notes};
use super::read::ReadSample;
use super::unlisted::Unlisted;
use super::{Dataset, Sample};
use crate::error::DataError;
use crate::reasons::{Groups, Skipped};
use crate::split::Split;

/// The samples of a part, chunk by chunk in the order of their keys. A chunk without a readable file
/// is left out; a part without one is an error.
pub struct Chunks<'a> {
    dataset: &'a Dataset,
    /// Positions in the data set.
    entries: Vec<u32>,
    /// Positions of the wanted bands in the files.
    bands: Vec<usize>,
    size: usize,
    next: usize,
    skipped: Skipped,
    unlisted: Unlisted,
    notes: Notes,
    imagery: ImageryRange,
    found_any: bool,
    failed: bool,
    /// Whether damaged files of any number are left to the caller.
    to_the_end: bool,
}

impl<'a> Chunks<'a> {
    pub(super) fn new(
        dataset: &'a Dataset,
        split: Split,
        bands: &[String],
        size: usize,
    ) -> Result<Self, DataError> {
        let bands = dataset.positions(bands)?;
        let entries = dataset.entries_of(split);
        if entries.is_empty() {
            let reason = format!("the {} part has no samples", split.name());
            return Err(DataError::unfit(&dataset.path, reason));
        }
        // Files that could not be opened, and notes about the division, belong to no part. They are reported
        // once, with the training part.
        let largest = split == Split::Train;
        let skipped = if largest { dataset.broken.clone() } else { Skipped::default() };
        let mut notes = Notes::default();
        notes.extend(dataset.notes.iter().filter(|_| largest).cloned().map(Note::from));
        Ok(Self {
            dataset,
            entries,
            bands,
            size: size.max(1),
            next: 0,
            skipped,
            unlisted: Unlisted::default(),
            notes,
            imagery: ImageryRange::default(),
            found_any: false,
            failed: false,
            to_the_end: false,
        })
    }

    /// Leaves out samples, so that at most so many remain, spread evenly over the part.
    #[must_use]
    pub fn at_most(mut self, count: usize) -> Self {
        let all = self.entries.len();
        if count < all {
            self.entries = (0..count).map(|at| self.entries[at * all / count]).collect();
        }
        self
    }

    /// Goes on however many files cannot be read, also where none can: whoever reads the chunks looks at how many they
    /// are.
    #[must_use]
    pub const fn to_the_end(mut self) -> Self {
        self.to_the_end = true;
        self
    }

    /// Number of samples that are read, readable or not.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.entries.len()
    }

    /// Number of samples that have been read so far, readable or not.
    #[must_use]
    pub const fn done(&self) -> usize {
        self.next
    }

    /// What is wrong with each file that has been skipped so far, by name.
    #[must_use]
    pub fn skipped(&self) -> &[String] {
        self.skipped.said()
    }

    /// What is wrong with files that have been skipped so far, by reasons.
    pub(crate) const fn groups(&self) -> &Groups {
        self.skipped.groups()
    }

    /// Values of masks so far that `mask_values` does not list.
    pub(crate) const fn unlisted(&self) -> &Unlisted {
        &self.unlisted
    }

    /// Notes about the images so far, such as resampling.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.notes.said(self.dataset.root()).into_iter().chain(self.imagery.note()).collect()
    }

    /// The same before they are joined, and a note about all images together.
    pub(crate) fn noted(&self) -> (&Notes, Option<String>) {
        (&self.notes, self.imagery.note())
    }

    /// The common properties of the samples so far.
    #[must_use]
    pub fn imagery(&self) -> Imagery {
        self.imagery.imagery()
    }

    /// That no sample of the part can be read.
    pub(crate) fn without_readable(&self) -> DataError {
        // With those that could not be opened.
        let all = self.skipped.said().len();
        self.dataset.too_many_corrupt(self.groups(), all, all)
    }

    fn read(&mut self, range: Range<usize>) -> Result<Vec<Sample>, DataError> {
        let entries = &self.entries[range];
        let read = |at: &u32| self.dataset.read(&self.dataset.entries[*at as usize], &self.bands);
        let results: Vec<_> = entries.par_iter().map(read).collect();
        let mut samples = Vec::with_capacity(results.len());
        for (position, result) in entries.iter().zip(results) {
            self.dataset.has_read(*position, &result);
            match result {
                Ok(ReadSample { sample, unlisted, notes, ground_sampling_distance }) => {
                    self.unlisted.merge(&unlisted);
                    self.imagery.add([sample.height, sample.width], ground_sampling_distance);
                    self.notes.extend(notes);
                    samples.push(sample);
                }
                Err(error) => self.skipped.add(&error),
            }
        }
        if !self.to_the_end {
            self.dataset.tolerable()?;
        }
        Ok(samples)
    }
}

impl Iterator for Chunks<'_> {
    type Item = Result<Vec<Sample>, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed && self.next < self.entries.len() {
            let start = self.next;
            self.next = start.saturating_add(self.size).min(self.entries.len());
            let read = self.read(start..self.next);
            self.failed = read.is_err();
            if read.as_ref().is_ok_and(Vec::is_empty) {
                continue;
            }
            self.found_any = true;
            return Some(read);
        }
        if self.found_any || self.failed || self.to_the_end {
            return None;
        }
        self.failed = true;
        Some(Err(self.without_readable()))
    }
}
