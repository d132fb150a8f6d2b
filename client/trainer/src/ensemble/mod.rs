//! Heads over the frozen specialists of a release: training them, scoring them, applying them, and
//! measuring what each specialist contributes.

mod ablate;
mod combine;
mod error;
mod export;
mod extractor;
mod feature_source;
mod fit;
mod head_model;
mod joint;
mod predict;
mod prune;
mod release;
mod score;
mod table;

pub use ablate::{ablate, ablation_chart};
pub use combine::Combiner;
pub use error::EnsembleError;
pub use export::{ExportFormat, ExportOptions, ExportReport, export_features};
pub use extractor::{FeatureCache, FeatureExtractor, encoded};
pub use fit::{FitOptions, FitProgress, FitReport, fit, selects};
pub use head_model::{Evaluation, HeadModel};
pub use joint::train_head;
pub use predict::{
    FailedScene, PredictOptions, PredictReport, PresentMap, Scale, SceneEnd, Scenes, ScenesReport, Several,
    predict_scene, predict_scenes,
};
pub use prune::{PruneOptions, PruneReport, PruneSide, TieBreaker, TieReport, TiedEncoder, prune};
pub use release::{EncoderChoice, Release};
pub use score::{ScoreRow, ScoringData, score};
pub use table::{report, table};
