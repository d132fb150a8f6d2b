//! The parts of a data set, opened to be read sample by sample, and what is said about them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use eosfed_common::task::DecodedSamples;
use eosfed_data::{DataError, Dataset, Limits, PartFacts, SampleCache, SampleSource, Split};

/// An opened data set, with the place where its decoded samples are kept.
pub struct Parts {
    dataset: Arc<Dataset>,
    cache: Option<SampleCache>,
}

impl Parts {
    /// Opens the data set that a `dataset.toml`, or its folder, describes. What is read of it is kept in
    /// `samples`, if that is given.
    ///
    /// # Errors
    /// Like [`Dataset::open`].
    pub fn open(path: &Path, samples: Option<&DecodedSamples>) -> Result<Self, DataError> {
        let folder = samples.map(|samples| samples.folder.as_path());
        let dataset = Arc::new(Dataset::open_with(path, &Limits::default(), folder)?);
        let cache =
            |samples: &DecodedSamples| SampleCache { folder: samples.folder.clone(), bytes: samples.bytes };
        Ok(Self { dataset, cache: samples.map(cache) })
    }

    /// The data set.
    #[must_use]
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Opens a part, and says in the log where its samples come from.
    ///
    /// # Errors
    /// Like [`SampleSource::open`].
    pub(crate) fn source(&self, part: Split, bands: &[String]) -> Result<SampleSource, DataError> {
        let source = SampleSource::open(Arc::clone(&self.dataset), part, bands, self.cache.as_ref())?;
        if let Some(problem) = source.problem() {
            tracing::warn!(part = part.name(), problem, "decoded samples cannot be kept");
        }
        let from = source.origin().name();
        let bytes = source.facts().bytes;
        tracing::info!(part = part.name(), samples = source.len(), bytes, from, "the part is open");
        Ok(source)
    }

    /// A part that is not learned from; `None` if it has no samples. Adds what is wrong with its files to
    /// `warnings`.
    ///
    /// # Errors
    /// Like [`Parts::source`].
    pub(crate) fn held_back(
        &self,
        part: Split,
        bands: &[String],
        warnings: &mut Vec<String>,
    ) -> Result<Option<SampleSource>, DataError> {
        if self.dataset.is_empty(part) {
            return Ok(None);
        }
        let source = self.source(part, bands)?;
        warnings.extend(source.facts().skipped.iter().cloned());
        Ok(Some(source))
    }

    /// What is wrong with each file of a part that was left out. Files that could not be opened belong to no
    /// part and are told with the training part.
    pub(crate) fn skipped<'a>(
        &'a self,
        part: Split,
        facts: &'a PartFacts,
    ) -> impl Iterator<Item = &'a String> {
        let broken = if part == Split::Train { self.dataset.broken() } else { &[] };
        broken.iter().chain(&facts.skipped)
    }

    /// Notes about the division of the data set and about the images of its training part, each once.
    pub(crate) fn notes<'a>(&'a self, facts: &'a PartFacts) -> impl Iterator<Item = &'a String> {
        let notes: BTreeSet<&String> = self.dataset.notes().iter().chain(&facts.notes).collect();
        notes.into_iter()
    }

    /// All that is said of a training part: files that were left out, notes, labels and bands.
    pub(crate) fn warnings(&self, facts: &PartFacts) -> Vec<String> {
        let skipped = self.skipped(Split::Train, facts).chain(self.notes(facts));
        skipped.chain(&facts.label_warnings).chain(&facts.findings).cloned().collect()
    }
}
