//! What the tags of a file say before it is decoded.

use std::io::{Read, Seek};

use super::accept::{Accepted, Refused, Tags};
use super::chunks::{Chunks, refuse_masks};
use super::directory::Directories;

/// What the tags of the first directory say.
pub(super) struct Header {
    /// How its pixels are stored; `None` if the first directory cannot be read, which the decoder says better.
    pub(super) accepted: Option<Result<(Accepted, Chunks), Refused>>,
}

impl Header {
    /// Leaves the file at no particular place.
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
