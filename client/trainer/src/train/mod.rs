//! Training: from a task file to weights, with a checkpoint after each epoch.

mod average;
mod baseline;
mod batches;
mod checkpoint;
mod error;
mod evaluate;
mod flat;
mod labelled;
mod layers;
mod likeness;
mod loss;
mod mixing;
mod optimizer;
mod orientation;
mod parts;
mod pretrained;
mod raw;
mod run;
mod samples;
mod scored;
mod session;
mod shares;
mod stream;
mod tally;
mod tensors;
mod train_loop;
mod windows;

pub(crate) use baseline::scale_of;
pub use baseline::{Baseline, BaselineReport, baselines};
pub use batches::{Batch, Batches, Transforms, Window};
pub use error::TrainError;
pub use evaluate::evaluate;
pub(crate) use likeness::{Learned, Seen, other_unit, unknown, unlike};
pub(crate) use loss::resize_to_labels;
pub use loss::{LossSettings, class_weights};
pub use mixing::MixSettings;
pub use optimizer::{AdamW, learning_rate};
pub use orientation::Orientation;
pub use parts::Parts;
pub(crate) use run::{known, proximal_term};
pub use run::{normalisation, run};
pub use samples::{BatchIterator, EpochSettings, Samples, ScoredData};
pub use session::{RunInfo, Session};
pub use stream::StreamedDataset;
pub(crate) use tensors::resized;
pub use tensors::{Preprocessing, TensorDataset};
pub use train_loop::{
    Cancelled, EpochReport, LoopSettings, ProximalTerm, TrainLoop, TrainLoopError, predict,
};
