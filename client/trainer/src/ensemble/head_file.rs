//! `head.json`: what a trained head is and what it needs.

use std::collections::BTreeMap;
use std::path::Path;

use eosfed_common::card::{BandNormalisation, Card};
use eosfed_common::ids::ReleaseNumber;
use eosfed_common::model::{Backbone, Composition, MapDims, TargetScale, Task, head_signature};
use eosfed_common::plan::{ClassWeights, Loss};
use eosfed_common::weights::{Digest, Signature};
use serde::{Deserialize, Serialize};

use super::EnsembleError;
use crate::metrics::Measure;

/// An encoder under a head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadEncoder {
    /// The specialist's name, or `random`.
    pub name: String,
    /// Its architecture.
    pub backbone: Backbone,
    /// Digest of its weights; absent for a random one.
    pub weights: Option<Digest>,
    /// Seed of a random one.
    pub random_seed: Option<u64>,
    /// Its input bands, in order, with their normalisation.
    pub normalisation: Vec<BandNormalisation>,
    /// For each input band the bands of the data whose mean it is.
    pub sources: Vec<Vec<String>>,
}

impl HeadEncoder {
    /// The encoder of a specialist, fed from `sources`.
    #[must_use]
    pub fn of_card(card: &Card, sources: Vec<Vec<String>>) -> Self {
        Self {
            name: card.name.to_string(),
            backbone: card.model.backbone,
            weights: Some(card.weights),
            random_seed: None,
            normalisation: card.normalisation.clone(),
            sources,
        }
    }

    /// An encoder that has learned nothing, on the data's own bands.
    #[must_use]
    pub fn random(backbone: Backbone, seed: u64, normalisation: &[BandNormalisation]) -> Self {
        Self {
            name: "random".to_owned(),
            backbone,
            weights: None,
            random_seed: Some(seed),
            normalisation: normalisation.to_vec(),
            sources: normalisation.iter().map(|entry| vec![entry.band.clone()]).collect(),
        }
    }
}

/// How a head comes to its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The encoders' maps are fused and a new head is learned over them.
    #[default]
    Fusion,
    /// The mean of the specialists' own answers; nothing is learned.
    MeanLogits,
    /// The specialists' own answers, weighed by a learned router that sees them all.
    Router,
}

/// How a head is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadTraining {
    /// Passes over the labelled samples in all eight orientations.
    pub epochs: u32,
    /// Samples in a step.
    pub batch_size: u32,
    /// Top of the schedule.
    pub learning_rate: f64,
    /// Decay of the head's weights.
    pub weight_decay: f64,
    /// Terms of the loss; empty: the task's usual one.
    pub loss: Vec<Loss>,
    /// Weights of classes.
    pub class_weights: ClassWeights,
    /// Seed of start and order.
    pub seed: u64,
}

/// The contents of `head.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadFile {
    /// The name in tables.
    pub name: String,
    /// The release that its encoders are from.
    pub release: ReleaseNumber,
    /// Folder of that release when the head was trained.
    pub release_folder: String,
    /// Its encoders, in the order in which their maps are fused.
    pub encoders: Vec<HeadEncoder>,
    /// How it comes to its answer.
    #[serde(default)]
    pub method: Method,
    /// How maps are fused (method `fusion`).
    #[serde(default)]
    pub composition: Composition,
    /// What it predicts.
    pub task: Task,
    /// Its classes.
    pub classes: Vec<String>,
    /// What its output means in the target's units (regression).
    #[serde(default)]
    pub target: Option<TargetScale>,
    /// Side to which tiles are resized, if they are.
    pub input_size: Option<u32>,
    /// Labelled samples it was trained on.
    pub samples: usize,
    /// How it was trained; absent where nothing was.
    pub training: Option<HeadTraining>,
}

impl HeadFile {
    /// Its file name.
    pub const FILE: &'static str = "head.json";
    /// File name of its weights.
    pub const WEIGHTS: &'static str = "head.safetensors";

    /// Reads `head.json` in `folder`.
    ///
    /// # Errors
    /// If it is missing or damaged.
    pub fn read(folder: &Path) -> Result<Self, EnsembleError> {
        let path = folder.join(Self::FILE);
        let json = std::fs::read(&path).map_err(|error| EnsembleError::file(&path, error))?;
        let head: Self = serde_json::from_slice(&json).map_err(|error| EnsembleError::file(&path, error))?;
        head.composition.check(&head.encoder_dims()).map_err(|reason| EnsembleError::file(&path, reason))?;
        let complete = |encoder: &HeadEncoder| encoder.sources.len() == encoder.normalisation.len();
        match head.encoders.iter().find(|encoder| !complete(encoder)) {
            Some(encoder) => {
                let reason = format!(
                    "`{}` must have sources for each of its {} bands, found `{}`",
                    encoder.name,
                    encoder.normalisation.len(),
                    encoder.sources.len()
                );
                Err(EnsembleError::file(&path, reason))
            }
            None => Ok(head),
        }
    }

    /// Channels of each encoder's maps.
    #[must_use]
    pub fn encoder_dims(&self) -> Vec<MapDims> {
        self.encoders.iter().map(|encoder| encoder.backbone.shape().dims).collect()
    }

    /// Names and shapes of what the head has learned.
    #[must_use]
    pub fn signature(&self) -> Signature {
        let count = self.encoders.len();
        match self.method {
            Method::Fusion => {
                let dims = self.encoder_dims();
                let fused = self.composition.output_dims(&dims);
                let mut tensors = self.composition.signature(&dims).0;
                tensors.extend(head_signature(self.task, &fused, self.classes.len()).0);
                Signature(tensors)
            }
            Method::MeanLogits => Signature::default(),
            Method::Router => Signature(BTreeMap::from([
                ("router.weight".to_owned(), vec![count, count * self.classes.len()]),
                ("router.bias".to_owned(), vec![count]),
            ])),
        }
    }

    /// What its answers are scored by.
    #[must_use]
    pub fn measure(&self) -> Measure {
        Measure::new(self.task, self.classes.len(), self.target.as_ref())
    }
}
