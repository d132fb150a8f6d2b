//! The training target of a job, a specialist or a head, and the properties of its weights that follow from
//! it.

use serde::{Deserialize, Serialize};

use crate::head::HeadOver;
use crate::model::{Backbone, ModelSpec, TargetScale, Task, initial_tensors, signature};
use crate::weights::{Signature, Tensors};

/// What is trained: a specialist, or a head over frozen specialists. Or bands that are only measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainingTarget {
    /// A specialist: encoder and head.
    Specialist(ModelSpec),
    /// Selector, fusion and head over the frozen encoders of a release.
    Head(Box<HeadOver>),
    /// Nothing is trained; these bands are measured.
    Bands(Vec<String>),
}

impl TrainingTarget {
    /// Names and shapes of its weights: exactly the tensors that may be sent.
    #[must_use]
    pub fn signature(&self) -> Signature {
        match self {
            Self::Specialist(model) => signature(model),
            Self::Head(over) => over.head.signature(),
            Self::Bands(_) => Signature::default(),
        }
    }

    /// Starting values from a seed.
    #[must_use]
    pub fn initial_weights(&self, seed: u64) -> Tensors {
        initial_tensors(&self.signature(), seed)
    }

    /// The task, if it has one.
    #[must_use]
    pub const fn task(&self) -> Option<Task> {
        match self {
            Self::Specialist(model) => Some(model.task),
            Self::Head(over) => Some(over.head.task),
            Self::Bands(_) => None,
        }
    }

    /// Names of its classes.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        match self {
            Self::Specialist(model) => &model.classes,
            Self::Head(over) => &over.head.classes,
            Self::Bands(_) => &[],
        }
    }

    /// What its output means in the target's units (regression).
    #[must_use]
    pub const fn target(&self) -> Option<&TargetScale> {
        match self {
            Self::Specialist(model) => model.target.as_ref(),
            Self::Head(over) => over.head.target.as_ref(),
            Self::Bands(_) => None,
        }
    }

    /// Names of the bands of the data that it needs.
    #[must_use]
    pub fn bands(&self) -> Vec<String> {
        match self {
            Self::Specialist(model) => model.bands.clone(),
            Self::Head(over) => over.head.bands(),
            Self::Bands(bands) => bands.clone(),
        }
    }

    /// Names of the bands whose normalisation is part of its training. Frozen encoders have their own.
    #[must_use]
    pub fn normalised(&self) -> &[String] {
        match self {
            Self::Specialist(model) => &model.bands,
            Self::Head(_) => &[],
            Self::Bands(bands) => bands,
        }
    }

    /// The architectures of its encoders, each once.
    #[must_use]
    pub fn backbones(&self) -> Vec<Backbone> {
        match self {
            Self::Specialist(model) => vec![model.backbone],
            Self::Bands(_) => Vec::new(),
            Self::Head(over) => {
                let mut all: Vec<_> = over.head.encoders.iter().map(|encoder| encoder.backbone).collect();
                all.sort();
                all.dedup();
                all
            }
        }
    }
}
