//! Checkpoints: after each epoch, all that is needed to go on with the same bytes.
//!
//! Tensors lie in a safetensors file of their epoch; a small JSON file, replaced atomically, names
//! the file that counts and the task it belongs to. A torn or foreign checkpoint is ignored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eosfed_common::card::InitialFile;
use eosfed_common::digest::Digest;
use eosfed_common::files::write_atomically;
use eosfed_common::task::TrainTask;
use eosfed_common::weights::{self, Signature, Tensors, WeightsError};
use serde::{Deserialize, Serialize};

use crate::parameters::read;

const INDEX: &str = "checkpoint.json";
/// Weights of the best epoch so far.
pub(super) const BEST: &str = "best.safetensors";

/// One line of the training history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct HistoryEntry {
    pub epoch: u32,
    pub step: u64,
    pub loss: f64,
    pub learning_rate: f64,
    pub metrics: BTreeMap<String, f64>,
}

/// What stands after an epoch, besides tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Digest of the task that the checkpoint belongs to.
    pub task: Digest,
    /// Epochs done.
    pub epoch: u32,
    /// Steps done.
    pub step: u64,
    /// The best epoch's validation metric, if there was one.
    pub best: Option<f64>,
    /// All epochs so far.
    pub history: Vec<HistoryEntry>,
    /// Energy spent by earlier processes on this task, in kWh.
    pub energy_kwh: f64,
    /// What the encoder started from, if that was a file of timm's.
    #[serde(default)]
    pub initial: Option<InitialFile>,
}

/// The digest by which a checkpoint knows its task. Where to compute does not matter.
pub(super) fn task_digest(task: &TrainTask) -> Digest {
    let mut task = task.clone();
    (task.device, task.output) = (eosfed_common::task::DeviceChoice::Auto, PathBuf::new());
    Digest::of(&serde_json::to_vec(&task).expect("a task is plain data"))
}

fn tensors_file(folder: &Path, epoch: u32) -> PathBuf {
    folder.join(format!("checkpoint-{epoch}.safetensors"))
}

/// Stores a checkpoint and removes the one before.
pub(super) fn save(
    folder: &Path,
    progress: &Progress,
    signature: &Signature,
    tensors: &Tensors,
) -> Result<(), WeightsError> {
    weights::write(&tensors_file(folder, progress.epoch), signature, tensors)?;
    let index = folder.join(INDEX);
    let json = serde_json::to_vec_pretty(progress).expect("progress is plain data");
    write_atomically(&index, &json).map_err(|source| WeightsError::Io { path: index, source })?;
    if progress.epoch > 1 {
        // Left behind at worst: a leftover file is never read.
        let _ = std::fs::remove_file(tensors_file(folder, progress.epoch - 1));
    }
    Ok(())
}

/// The checkpoint of `task`, if a whole one is there.
pub(super) fn load(folder: &Path, task: Digest, signature: &Signature) -> Option<(Progress, Tensors)> {
    let json = std::fs::read(folder.join(INDEX)).ok()?;
    let progress: Progress = serde_json::from_slice(&json)
        .inspect_err(|error| tracing::warn!(%error, "ignoring a damaged checkpoint"))
        .ok()?;
    if progress.task != task {
        tracing::warn!("ignoring a checkpoint of another task");
        return None;
    }
    let tensors = read(&tensors_file(folder, progress.epoch), signature)
        .inspect_err(|error| tracing::warn!(%error, "ignoring a damaged checkpoint"))
        .ok()?;
    Some((progress, tensors))
}

/// Removes what only a resumed training would need.
pub(super) fn clear(folder: &Path, epoch: u32) {
    for path in [folder.join(INDEX), tensors_file(folder, epoch), folder.join(BEST)] {
        let _ = std::fs::remove_file(path);
    }
}
