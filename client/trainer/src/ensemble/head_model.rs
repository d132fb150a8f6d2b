//! A trained head, opened for use on a data set, on a scene, or on images in memory.

use std::path::{Component, Path, PathBuf};

use eosfed_common::head::HeadFile;
use eosfed_data::{SampleSource, Split};
use tch::{Device, Tensor};

use super::combine::Combiner;
use super::error::EnsembleError;
use super::extractor::FeatureExtractor;
use super::release::Release;
use crate::metrics::{Bootstrap, MetricSpec, Scores};
use crate::net::{Maps, StepCounter};
use crate::parameters::Parameters;
use crate::train::{
    Batch, Learned, Parts, Preprocessing, Samples as _, Seen, StreamedDataset, other_unit, resize_to_labels,
    unlike,
};

/// Samples that are in memory at once.
const CHUNK_SIZE: usize = 16;

/// Reads `head.json` in `folder`.
///
/// # Errors
/// If it is missing or damaged, or comes from a version that did not record the imagery of heads.
pub(super) fn read_head(folder: &Path) -> Result<HeadFile, EnsembleError> {
    let path = folder.join(HeadFile::FILE);
    let fail = |reason: &dyn std::fmt::Display| EnsembleError::file(&path, reason);
    let json = std::fs::read(&path).map_err(|error| fail(&error))?;
    let value: serde_json::Value = serde_json::from_slice(&json).map_err(|error| fail(&error))?;
    if value.get("imagery").is_none() {
        return Err(fail(
            &"`imagery` is missing: an earlier version trained this head and did not record the size of its tiles; \
             train it again with `eosfed-trainer fit`, or fetch it again with `eosfed job head`",
        ));
    }
    let head: HeadFile = serde_json::from_value(value).map_err(|error| fail(&error))?;
    head.check().map_err(|reason| fail(&reason))?;
    Ok(head)
}

/// The folder of the release under the head in `folder`: the given one, or the one that the head was trained with.
///
/// # Errors
/// If none is given for a head that was trained in rounds.
pub(super) fn release_folder(
    folder: &Path,
    head: &HeadFile,
    given: Option<&Path>,
) -> Result<PathBuf, EnsembleError> {
    match given {
        Some(folder) => Ok(folder.to_owned()),
        None if head.release_folder.is_empty() => {
            let reason = format!(
                "the head was trained in rounds and needs release {0}; fetch it with `eosfed release pull {0}` and \
                 give its folder with `--release`",
                head.release
            );
            Err(EnsembleError::file(Path::new(HeadFile::FILE), reason))
        }
        // Heads of earlier versions have an absolute path, which `join` takes as it is.
        None => Ok(folder.join(&head.release_folder)),
    }
}

/// The path from one folder to another, without the names of what is above both. Both must be there.
pub(super) fn path_between(from: &Path, to: &Path) -> std::io::Result<PathBuf> {
    let (from, to) = (from.canonicalize()?, to.canonicalize()?);
    let shared = from.components().zip(to.components()).take_while(|(one, other)| one == other).count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    let path: PathBuf = up.chain(to.components().skip(shared)).collect();
    Ok(if path.as_os_str().is_empty() { PathBuf::from(".") } else { path })
}

/// The metrics of a head's outputs.
pub(super) fn metric_spec(head: &HeadFile) -> MetricSpec {
    MetricSpec::new(head.task, head.classes.len(), head.target.as_ref())
}

/// How samples become the tensors that a head takes.
pub(super) fn preprocessing(head: &HeadFile) -> Preprocessing {
    Preprocessing {
        input_size: head.input_size,
        antialias: head.antialias,
        target: head.target.clone().unwrap_or_default(),
        ..Preprocessing::default()
    }
}

/// The scores of a head on a part of a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The scores.
    pub scores: Scores,
    /// The samples of a small part, for intervals.
    pub bootstrap: Bootstrap,
    /// What is wrong with each file that was left out, by name.
    pub skipped: Vec<String>,
    /// What is unlike the training of the head and of the specialists under it.
    pub unlike: Vec<String>,
}

/// Takes the features of a chunk, the chunk, and where its samples come from.
type EachChunk<'a> = &'a mut dyn FnMut(&[Tensor], &Batch, &SampleSource);

/// What is found in a part of a data set.
struct Looked {
    skipped: Vec<String>,
    unlike: Vec<String>,
}

/// A trained head with the frozen specialists under it.
#[derive(Debug)]
pub struct HeadModel {
    /// The contents of its `head.json`.
    pub file: HeadFile,
    parameters: Parameters,
    extractor: FeatureExtractor,
    combiner: Combiner,
    /// What the head and the specialists under it were trained on.
    learned: Vec<Learned>,
    device: Device,
}

impl HeadModel {
    /// Opens the head in `folder` over the release in `release`, or over the one that it was trained
    /// with.
    ///
    /// # Errors
    /// If the head, or a part of its release that it needs, is missing or damaged.
    pub fn open(folder: &Path, release: Option<&Path>, device: Device) -> Result<Self, EnsembleError> {
        let file = read_head(folder)?;
        let release = Release::open(&release_folder(folder, &file, release)?)?;
        let parameters = Parameters::load(&folder.join(HeadFile::WEIGHTS), file.signature(), device)?;
        let combiner = Combiner::new(&file, &parameters, StepCounter::default());
        let chosen = combiner.chosen(file.encoders.len());
        let own = Learned {
            name: format!("the head `{}`", file.name),
            normalisation: file.statistics.clone(),
            imagery: file.imagery,
            input_size: file.input_size,
            untold: file.untold(),
        };
        let learned = std::iter::once(own).chain(release.learned(&file)).collect();
        Ok(Self {
            learned,
            extractor: FeatureExtractor::load_chosen(&release, &file, &chosen, device)?,
            combiner: combiner.given(&chosen),
            parameters,
            file,
            device,
        })
    }

