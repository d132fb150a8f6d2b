//! What the rows of a table state about the numbers of the files that they name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::items;
use super::rows::Row;
use crate::geotiff::Stated;

/// The place of a file in a sample: its date, and its position among those whose bands are stacked. None for a label.
pub(super) type FilePlace = Option<[usize; 2]>;

/// What was stated so far.
#[derive(Debug, Default)]
pub(super) struct Statements {
    /// By the path of the file.
    pub(super) files: BTreeMap<PathBuf, Arc<Stated>>,
    /// The unit of each band of files of a place, and who states it.
    units: BTreeMap<(FilePlace, usize), (String, String)>,
}

impl Statements {
    /// Adds what a row states of a file.
    ///
    /// # Errors
    /// If it cannot be understood, differs from what another row states of this file, or is in another unit than what
    /// others state of such files.
    pub(super) fn add(
        &mut self,
        row: &Row,
        root: &Path,
        file: &Path,
        place: FilePlace,
    ) -> Result<(), String> {
        let Some(item) = &row.item else { return Ok(()) };
        let Some(stated) = items::stated(item, root, file)? else { return Ok(()) };
        for (at, band) in stated.bands.iter().enumerate() {
            let Some(unit) = &band.unit else { continue };
            let (known, by) =
                self.units.entry((place, at)).or_insert_with(|| (unit.clone(), stated.place.clone()));
            if known != unit {
                return Err(format!(
                    "{} must have the unit of other samples for band {}, which is `{}` by {by} found `{}`; convert the files \
                     to one unit, or describe them as two data sets",
                    stated.place,
                    at + 1,
                    known.escape_debug(),
                    unit.escape_debug()
                ));
            }
        }
        match self.files.get(file) {
            Some(other) => other.check_equal(&stated),
            None => {
                self.files.insert(file.to_owned(), stated);
                Ok(())
            }
        }
    }
}
