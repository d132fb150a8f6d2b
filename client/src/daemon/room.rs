//! Room on the disk: a trainer that runs out of it has failed for no fault of the work's, and must not
//! be tried until its tries are used up.

use std::io;
use std::path::Path;

use eosfed_common::trainee::Trainee;
use nix::sys::statvfs::statvfs;

use super::DaemonError;

/// Weights, and a checkpoint of weights with two moments each.
const COPIES: u64 = 4;

/// Bytes that a training writes beside what is there.
fn needed(trainee: &Trainee) -> u64 {
    COPIES * trainee.signature().max_file_bytes()
}

/// Bytes that may still be written in a folder; as many as there can be where the system does not say.
fn free(folder: &Path) -> u64 {
    statvfs(folder).map_or(u64::MAX, |found| found.blocks_available().saturating_mul(found.fragment_size()))
}

/// That a training has room in its folder.
///
/// # Errors
/// One that is a full disk's, with how much is needed.
pub(super) fn check(folder: &Path, trainee: &Trainee) -> Result<(), DaemonError> {
    let (free, needed) = (free(folder), needed(trainee));
    if free >= needed {
        return Ok(());
    }
    let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
    let message =
        format!("training needs {} MB here, and {} MB are free", megabytes(needed), free / 1_000_000);
    let source = io::Error::new(io::ErrorKind::StorageFull, message);
    Err(DaemonError::Io { path: folder.to_owned(), source })
}
