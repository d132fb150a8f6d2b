//! Whether files, and the values of samples, are equal.

use std::os::unix::fs::FileExt as _;
use std::path::Path;

use eosfed_common::digest::{Digest, Hasher};

use crate::error::DataError;
use crate::open::open_regular;

/// Bytes of a file that are compared before the rest is read.
const HEAD: usize = 64 << 10;

/// The length of a file and a digest of its first bytes: different for most different files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Beginning {
    length: u64,
    digest: Digest,
}

impl Beginning {
    /// Whether the first bytes are all bytes.
    pub(crate) const fn is_whole(self) -> bool {
        self.length <= HEAD as u64
    }
}

/// Reads the first bytes of a regular file.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn beginning(path: &Path) -> Result<Beginning, DataError> {
    let fail = |error| DataError::file(path, error);
    let file = open_regular(path)?;
    let length = file.metadata().map_err(fail)?.len();
    let mut head = vec![0; length.min(HEAD as u64) as usize];
    file.read_exact_at(&mut head, 0).map_err(fail)?;
    Ok(Beginning { length, digest: Digest::of(&head) })
}

/// The digest of a regular file, read a piece at a time.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn digest_of_file(path: &Path) -> Result<Digest, DataError> {
    let fail = |error| DataError::file(path, error);
    let file = open_regular(path)?;
    let mut hasher = Hasher::default();
    let mut piece = vec![0; HEAD];
    let mut at = 0;
    loop {
        match file.read_at(&mut piece, at).map_err(fail)? {
            0 => return Ok(hasher.finish()),
            read => {
                hasher.update(&piece[..read]);
                at += read as u64;
            }
        }
    }
}

/// The digest of values in rows of so many.
pub(crate) fn digest_of_values(width: usize, values: &[f32]) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(&(width as u64).to_le_bytes());
    hasher.update(bytemuck::cast_slice(values));
    hasher.finish()
}
