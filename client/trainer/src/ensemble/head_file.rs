//! `head.json`: what a trained head is and what it needs.

use std::path::Path;

use eosfed_common::card::{BandNormalisation, Card};
use eosfed_common::ids::ReleaseNumber;
use eosfed_common::model::{Backbone, Task, head_signature};
use eosfed_common::weights::{Digest, Signature};
use serde::{Deserialize, Serialize};

use super::EnsembleError;

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
}

impl HeadEncoder {
    /// The encoder of a specialist.
    #[must_use]
    pub fn of_card(card: &Card) -> Self {
        Self {
            name: card.name.to_string(),
            backbone: card.model.backbone,
            weights: Some(card.weights),
            random_seed: None,
            normalisation: card.normalisation.clone(),
        }
    }

    /// An encoder that has learned nothing.
    #[must_use]
    pub fn random(backbone: Backbone, seed: u64, normalisation: &[BandNormalisation]) -> Self {
        let normalisation = normalisation.to_vec();
        Self { name: "random".to_owned(), backbone, weights: None, random_seed: Some(seed), normalisation }
    }

    /// Names of its input bands.
    #[must_use]
    pub fn bands(&self) -> Vec<String> {
        self.normalisation.iter().map(|entry| entry.band.clone()).collect()
    }
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
    /// Its encoders, whose maps are concatenated in this order.
    pub encoders: Vec<HeadEncoder>,
    /// What it predicts.
    pub task: Task,
    /// Its classes.
    pub classes: Vec<String>,
    /// Side to which tiles are resized, if they are.
    pub input_size: Option<u32>,
    /// Labelled samples it was trained on.
    pub samples: usize,
    /// Seed of its training.
    pub seed: u64,
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
        serde_json::from_slice(&json).map_err(|error| EnsembleError::file(&path, error))
    }

    /// Channels of the four concatenated maps.
    #[must_use]
    pub fn dims(&self) -> [usize; 4] {
        let mut dims = [0; 4];
        for encoder in &self.encoders {
            dims.iter_mut().zip(encoder.backbone.shape().dims).for_each(|(sum, dim)| *sum += dim);
        }
        dims
    }

    /// Names and shapes of the head's tensors.
    #[must_use]
    pub fn signature(&self) -> Signature {
        head_signature(self.task, &self.dims(), self.classes.len())
    }
}
