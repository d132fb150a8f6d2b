//! What masks hold: which values, in all of them or in so many.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use eosfed_common::counted::counted;
use eosfed_common::model::Task;
use eosfed_common::printable::{MAX_WORD, Printable};

use super::Draft;
use super::bands::Looked;
use super::folders::is_mask;
use super::names::is_plain;
use super::text::{list, shown};
use crate::dataset::WindowReader;
use crate::error::DataError;
use crate::geotiff::Numbers;
use crate::raster::{Limits, whole_number};
use crate::sample::IGNORE;

/// Most masks that are looked at, spread evenly over all.
const MASKS: usize = 5000;
/// With so many pixels, no further mask is looked at. One mask has fewer.
const PIXELS: u64 = 1 << 30;
/// Pixels that are in memory at once.
const AT_ONCE: usize = 1 << 22;
/// Most different values that classes can have: the number of an 8-bit class without the one that is no label.
const MOST_VALUES: usize = 255;

/// What masks hold.
#[derive(Debug, Default)]
pub(super) struct MaskValues {
    /// Masks that were read.
    pub(super) looked_at: usize,
    /// Of so many.
    pub(super) of: usize,
    /// Masks that could not be read.
    pub(super) unreadable: usize,
    /// Most bands that one has.
    pub(super) bands: usize,
    /// All values, if `is_classes`.
    pub(super) values: BTreeSet<i64>,
    /// Whether they may be numbers of classes: one band of few different whole numbers.
    pub(super) is_classes: bool,
}

impl MaskValues {
    /// Looks at all pixels of masks, of all or of so many, the same each time.
    ///
    /// # Errors
    /// If none can be read: the first one's.
    pub(super) fn of(files: &[PathBuf], limits: &Limits) -> Result<Self, DataError> {
        Self::of_some(files, MASKS, PIXELS, limits)
    }

    /// The same of at most `most` files, and of no further one after so many pixels.
    ///
    /// # Errors
    /// Like [`MaskValues::of`].
    pub(super) fn of_some(
        files: &[PathBuf],
        most: usize,
        pixels: u64,
        limits: &Limits,
    ) -> Result<Self, DataError> {
        let mut found = Self { of: files.len(), is_classes: true, ..Self::default() };
        let mut refused = None;
        let mut seen = 0;
        let wanted = spread(files, most, pixels, limits);
        for at in 0..wanted {
            if seen >= pixels || !found.is_classes {
                break;
            }
            match found.add(&files[at * files.len() / wanted], limits) {
                Ok(size) => {
                    found.looked_at += 1;
                    seen += size;
                }
                Err(error) => {
                    found.unreadable += 1;
                    refused.get_or_insert(error);
                }
            }
        }
        match refused {
            Some(error) if found.looked_at == 0 => Err(error),
            _ => Ok(found),
        }
    }

    /// Adds the values of a file. Gives the number of its pixels.
    fn add(&mut self, path: &Path, limits: &Limits) -> Result<u64, DataError> {
        let mut file = WindowReader::open_label(path, limits, Numbers::default(), Task::Segmentation, 1)?;
        let [width, height] = file.size();
        self.bands = self.bands.max(file.bands());
        self.is_classes &= file.bands() == 1;
        let rows = (AT_ONCE / width.max(1) / file.bands().max(1)).max(1);
        for top in (0..height).step_by(rows) {
            if !self.is_classes {
                break;
            }
            self.add_values(&file.window([0, top], [width, rows.min(height - top)])?);
        }
        Ok(width as u64 * height as u64)
    }

    fn add_values(&mut self, values: &[f32]) {
        // Neighbours are mostly equal.
        for run in values.chunk_by(|a, b| a == b) {
            let value = run[0];
            if !value.is_finite() {
                continue;
            }
            let Some(whole) = whole_number(value) else {
                self.is_classes = false;
                return;
            };
            self.values.insert(whole);
            self.is_classes &= self.values.len() <= MOST_VALUES;
            if !self.is_classes {
                return;
            }
        }
    }
}

/// How many files are looked at, so that about so many pixels are, as many as the first has for each.
fn spread(files: &[PathBuf], most: usize, pixels: u64, limits: &Limits) -> usize {
    let first = files.first().and_then(|file| {
        let file = WindowReader::open_label(file, limits, Numbers::default(), Task::Segmentation, 1).ok()?;
        Some(file.size().into_iter().map(|side| side as u64).product::<u64>())
    });
    let allowed = pixels / first.unwrap_or(1).max(1);
    files.len().min(most).min(usize::try_from(allowed).unwrap_or(usize::MAX)).max(1).min(files.len())
}

/// A folder of few different whole numbers, as maps of classes have, of some of its files; none if it does not look like one.
pub(super) fn map_of_classes(files: &[PathBuf], limits: &Limits) -> Option<MaskValues> {
    /// Files that are looked at, and about so many pixels of them.
    const LOOK: (usize, u64) = (16, 1 << 24);
    /// Most values of such a map; what is measured has more.
    const FEW: usize = 64;
    let found = MaskValues::of_some(files, LOOK.0, LOOK.1, limits).ok()?;
    (found.is_classes && (2..=FEW).contains(&found.values.len())).then_some(found)
}

