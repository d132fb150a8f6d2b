//! Errors of a training task.

use std::path::PathBuf;

use eosfed_common::weights::WeightsError;
use eosfed_data::DataError;

use super::train_loop::{Cancelled, TrainLoopError};
use crate::device::NoCuda;

/// Why a training task failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The data set cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file of weights cannot be used.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The device is missing.
    #[error(transparent)]
    Device(#[from] NoCuda),
    /// The loss diverged.
    #[error("{0}")]
    Diverged(TrainLoopError),
    /// The training was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The card beside the weights to start from cannot be used.
    #[error("{path}: {reason}", path = path.display())]
    Start {
        /// The card.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A result cannot be written.
    #[error("cannot write {file}: {reason}")]
    Write {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
}

impl From<TrainLoopError> for TrainError {
    fn from(error: TrainLoopError) -> Self {
        match error {
            TrainLoopError::Cancelled(cancelled) => Self::Cancelled(cancelled),
            TrainLoopError::Data(error) => Self::Data(error),
            diverged @ TrainLoopError::Diverged { .. } => Self::Diverged(diverged),
        }
    }
}
