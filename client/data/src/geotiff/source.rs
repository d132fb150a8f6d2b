//! The bytes of a file, read by position.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::open::open_regular;

/// Bytes from the beginning of a file that are read when it is opened: its directories, and all of a small file.
const HEAD: u64 = 128 << 10;

/// An opened file.
pub(super) struct Source {
    path: PathBuf,
    /// None if all of it is in `head`.
    file: Option<File>,
    length: u64,
    head: Vec<u8>,
}

impl Source {
    /// # Errors
    /// If it is no regular file or cannot be read.
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let fail = |error: io::Error| DataError::file(path, error);
        let file = open_regular(path)?;
        let length = file.metadata().map_err(fail)?.len();
        let mut head = vec![0; length.min(HEAD) as usize];
        file.read_exact_at(&mut head, 0).map_err(fail)?;
        Ok(Self { path: path.to_owned(), file: Some(file), length, head })
    }

    /// A file in memory, which sentences call `path`.
    #[cfg(feature = "gdal")]
    pub(super) fn of_bytes(path: &Path, bytes: Vec<u8>) -> Self {
        Self { path: path.to_owned(), file: None, length: bytes.len() as u64, head: bytes }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes in the file.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// Fills `into` with the bytes that begin at `offset`.
    ///
    /// # Errors
    /// If the file ends before or cannot be read.
    pub(super) fn fill(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let end = self.end(offset, into.len() as u64)?;
        if end <= self.head.len() as u64 {
            into.copy_from_slice(&self.head[offset as usize..end as usize]);
            return Ok(());
        }
        let file = self.file.as_ref().ok_or(io::ErrorKind::UnexpectedEof)?;
        file.read_exact_at(into, offset)
    }

    /// `length` bytes that begin at `offset`.
    ///
    /// # Errors
    /// As [`Self::fill`]; then nothing has been allocated.
    pub(super) fn bytes(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        self.end(offset, length)?;
        let mut bytes = vec![0; length as usize];
        self.fill(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Where a part of the file ends.
    fn end(&self, offset: u64, length: u64) -> io::Result<u64> {
        let end = offset.checked_add(length).filter(|end| *end <= self.length);
        end.ok_or_else(|| {
            let text =
                format!("{length} bytes at {offset} lie beyond the end of the file at {}", self.length);
            io::Error::new(io::ErrorKind::UnexpectedEof, text)
        })
    }
}
