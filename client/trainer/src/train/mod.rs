//! Training: from a task file to weights, with checkpoints in between.

mod baseline;
mod batches;
mod checkpoint;
mod evaluate;
mod fit;
mod loss;
mod optimizer;
mod orientation;
mod prepared;
mod pretrained;
mod run;
mod session;

pub(crate) use baseline::target_scale;
pub use baseline::{Baseline, BaselineReport, baselines};
pub use batches::{Batches, Changes};
pub use evaluate::evaluate;
pub use fit::{Cancelled, EpochReport, FitError, Fitting, Plan, predict};
pub(crate) use loss::at_label_size;
pub use loss::{LossSettings, class_weights};
pub use optimizer::{AdamW, learning_rate};
pub use orientation::Orientation;
pub use prepared::{Preparation, Prepared};
pub use run::{TrainError, normalisation, run};
pub(crate) use run::{proximal, training_samples};
pub use session::{Facts, Session};
