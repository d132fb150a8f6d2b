//! Room on disks.

use std::io;
use std::path::Path;

/// The bytes that are free for this user on the disk of a path.
///
/// # Errors
/// If the path does not exist or the file system does not say.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = nix::sys::statvfs::statvfs(path)?;
    Ok(stat.blocks_available() * stat.fragment_size())
}
