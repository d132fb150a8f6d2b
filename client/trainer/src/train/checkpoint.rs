//! Checkpoints: after each epoch, everything that a training needs to resume with the same bytes.
//!
//! Tensors are in a safetensors file of their epoch. A small JSON file, replaced atomically, names the
//! epoch that counts and the task that it belongs to. A torn checkpoint, or one of another task, is
//! ignored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eosfed_common::card::InitialFile;
use eosfed_common::digest::Digest;
use eosfed_common::files::write_atomically;
use eosfed_common::finite::Finite;
use eosfed_common::task::{DeviceChoice, TrainTask};
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

/// What a checkpoint holds besides tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct CheckpointState {
    /// Digest of the task that the checkpoint belongs to.
    pub task: Digest,
    /// Epochs done.
    pub epoch: u32,
    /// Steps done.
    pub step: u64,
    /// Main validation metric of the best epoch; absent without validation samples.
    pub best: Option<f64>,
    /// All epochs so far.
    pub history: Vec<HistoryEntry>,
    /// Energy used by this task so far, in kWh.
    pub energy_kwh: f64,
    /// Which of timm's files the encoder started from, if any.
    #[serde(default)]
    pub initial: Option<InitialFile>,
    /// Scores of the starting weights, where they are scored.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub start_metrics: BTreeMap<String, Finite>,
}

impl CheckpointState {
    /// The state before the first epoch.
    pub(super) const fn new(task: Digest) -> Self {
        Self {
            task,
            epoch: 0,
            step: 0,
            best: None,
            history: Vec::new(),
            energy_kwh: 0.0,
            initial: None,
            start_metrics: BTreeMap::new(),
        }
    }
}

/// The digest that identifies the task of a checkpoint. Device and folders do not count.
pub(super) fn task_digest(task: &TrainTask) -> Digest {
    let mut task = task.clone();
    task.device = DeviceChoice::Auto;
    task.output = PathBuf::new();
    task.samples = None;
    Digest::of(&serde_json::to_vec(&task).expect("a task is plain data"))
}

fn tensors_file(folder: &Path, epoch: u32) -> PathBuf {
    folder.join(format!("checkpoint-{epoch}.safetensors"))
}

/// Stores a checkpoint and removes the previous one.
pub(super) fn save(
    folder: &Path,
    state: &CheckpointState,
    signature: &Signature,
    tensors: &Tensors,
) -> Result<(), WeightsError> {
    weights::write(&tensors_file(folder, state.epoch), signature, tensors)?;
    let index = folder.join(INDEX);
    let json = serde_json::to_vec_pretty(state).expect("the state is plain data");
    write_atomically(&index, &json).map_err(|source| WeightsError::Io { path: index, source })?;
    if state.epoch > 1 {
        // If this fails, a file stays behind that is never read.
        let _ = std::fs::remove_file(tensors_file(folder, state.epoch - 1));
    }
    Ok(())
}

/// The checkpoint of `task`, if there is a complete one.
pub(super) fn load(folder: &Path, task: Digest, signature: &Signature) -> Option<(CheckpointState, Tensors)> {
    let json = std::fs::read(folder.join(INDEX)).ok()?;
    let state: CheckpointState = serde_json::from_slice(&json)
        .inspect_err(|error| tracing::warn!(%error, "ignoring a damaged checkpoint"))
        .ok()?;
    if state.task != task {
        tracing::warn!("ignoring a checkpoint of another task");
        return None;
    }
    let tensors = read(&tensors_file(folder, state.epoch), signature)
        .inspect_err(|error| tracing::warn!(%error, "ignoring a damaged checkpoint"))
        .ok()?;
    Some((state, tensors))
}

/// Removes the files that only a resumed training needs.
pub(super) fn clear(folder: &Path, epoch: u32) {
    for path in [folder.join(INDEX), tensors_file(folder, epoch), folder.join(BEST)] {
        let _ = std::fs::remove_file(path);
    }
}