impl Draft<'_> {
    /// What masks hold.
    pub(super) fn masks(&mut self, folder: &Path, files: &[PathBuf]) -> Result<(), DataError> {
        let MaskValues { looked_at, of, unreadable, bands, values, is_classes } =
            MaskValues::of(files, self.limits)?;
        if unreadable > 0 {
            self.ask(format!(
                "{} cannot be read: `eosfed-client data inspect` says why; are they needed?",
                counted(unreadable, "mask")
            ));
        }
        if bands > 1 {
            let _ = writeln!(
                self.head,
                "# The files of `{}` have {bands} bands, as masks of colours do.\ntask = \"segmentation\"\nclasses = {}",
                shown(folder),
                list(["class_0", "class_1"].map(str::to_owned))
            );
            self.ask(format!(
                "a mask has one band with the number of a class, and those in `{}` have {bands}: are they colours of classes? Such \
                 masks have to become numbers first",
                shown(folder)
            ));
            return Ok(());
        }
        if !is_classes {
            self.target(folder, files);
            return Ok(());
        }
        let zero_and_high = values.iter().copied().eq([0, i64::from(IGNORE)]);
        let known: Vec<i64> =
            values.iter().copied().filter(|value| zero_and_high || *value != i64::from(IGNORE)).collect();
        let from_zero = known.iter().copied().eq(0..known.len() as i64);
        let names = list((0..known.len().max(2)).map(|at| format!("class_{at}")));
        let all = if looked_at + unreadable == of { String::new() } else { format!(" of {of}") };
        let verb = if looked_at == 1 { "holds" } else { "hold" };
        let _ = writeln!(
            self.head,
            "# {}{all} {verb} the values {known:?}.\ntask = \"segmentation\"\nclasses = {names}",
            counted(looked_at, "mask")
        );
        if !from_zero && known.len() > 1 {
            let _ = writeln!(self.head, "mask_values = {known:?}");
        }
        if !all.is_empty() {
            self.ask(format!(
                "{looked_at} of {of} masks were looked at: do others hold more values? Pixels of values that are not listed have no \
                 label, and `eosfed-client data inspect` counts them"
            ));
        }
        self.ask("what are the names of the classes, in the order of their values?");
        Ok(())
    }

    /// Numbers that are no classes.
    fn target(&mut self, folder: &Path, files: &[PathBuf]) {
        /// Files that are tried where some cannot be read.
        const TRIED: usize = 20;
        let looked = files.iter().take(TRIED).find_map(|file| Looked::at(file, self.limits).ok());
        let looked = looked.filter(|looked| looked.low <= looked.high);
        let reach = looked.as_ref().map_or_else(String::new, |Looked { low, high, .. }| {
            format!(". Those of its first file that is read reach from {low} to {high}")
        });
        let own = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let named = !is_mask(folder) && is_plain(own) && Printable::parse(own, 1..=MAX_WORD).is_ok();
        let target = if named { own } else { "target" };
        let _ = writeln!(
            self.head,
            "# `{}` holds numbers that are no classes: fractions, or more than {MOST_VALUES} different ones{reach}.\ntask = \
             \"regression\"\nclasses = {}\n# target_unit = \"m\"",
            shown(folder),
            list([target.to_owned()])
        );
        self.ask(format!(
            "what is the target (`classes`), and in which unit are its numbers (`target_unit`)? The partners of a job need the same \
             unit{reach}"
        ));
        if let Some(mark) = looked.and_then(|looked| looked.mark()) {
            let _ = writeln!(self.head, "target_nodata = {mark:?}");
            self.ask(format!("does {mark} mark missing pixels of the target (`target_nodata`)?"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geotiff::write_geotiff;
    use crate::raster::Raster;

    fn masks(folder: &Path, masks: &[&[f32]]) -> Vec<PathBuf> {
        let write = |(at, values): (usize, &&[f32])| {
            let path = folder.join(format!("{at:02}.tif"));
            let data = values.to_vec();
            write_geotiff(&path, &Raster { width: data.len(), height: 1, bands: 1, data, reference: None })
                .unwrap();
            path
        };
        masks.iter().enumerate().map(write).collect()
    }

    #[test]
    fn all_masks_are_looked_at_or_so_many_are_said() {
        let folder = tempfile::tempdir().unwrap();
        let rows: Vec<Vec<f32>> = (0..20).map(|at| vec![at as f32, f32::NAN, 3.0]).collect();
        let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        let files = masks(folder.path(), &rows);
        let limits = Limits::default();
        let all = MaskValues::of(&files, &limits).unwrap();
        assert_eq!((all.looked_at, all.of, all.is_classes), (20, 20, true));
        assert_eq!(all.values, (0..20).collect::<BTreeSet<i64>>());
        for few in [
            MaskValues::of_some(&files, 4, PIXELS, &limits).unwrap(),
            MaskValues::of_some(&files, MASKS, 12, &limits).unwrap(),
        ] {
            assert_eq!((few.looked_at, few.of), (4, 20));
            assert_eq!(few.values, BTreeSet::from([0, 3, 5, 10, 15]));
        }
    }

    #[test]
    fn files_that_cannot_be_read_are_counted_and_quantities_are_no_classes() {
        let folder = tempfile::tempdir().unwrap();
        let files = masks(folder.path(), &[&[1.0, 2.0], &[2.0, 7.0]]);
        std::fs::write(&files[0], "II*\0").unwrap();
        let found = MaskValues::of(&files, &Limits::default()).unwrap();
        assert_eq!((found.looked_at, found.unreadable, found.values), (1, 1, BTreeSet::from([2, 7])));
        std::fs::write(&files[1], "II*\0").unwrap();
        let said = MaskValues::of(&files, &Limits::default()).unwrap_err().to_string();
        assert!(said.contains("00.tif"), "{said}");
        let many: Vec<f32> = (0..256).map(|at| at as f32).collect();
        for quantities in [&[0.5_f32, 1.0][..], &[1e30, 2.0][..], &many[..]] {
            let files = masks(folder.path(), &[quantities]);
            assert!(!MaskValues::of(&files, &Limits::default()).unwrap().is_classes, "{quantities:?}");
        }
        let files = masks(folder.path(), &[&many[..255]]);
        assert!(MaskValues::of(&files, &Limits::default()).unwrap().is_classes);
    }
}
