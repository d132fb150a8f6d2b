//! A trained head, opened for use: on a part of a data set, on a scene, or on images in memory.

use std::path::{Path, PathBuf};

use eosfed_common::head::HeadFile;
use eosfed_data::{Dataset, Split};
use tch::{Device, Tensor};

use super::combine::Combiner;
use super::error::EnsembleError;
use super::extract::Extractor;
use super::release::Release;
use crate::metrics::{Measure, Scores};
use crate::net::Passes;
use crate::parameters::Parameters;
use crate::train::{Preparation, Prepared, at_label_size};

/// Samples that are in memory at once.
const CHUNK: usize = 64;

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

/// The folder of the release under a head: as given, or where it was when the head was trained.
pub(super) fn release_folder(head: &HeadFile, given: Option<&Path>) -> Result<PathBuf, EnsembleError> {
    match given {
        Some(folder) => Ok(folder.to_owned()),
        None if head.release_folder.is_empty() => {
            let reason = format!(
                "the head was trained in rounds and stands on release {0}: say where that is with `--release`, after \
                 `eosfed release pull {0}`",
                head.release
            );
            Err(EnsembleError::file(Path::new(HeadFile::FILE), reason))
        }
        None => Ok(PathBuf::from(&head.release_folder)),
    }
}

/// What a head's answers are scored by.
pub(super) fn measure(head: &HeadFile) -> Measure {
    Measure::new(head.task, head.classes.len(), head.target.as_ref())
}

/// How samples become the tensors that a head takes.
pub(super) fn preparation(head: &HeadFile) -> Preparation {
    Preparation {
        input_size: head.input_size,
        target: head.target.clone().unwrap_or_default(),
        ..Preparation::default()
    }
}

/// The scores of a head on a part of a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// The scores.
    pub scores: Scores,
    /// What is wrong with each file that was left out, by name.
    pub skipped: Vec<String>,
}

/// Frozen specialists and what was learned over them.
#[derive(Debug)]
pub struct Downstream {
    /// What it is.
    pub file: HeadFile,
    /// The number of learned parameters.
    pub parameters: usize,
    extractor: Extractor,
    combiner: Combiner,
    device: Device,
}

impl Downstream {
    /// Opens the head in `folder` over the release in `release`, or where it was when it was trained.
    ///
    /// # Errors
    /// If the head or what it needs of its release is missing or damaged.
    pub fn open(folder: &Path, release: Option<&Path>, device: Device) -> Result<Self, EnsembleError> {
        let file = read_head(folder)?;
        let release = Release::open(&release_folder(&file, release)?)?;
        let parameters = Parameters::load(&folder.join(HeadFile::WEIGHTS), file.signature(), device)?;
        Ok(Self {
            extractor: Extractor::load(&release, &file, device)?,
            combiner: Combiner::new(&file, &parameters, Passes::default()),
            parameters: parameters.signature().parameters(),
            file,
            device,
        })
    }

    /// The same with the maps of one specialist left out.
    #[must_use]
    pub fn without(self, specialist: usize) -> Self {
        Self { combiner: self.combiner.without(specialist), ..self }
    }

    /// Names of the bands of the data that it needs, in the order in which it takes them.
    #[must_use]
    pub fn bands(&self) -> &[String] {
        self.extractor.bands()
    }

    /// What each specialist's maps are multiplied by; `None` where answers are combined.
    #[must_use]
    pub fn weights(&self) -> Option<Vec<f32>> {
        self.combiner.weights(self.file.encoders.len())
    }

    /// Outputs for images `[N, dates * bands, H, W]` in the data's units, NaN where there is no data:
    /// `[N, classes]`, or `[N, classes, H/4, W/4]` for dense tasks.
    pub fn forward(&self, images: &Tensor) -> Tensor {
        let _guard = tch::no_grad_guard();
        self.combiner.forward(&self.extractor.parts(images), false)
    }

    /// The four fused maps of images; `None` where answers are combined.
    #[must_use]
    pub fn maps(&self, images: &Tensor) -> Option<[Tensor; 4]> {
        let _guard = tch::no_grad_guard();
        self.combiner.maps(&self.extractor.parts(images))
    }

    /// Scores a part of a data set, in bounded memory; `each` sees the outputs of every chunk at the size of the labels.
    ///
    /// # Errors
    /// If the data do not have the head's task and classes, or cannot be used.
    pub fn evaluate(
        &self,
        dataset: &Dataset,
        split: Split,
        each: &mut dyn FnMut(&Tensor),
    ) -> Result<Evaluated, EnsembleError> {
        dataset.serves(self.file.task, &self.file.classes)?;
        let mut scores = measure(&self.file).start();
        let mut chunks = dataset.chunks(split, self.bands(), CHUNK)?;
        for samples in &mut chunks {
            let data = Prepared::new(&samples?, &preparation(&self.file), self.device)?;
            let outputs = at_label_size(&self.forward(&data.images), &data.labels, self.file.task);
            scores.add(&data.labels, &outputs);
            each(&outputs);
        }
        Ok(Evaluated { scores, skipped: chunks.skipped().to_vec() })
    }
}
