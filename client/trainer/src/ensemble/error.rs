//! Why a head cannot be trained, scored or used.

use std::path::Path;

use eosfed_common::weights::WeightsError;
use eosfed_data::DataError;
use eosfed_plot::PlotError;

use crate::train::{TrainError, TrainLoopError};

/// Why a head cannot be trained, scored or used.
#[derive(Debug, thiserror::Error)]
pub enum EnsembleError {
    /// The data set cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file of weights cannot be used.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The training loop.
    #[error(transparent)]
    Fit(#[from] TrainLoopError),
    /// Training in a job.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A picture cannot be drawn.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// The choice of encoders does not fit the data.
    #[error("--encoders: {0}")]
    Choice(String),
    /// What is said of the files of a scene breaks rules.
    #[error("as in dataset.toml, {0}")]
    Reading(String),
    /// A file of the release or of a head is missing, damaged or not what it should be.
    #[error("{file}: {reason}")]
    File {
        /// The file.
        file: String,
        /// The rule and the value found.
        reason: String,
    },
}

impl EnsembleError {
    pub(super) fn file(path: &Path, reason: impl std::fmt::Display) -> Self {
        Self::File { file: path.display().to_string(), reason: reason.to_string() }
    }
}
