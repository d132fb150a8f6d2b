//! Using a release: its frozen specialists, what is learned over them, its score, and what each of
//! them brings.

mod ablate;
mod combine;
mod downstream;
mod error;
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
pub use downstream::{Downstream, Evaluated};
pub use error::EnsembleError;
pub use export::{ExportFormat, ExportOptions, ExportReport, export_features};
pub use extract::{Extractor, FeatureBank};
pub use fit::{FitOptions, FitProgress, FitReport, fit, selects};
pub use joint::train_head;
pub use predict::{PredictOptions, PredictReport, Scale, predict_scene};
pub use prune::{PruneOptions, PruneReport, PruneSide, prune};
pub use release::{Choice, Release};
pub use score::{ScoreRow, score};
pub use table::{report, table};
