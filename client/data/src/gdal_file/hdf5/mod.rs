//! HDF5, also as the container of netCDF-4: such a file can name other files for a part of its data, and the library reads
//! those. Every object that a link leads to is looked at, and a file that names another is refused.
//!
//! It can do so in three ways: a link to an object of another file, a dataset whose numbers lie in other files (external
//! storage), and a dataset put together from those of other files (virtual). What is not known here is refused too: nothing is
//! passed over that the library would read.
//!
//! The format is that of the HDF5 File Format Specification 3.0. Where it leaves something open, this follows the library.

mod groups;
mod header;
mod heap;
mod index;
mod source;
mod superblock;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;

use header::Form;
use source::Source;

use crate::error::DataError;
use crate::geotiff::{REWRITE, conversion};
use crate::open::open_regular;

/// Checks that a file names no other.
///
/// # Errors
/// If it does, or if it is damaged or says what is not known here.
pub(super) fn check(path: &Path) -> Result<(), DataError> {
    let file = open_regular(path)?;
    let length = file.metadata().map_err(|error| DataError::file(path, error))?.len();
    let found = Walk::new(Source::new(file, length)).and_then(Walk::finish);
    found.map_err(|found| DataError::file(path, found.about(path)))
}

/// Why a file is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    /// It names another file, in this way.
    Elsewhere(String),
    /// It is damaged, or says what is not known here.
    Unclear(String),
}

impl Found {
    fn about(self, path: &Path) -> String {
        match self {
            Self::Elsewhere(what) => format!(
                "all data of HDF5 must lie in the file itself, found {what}; where you trust the file, {}",
                conversion(REWRITE, path)
            ),
            Self::Unclear(what) => format!(
                "the structure of HDF5 must be clear before the library reads it: {what}; where you trust the file, {}",
                conversion(REWRITE, path)
            ),
        }
    }
}

fn unclear<T>(what: impl Into<String>) -> Result<T, Found> {
    Err(Found::Unclear(what.into()))
}

/// A part of the structure that is looked at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// The header of an object.
    Header { at: u64 },
    /// Messages of the header of an object.
    Messages { at: u64, length: u64, form: Form },
    /// A node of the B-tree of a group in the old form.
    Tree { at: u64 },
    /// The links of a group in the new form that do not fit into its header: the heap that holds them, and a B-tree over it.
    Links { heap: u64, index: u64 },
}

/// The way through a file.
struct Walk {
    source: Source,
    todo: Vec<Part>,
    seen: BTreeSet<Part>,
}

impl Walk {
    /// Begins at the superblock.
    fn new(mut source: Source) -> Result<Self, Found> {
        let first = superblock::read(&mut source)?;
        let mut walk = Self { source, todo: Vec::new(), seen: BTreeSet::new() };
        for at in first {
            walk.add(Part::Header { at });
        }
        Ok(walk)
    }

    fn add(&mut self, part: Part) {
        if self.seen.insert(part) {
            self.todo.push(part);
        }
    }

    fn finish(mut self) -> Result<(), Found> {
        while let Some(part) = self.todo.pop() {
            match part {
                Part::Header { at } => header::header(&mut self, at)?,
                Part::Messages { at, length, form } => header::messages(&mut self, at, length, form)?,
                Part::Tree { at } => groups::tree(&mut self, at)?,
                Part::Links { heap, index } => index::links(&mut self, heap, index)?,
            }
        }
        Ok(())
    }
}
