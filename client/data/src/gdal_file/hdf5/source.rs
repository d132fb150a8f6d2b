//! Bytes of a file, within a bound, and the numbers in them.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::{Found, unclear};

/// Most bytes of structure that are read of a file, and for how many each read counts at least.
const MOST_READ: u64 = 64 << 20;
const LEAST_READ: u64 = 64;

/// A file, and how much may still be read of it.
pub(super) struct Source {
    file: File,
    length: u64,
    left: u64,
    pub(super) widths: Widths,
}

/// How many bytes an address and a length have. The superblock says it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Widths {
    pub(super) address: usize,
    pub(super) length: usize,
}

impl Source {
    pub(super) const fn new(file: File, length: u64) -> Self {
        Self { file, length, left: MOST_READ, widths: Widths { address: 8, length: 8 } }
    }

    /// So many bytes from an address on.
    ///
    /// # Errors
    /// If the file ends before, or too much was read.
    pub(super) fn read(&mut self, at: u64, count: u64) -> Result<Vec<u8>, Found> {
        if at.checked_add(count).is_none_or(|end| end > self.length) {
            return unclear(format!(
                "{count} bytes at {at} must lie in the file, found `{}` bytes of it; it is damaged or cut short",
                self.length
            ));
        }
        let Some(left) = self.left.checked_sub(count.max(LEAST_READ)) else {
            return unclear(format!("it may have {MOST_READ} bytes besides the data, found more"));
        };
        self.left = left;
        let mut bytes = vec![0; usize::try_from(count).unwrap_or(usize::MAX)];
        self.file
            .read_exact_at(&mut bytes, at)
            .map_err(|error| Found::Unclear(format!("it cannot be read at {at}: {error}")))?;
        Ok(bytes)
    }

    /// So many bytes from an address on, or fewer where the file ends.
    ///
    /// # Errors
    /// If the address is not in the file, or too much was read.
    pub(super) fn read_most(&mut self, at: u64, count: u64) -> Result<Vec<u8>, Found> {
        let count = self.length.saturating_sub(at).clamp(1, count);
        self.read(at, count)
    }

    pub(super) fn fields<'a>(&self, bytes: &'a [u8]) -> Fields<'a> {
        Fields { left: bytes, widths: self.widths }
    }
}

/// Fields one after another, little-endian.
pub(super) struct Fields<'a> {
    pub(super) left: &'a [u8],
    widths: Widths,
}

impl<'a> Fields<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Found> {
        let Some((bytes, left)) = self.left.split_at_checked(count) else {
            return unclear(format!(
                "a part of it must have {count} more bytes, found `{}`",
                self.left.len()
            ));
        };
        self.left = left;
        Ok(bytes)
    }

    /// A whole number of so many bytes, at most 8.
    pub(super) fn number(&mut self, count: usize) -> Result<u64, Found> {
        let mut all = [0; 8];
        all[..count].copy_from_slice(self.bytes(count)?);
        Ok(u64::from_le_bytes(all))
    }

    pub(super) fn byte(&mut self) -> Result<u8, Found> {
        Ok(self.bytes(1)?[0])
    }

    /// Checks that these bytes come next.
    pub(super) fn expect(&mut self, wanted: &[u8]) -> Result<(), Found> {
        let found = self.bytes(wanted.len())?;
        if found == wanted {
            return Ok(());
        }
        unclear(format!("`{}` must come next, found `{}`", wanted.escape_ascii(), found.escape_ascii()))
    }

    pub(super) fn length(&mut self) -> Result<u64, Found> {
        self.number(self.widths.length)
    }

    /// An address; `None` if it says that there is none.
    pub(super) fn address(&mut self) -> Result<Option<u64>, Found> {
        let width = self.widths.address;
        let none = u64::MAX >> (64 - 8 * width);
        Ok(Some(self.number(width)?).filter(|address| *address != none))
    }

    /// An address that must be one.
    pub(super) fn place(&mut self) -> Result<u64, Found> {
        self.address()?
            .ok_or_else(|| Found::Unclear("a part of it must have an address, found none".to_owned()))
    }
}
