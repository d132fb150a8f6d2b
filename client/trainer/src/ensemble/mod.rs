//! Using a release: its frozen specialists, what is learned over them, its score, and what each of
//! them brings.

mod ablate;
mod combine;
mod downstream;
mod export;
mod extract;
mod feed;
mod fit;
mod joint;
mod predict;
mod prune;
mod release;
mod score;
mod table;

pub use ablate::{Ablation, AblationReport, ablate, ablation_chart};
pub use combine::Combiner;
pub use downstream::Downstream;
pub use export::{ExportFormat, ExportOptions, ExportReport, export_features};
pub use extract::{Extractor, FeatureBank};
pub use fit::{FitOptions, FitProgress, FitReport, fit, selects};
pub use joint::train_head;
pub use predict::{PredictOptions, PredictReport, predict_scene};
pub use prune::{PruneOptions, PruneReport, PruneSide, prune};
pub use release::{Choice, Release};
pub use score::{ScoreRow, score};
pub use table::{report, table};

use eosfed_common::weights::WeightsError;
use eosfed_data::DataError;
use eosfed_plot::PlotError;

use crate::train::{FitError, TrainError};

/// Why a head cannot be trained or scored.
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
    fn file(path: &std::path::Path, reason: impl std::fmt::Display) -> Self {
        Self::File { file: path.display().to_string(), reason: reason.to_string() }
    }
}