    /// Number of learned parameters.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.parameters.signature().parameters()
    }

    /// A combiner of the same features that leaves the maps of the encoders at some places out.
    #[must_use]
    pub(super) fn without(&self, places: &[usize]) -> Combiner {
        let combiner = Combiner::new(&self.file, &self.parameters, StepCounter::default());
        let chosen = combiner.chosen(self.file.encoders.len());
        combiner.given(&chosen).without(places)
    }

    /// Names of the bands of the data that it needs, in the order in which it takes them.
    #[must_use]
    pub fn bands(&self) -> &[String] {
        self.extractor.bands()
    }

    /// Factor of each specialist's maps; `None` where outputs are combined.
    #[must_use]
    pub fn weights(&self) -> Option<Vec<f32>> {
        self.combiner.weights(self.file.encoders.len())
    }

    /// What the head and the specialists under it were trained on.
    pub(super) fn learned(&self) -> &[Learned] {
        &self.learned
    }

    /// Outputs for images `[N, dates * bands, H, W]` in the data's units, NaN where there is no data:
    /// `[N, classes]`, or `[N, classes, H/4, W/4]` for dense tasks.
    pub fn forward(&self, images: &Tensor) -> Tensor {
        let _guard = tch::no_grad_guard();
        self.combiner.forward(&self.extractor.features(images), false)
    }

    /// The four fused maps of images; `None` where outputs are combined.
    #[must_use]
    pub fn maps(&self, images: &Tensor) -> Option<Maps> {
        let _guard = tch::no_grad_guard();
        self.combiner.maps(&self.extractor.features(images))
    }

    /// Scores a part of a data set in bounded memory. Calls `each` with the outputs of each chunk, which have the
    /// height and width of the labels, with the chunk, and with the source of its samples.
    ///
    /// # Errors
    /// If the data do not have the head's task and classes, or cannot be used.
    pub fn evaluate(
        &self,
        parts: &Parts,
        split: Split,
        each: &mut dyn FnMut(&Tensor, &Batch, &SampleSource),
    ) -> Result<Evaluation, EnsembleError> {
        let mut scores = metric_spec(&self.file).scores();
        let mut bootstrap = Bootstrap::new(metric_spec(&self.file));
        let Looked { skipped, unlike } = self.each_chunk(parts, split, &mut |features, batch, source| {
            let labels = &batch.labels;
            let outputs = resize_to_labels(&self.combiner.forward(features, false), labels, self.file.task);
            scores.add(labels, &outputs);
            bootstrap.add(labels, &outputs);
            each(&outputs, batch, source);
        })?;
        Ok(Evaluation { scores, bootstrap, skipped, unlike })
    }

    /// The scores with all specialists and with each of `combiners`, for the features that the specialists
    /// give once. `progress` gets the number of samples done, and of all.
    ///
    /// # Errors
    /// As [`HeadModel::evaluate`].
    pub(super) fn compare(
        &self,
        combiners: &[Combiner],
        parts: &Parts,
        split: Split,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<(Scores, Vec<Scores>), EnsembleError> {
        let task = self.file.task;
        let mut all = metric_spec(&self.file).scores();
        let mut each: Vec<Scores> = combiners.iter().map(|_| metric_spec(&self.file).scores()).collect();
        let mut done = 0;
        self.each_chunk(parts, split, &mut |features, batch, source| {
            let labels = &batch.labels;
            let score = |combiner: &Combiner, scores: &mut Scores| {
                scores.add(labels, &resize_to_labels(&combiner.forward(features, false), labels, task));
            };
            score(&self.combiner, &mut all);
            combiners.iter().zip(&mut each).for_each(|(combiner, scores)| score(combiner, scores));
            done += batch.windows.len();
            progress(done, source.len());
        })?;
        Ok((all, each))
    }

    /// Calls `each` for each chunk of a part of a data set, which is read ahead.
    fn each_chunk(&self, parts: &Parts, split: Split, each: EachChunk<'_>) -> Result<Looked, EnsembleError> {
        let _guard = tch::no_grad_guard();
        parts.dataset().serves(self.file.task, &self.file.classes)?;
        let source = parts.source(split, self.bands())?;
        let facts = source.facts();
        let skipped = parts.skipped(split, facts).cloned().collect();
        let mut unlike = unlike(parts.dataset(), Seen::of(facts, self.file.input_size), &self.learned)?;
        unlike.extend(other_unit(parts.dataset(), &self.file)?);
        let data = StreamedDataset::new(source, preprocessing(&self.file), self.file.task, self.device)?;
        for batch in data.in_order(CHUNK_SIZE) {
            let batch = batch?;
            each(&self.extractor.features(&batch.images), &batch, data.source());
        }
        Ok(Looked { skipped, unlike })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_and_its_release_may_be_moved_together() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["heads/top5", "release"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        let between = path_between(&at("heads/top5"), &at("heads/../release")).unwrap();
        assert_eq!(between, Path::new("../../release"));
        assert_eq!(path_between(&at("release"), &at("release")).unwrap(), Path::new("."));
        assert_eq!(path_between(&at("heads"), &at("heads/top5")).unwrap(), Path::new("top5"));
        assert!(path_between(&at("heads"), &at("gone")).is_err());
    }
}
