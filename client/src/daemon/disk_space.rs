//! Space on the disk. A trainer that runs out of it fails for a reason outside of the work; such a failure
//! must not use up the tries.

use std::path::Path;

use eosfed_common::files::free_bytes;
use eosfed_common::model::{Backbone, backbone_signature};
use eosfed_common::plan::JobKind;
use eosfed_common::quantity::bytes_apart;
use eosfed_common::training_target::TrainingTarget;

use crate::condition::{ConditionKind, LocalCondition};
use crate::policy::Allow;

/// Weights, and a checkpoint of weights with two moments each.
const COPIES: u64 = 4;
const SENTINEL2_BANDS: usize = 13;

/// The free space on disks.
pub trait DiskSpace: Send + Sync + 'static {
    /// Bytes that may still be written in a folder; [`u64::MAX`] if that is unknown.
    fn free(&self, folder: &Path) -> u64;
}

/// The disks of this machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemDisk;

impl DiskSpace for SystemDisk {
    fn free(&self, folder: &Path) -> u64 {
        free_bytes(folder).unwrap_or(u64::MAX)
    }
}

/// Bytes that a training writes in addition to the existing files.
pub(super) fn of_training(training_target: &TrainingTarget) -> u64 {
    COPIES * training_target.signature().max_file_bytes()
}

/// Bytes that the largest work which a policy allows keeps on the disk at least, with that encoder: a training of
/// weights with their checkpoint, or the weights alone where encoders are only scored. `None`: it keeps none.
#[must_use]
pub fn largest_work(allow: &Allow) -> Option<(Backbone, u64)> {
    let largest = *allow.backbones.iter().max()?;
    let copies = allow.job_kinds.iter().map(|kind| match kind {
        JobKind::OneShot | JobKind::Rounds => COPIES,
        JobKind::Downstream | JobKind::Evaluation => 1,
        JobKind::Statistics => 0,
    });
    let bytes = copies.max()? * backbone_signature(&largest.shape(), SENTINEL2_BANDS).max_file_bytes();
    (bytes > 0).then_some((largest, bytes))
}

/// Checks that `needed` bytes can be written in a folder for `what`.
pub(super) fn check(
    disk: &dyn DiskSpace,
    folder: &Path,
    what: &str,
    needed: u64,
) -> Result<(), LocalCondition> {
    let free = disk.free(folder);
    if free >= needed {
        return Ok(());
    }
    let [needed, free] = bytes_apart(needed, free);
    let message = format!(
        "this disk is full: {}: {what} needs {needed} here, and {free} are free; make space",
        folder.display()
    );
    Err(LocalCondition::new(ConditionKind::DiskFull, message))
}
