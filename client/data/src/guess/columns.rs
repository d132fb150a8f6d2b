//! The columns of a table beside images: which cells name files, and which may be labels, parts or places.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::band_files::BandFiles;
use super::folders::{Folders, is_mask};
use super::names::{is_plain, parts};
use super::text::cut;
use crate::dataset::{SEPARATOR, Table};
use crate::error::DataError;

/// Most classes of a column.
const MOST_CLASSES: usize = 255;
/// Most folders whose files are compared with a table.
pub(super) const COMPARED: usize = 20;
/// Most bytes of the name of a class.
const LONGEST: usize = 300;
/// Words in the names of columns of classes.
const CLASS_WORDS: [&str; 4] = ["class", "label", "category", "target"];

/// A column that may be labels.
pub(super) struct Labels {
    pub(super) column: String,
    pub(super) classes: Vec<String>,
    /// Whether rows have several classes.
    pub(super) several: bool,
    /// Whether the column is named like labels.
    pub(super) named: bool,
}

/// Files of a folder with equal endings.
pub(super) struct Kind<'a> {
    pub(super) folder: &'a Path,
    pub(super) ending: &'a str,
    pub(super) stems: HashMap<&'a str, &'a PathBuf>,
}

/// What a column is compared with.
pub(super) struct Files<'a> {
    /// Paths of images below the root.
    pub(super) paths: HashMap<&'a str, &'a PathBuf>,
    pub(super) kinds: Vec<Kind<'a>>,
    scenes: HashSet<&'a str>,
}

/// What the cells of a column are.
#[derive(Default)]
pub(super) struct Column {
    pub(super) name: String,
    /// Cells that are not empty.
    pub(super) filled: usize,
    /// Different cells, and different entries of lists, no more than classes can be and one.
    pub(super) values: BTreeSet<String>,
    entries: BTreeSet<String>,
    has_lists: bool,
    /// The range of the numbers, if all cells are some.
    range: [f64; 2],
    not_numbers: bool,
    /// Cells that name a file: by its path, in each kind of files, and as the name of a scene.
    pub(super) paths: usize,
    pub(super) kinds: Vec<usize>,
    pub(super) scenes: usize,
    /// The different cells that do.
    pub(super) different: HashSet<String>,
    /// Cells that are the outermost folder of the path in another column, by this one's position.
    pub(super) folders: BTreeMap<usize, usize>,
}

impl<'a> Files<'a> {
    /// Names in folders of `maps` are not compared.
    pub(super) fn new(
        root: &Path,
        folders: &'a Folders,
        maps: &[PathBuf],
        bands: Option<&'a BandFiles>,
    ) -> Self {
        let images = || folders.iter().filter(|(folder, _)| !is_mask(folder));
        let below = |file: &'a PathBuf| Some((file.strip_prefix(root).ok()?.to_str()?, file));
        let paths = images().flat_map(|(_, files)| files).filter_map(below).collect();
        let mut kinds: BTreeMap<(&Path, &str), HashMap<&str, &PathBuf>> = BTreeMap::new();
        if folders.len() <= COMPARED {
            for (folder, files) in images().filter(|(folder, _)| !maps.contains(folder)) {
                for file in files {
                    let Some((stem, ending)) = parts(file) else { continue };
                    kinds.entry((folder.as_path(), ending)).or_default().insert(stem, file);
                }
            }
        }
        let kinds = kinds.into_iter().map(|((folder, ending), stems)| Kind { folder, ending, stems });
        let scenes = bands.into_iter().flat_map(|bands| &bands.samples);
        Self {
            paths,
            kinds: kinds.take(COMPARED).collect(),
            scenes: scenes.filter_map(|parts| Some(parts.get("scene")?.as_str())).collect(),
        }
    }
}

impl Column {
    fn add(&mut self, cell: &str, files: &Files<'_>) {
        if cell.is_empty() {
            return;
        }
        self.filled += 1;
        let few = |values: &BTreeSet<String>| values.len() <= MOST_CLASSES;
        if few(&self.values) && !self.values.contains(cell) {
            self.values.insert(cell.to_owned());
        }
        self.has_lists |= cell.contains(SEPARATOR);
        for entry in cell.split(SEPARATOR).map(str::trim).filter(|entry| !entry.is_empty()) {
            if few(&self.entries) && !self.entries.contains(entry) {
                self.entries.insert(entry.to_owned());
            }
        }
        match cell.parse::<f64>().ok().filter(|number| number.is_finite()) {
            Some(number) if self.filled == 1 => self.range = [number; 2],
            Some(number) => self.range = [self.range[0].min(number), self.range[1].max(number)],
            None => self.not_numbers = true,
        }
        let mut names = files.paths.contains_key(cell);
        self.paths += usize::from(names);
        let scene = files.scenes.contains(cell);
        self.scenes += usize::from(scene);
        self.kinds.resize(files.kinds.len(), 0);
        for (kind, count) in files.kinds.iter().zip(&mut self.kinds) {
            let there = kind.stems.contains_key(cell);
            *count += usize::from(there);
            names |= there;
        }
        if names || scene {
            self.different.insert(cell.to_owned());
        }
    }

