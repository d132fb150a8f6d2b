//! Why a head cannot be trained, scored or used.

use std::path::Path;

use eosfed_common::weights::WeightsError;
use eosfed_data::DataError;
use eosfed_plot::PlotError;

use crate::train::{FitError, TrainError};

/// Why a head cannot be trained, scored or used.
#[derive(Debug, thiserror::Error)]
pub enum EnsembleError {
    /// The data set.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file of weights.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Training.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// Training as a job asks.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A picture.
    #[error(transparent)]
    Plot(#[from] PlotError),
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
