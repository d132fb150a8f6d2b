//! The tags of a file, read before it is decoded.

use std::io::{Read, Seek};

use super::accept::{Accepted, Refused, Tags};
use super::chunks::{Chunks, refuse_masks};
use super::directory::Directories;

/// The tags of the first directory.
pub(super) struct Header {
    /// How its pixels are stored; `None` if the first directory cannot be read, for which the decoder has the
    /// better message.
    pub(super) accepted: Option<Result<(Accepted, Chunks), Refused>>,
}

impl Header {
    /// The position in the file is undefined afterwards.
    ///
    /// # Errors
    /// If a tag declares more than the file holds.
    pub(super) fn read(file: &mut (impl Read + Seek), length: u64) -> Result<Self, String> {
        let Some((mut directories, first)) = Directories::open(file, length) else {
            return Ok(Self { accepted: None });
        };
        let Ok(directory) = directories.read(first) else { return Ok(Self { accepted: None }) };
        directories.check_lengths(&directory)?;
        let mut accept = || {
            let accepted = Tags { file: &mut directories, directory: &directory }.accept()?;
            refuse_masks(&mut directories, &directory)?;
            Ok((accepted, Chunks::read(&mut directories, &directory)?))
        };
        Ok(Self { accepted: Some(accept()) })
    }
}