    /// Most cells that name a file in one way.
    pub(super) fn named(&self) -> usize {
        self.kinds.iter().copied().max().unwrap_or(0).max(self.paths).max(self.scenes)
    }

    pub(super) fn labels(&self, rows: usize) -> Option<Labels> {
        let classes = if self.has_lists { &self.entries } else { &self.values };
        let known = classes.iter().all(|class| class.len() <= LONGEST && !class.contains(char::is_control));
        let number = !self.not_numbers && classes.iter().any(|class| class.contains('.'));
        let few = (2..=MOST_CLASSES).contains(&classes.len())
            && (self.has_lists || 2 * classes.len() <= rows.max(4));
        let full = self.has_lists || self.filled == rows;
        let name = self.name.to_lowercase();
        let named = CLASS_WORDS.iter().any(|word| name.contains(word));
        // Presence of one of many classes.
        let number = number || (!named && self.is_share(rows));
        (known && few && full && !number && is_plain(&self.name)).then(|| Labels {
            column: self.name.clone(),
            classes: classes.iter().cloned().collect(),
            several: self.has_lists,
            named,
        })
    }

    /// Whether all cells are numbers from 0 to 1, and some are between.
    pub(super) fn is_share(&self, rows: usize) -> bool {
        let [low, high] = self.range;
        !self.not_numbers && self.filled == rows && low >= 0.0 && high <= 1.0 && low < high
    }

    pub(super) fn is_place(&self, names: [&str; 2], most: f64, rows: usize) -> bool {
        let named = names.iter().any(|name| self.name.eq_ignore_ascii_case(name));
        named && !self.not_numbers && self.filled == rows && self.range[0] >= -most && self.range[1] <= most
    }
}

/// Reads a table: the number of its rows, and what its columns have.
pub(super) fn read(path: &Path, files: &Files<'_>, cells: usize) -> Result<(usize, Vec<Column>), String> {
    let said = |error: DataError| match error {
        DataError::File { reason, .. } => format!("it cannot be read: {}", cut(&reason)),
        other => cut(&other.to_string()),
    };
    let table = Table::open_some(path, cells).map_err(said)?;
    let named = |name: &String| Column { name: name.clone(), ..Column::default() };
    let mut columns: Vec<Column> = table.columns.iter().map(named).collect();
    let most = cells / columns.len().max(1);
    let mut rows = 0;
    for row in table.rows {
        let row = row.map_err(said)?;
        rows += 1;
        if rows > most {
            return Err(format!("it has more than {most} rows, and no more are read"));
        }
        let row: Vec<String> = (0..columns.len()).map(|at| row.text(at)).collect();
        for (column, cell) in columns.iter_mut().zip(&row) {
            column.add(cell, files);
        }
        count_folders(&mut columns, &row, files);
    }
    if rows == 0 { Err("it has no rows".to_owned()) } else { Ok((rows, columns)) }
}

/// Counts cells that are the outermost folder of a path in the same row.
fn count_folders(columns: &mut [Column], cells: &[String], files: &Files<'_>) {
    for (at, path) in cells.iter().enumerate().filter(|(_, cell)| files.paths.contains_key(cell.as_str())) {
        let Some((folder, _)) = path.split_once('/') else { continue };
        for (column, cell) in columns.iter_mut().zip(cells) {
            if cell == folder {
                *column.folders.entry(at).or_default() += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_cells_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, "a,b\n1,2\n3,4\n5,6\n").unwrap();
        let folders = Folders::new();
        let files = Files::new(folder.path(), &folders, &[], None);
        assert_eq!(read(&path, &files, 6).unwrap().0, 3);
        let refused = read(&path, &files, 4).map(|_| ()).unwrap_err();
        assert_eq!(refused, "it has more than 2 rows, and no more are read");
    }
}
