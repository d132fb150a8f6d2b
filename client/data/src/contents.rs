//! Whether files, and the values of samples, are equal.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use eosfed_common::digest::{Digest, Hasher};

use crate::error::DataError;
use crate::gdal_file::{is_image_folder, parts};
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

/// Reads the first bytes of a regular file. Of a folder that is one image, the names and lengths of its files stand for them.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn beginning(path: &Path) -> Result<Beginning, DataError> {
    let fail = |error| DataError::file(path, error);
    if is_image_folder(path) {
        let mut names = Hasher::default();
        let mut length = HEAD as u64 + 1;
        for part in parts(path) {
            let bytes = part.metadata().map_err(fail)?.len();
            names.update(part.strip_prefix(path).unwrap_or(&part).as_os_str().as_encoded_bytes());
            names.update(&bytes.to_le_bytes());
            length += bytes;
        }
        return Ok(Beginning { length, digest: names.finish() });
    }
    let file = open_regular(path)?;
    let length = file.metadata().map_err(fail)?.len();
    let mut head = vec![0; length.min(HEAD as u64) as usize];
    file.read_exact_at(&mut head, 0).map_err(fail)?;
    Ok(Beginning { length, digest: Digest::of(&head) })
}

/// The digest of a regular file, or of the files of a folder that is one image, read a piece at a time.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn digest_of_file(path: &Path) -> Result<Digest, DataError> {
    let files: Vec<PathBuf> = if is_image_folder(path) { parts(path) } else { vec![path.to_owned()] };
    let mut hasher = Hasher::default();
    files.iter().try_for_each(|file| add_file(file, &mut hasher))?;
    Ok(hasher.finish())
}

fn add_file(path: &Path, hasher: &mut Hasher) -> Result<(), DataError> {
    let fail = |error| DataError::file(path, error);
    let file = open_regular(path)?;
    let mut piece = vec![0; HEAD];
    let mut at = 0;
    loop {
        match file.read_at(&mut piece, at).map_err(fail)? {
            0 => return Ok(()),
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
