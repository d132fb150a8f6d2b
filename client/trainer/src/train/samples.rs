//! Where a training takes its samples from: tensors that hold all of them, or a stream that holds a few.

use eosfed_common::model::Task;
use eosfed_data::DataError;
use tch::{Device, Tensor};

use super::batches::{Batch, Batches, Transforms};
use super::labelled::Labelled;
use super::tensors::TensorDataset;

/// What an epoch needs besides its samples.
#[derive(Debug, Clone, Copy)]
pub struct EpochSettings<'a> {
    /// The task; it decides which labels are known.
    pub task: Task,
    /// Samples in a batch.
    pub batch_size: usize,
    /// Random changes to samples.
    pub transforms: &'a Transforms,
    /// Seed of order and changes.
    pub seed: u64,
}

/// The batches of an epoch.
pub type BatchIterator<'a> = Box<dyn Iterator<Item = Result<Batch, DataError>> + 'a>;

/// Samples that batches are made of. What a batch holds depends on the settings of its epoch only.
pub trait Samples {
    /// Number of samples.
    fn len(&self) -> usize;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where batches are.
    fn device(&self) -> Device;

    /// The batches of one epoch, in random order.
    fn epoch(&self, settings: EpochSettings<'_>) -> BatchIterator<'_>;

    /// All samples in their order, as they are, with at most `batch_size` in a batch.
    fn in_order(&self, batch_size: usize) -> BatchIterator<'_>;
}

/// A part of a data set, and how its outputs are computed.
pub struct ScoredData<'a> {
    /// Outputs for a batch; the flag is false.
    pub forward: &'a dyn Fn(&Tensor, bool) -> Tensor,
    /// The samples.
    pub data: &'a dyn Samples,
}

impl Samples for TensorDataset {
    fn len(&self) -> usize {
        Self::len(self)
    }

    fn device(&self) -> Device {
        self.images.device()
    }

    fn epoch(&self, settings: EpochSettings<'_>) -> BatchIterator<'_> {
        let EpochSettings { task, batch_size, transforms, seed } = settings;
        let labelled = Labelled::of(task, &self.labels);
        let known = move |batch: Batch| {
            let each = batch.windows.iter().map(|window| labelled.any(&[*window])).collect();
            Ok(Batch { labelled: each, ..batch })
        };
        Box::new(Batches::new(self, batch_size, transforms, seed).map(known))
    }

    fn in_order(&self, batch_size: usize) -> BatchIterator<'_> {
        let total = self.len();
        let batch = move |start: usize| {
            let size = batch_size.min(total - start);
            let take = |tensor: &Tensor| tensor.narrow(0, start as i64, size as i64);
            Ok(Batch::plain(take(&self.images), take(&self.labels), start))
        };
        Box::new((0..total).step_by(batch_size).map(batch))
    }
}
