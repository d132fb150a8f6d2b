//! Training of one specialist: from a task file to frozen weights, with checkpoints in between.

mod batches;
mod checkpoint;
mod fit;
mod loss;
mod optimizer;
mod run;

pub use batches::{Batches, Prepared};
pub use fit::{Cancelled, EpochReport, FitError, Fitting, Plan, predict};
pub use loss::{LossSettings, class_weights};
pub use optimizer::{AdamW, learning_rate};
pub use run::{TrainError, run};
