//! Tables beside the images: which column names files, and which may be labels, parts and places.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::band_files::BandFiles;
use super::columns::{Column, Files, Kind, Labels, read};
use super::folders::Folders;
use super::names::{inside, is_plain};
use super::text::{cut, few};
use crate::config::{BAND, Parts};
use crate::error::DataError;
use crate::files::has_ending;
use crate::split::Split;

/// Most bytes that are read of a table.
const MOST_BYTES: u64 = 128 << 20;
/// Most cells that are read of it.
const MOST_CELLS: usize = 16_000_000;

/// A table whose rows name images.
pub(super) struct TableGuess {
    pub(super) rows: usize,
    /// The column that names the images.
    pub(super) key: String,
    /// As `layout.images` has them.
    pub(super) images: Vec<String>,
    /// Images that some rows lack, with the number of rows that have one.
    pub(super) partial: Vec<(String, usize)>,
    /// Folders that look like maps of classes, so that their files are not compared.
    pub(super) maps: Vec<PathBuf>,
    /// Whether these are one file a band.
    pub(super) by_scene: bool,
    /// One file of each.
    pub(super) first: Vec<PathBuf>,
    /// Columns of numbers from 0 to 1.
    pub(super) shares: Vec<String>,
    pub(super) labels: Vec<Labels>,
    /// The column with the part, if all of its values are parts.
    pub(super) split: Option<String>,
    /// A column of parts that has other values, with them.
    pub(super) other_split: Option<(String, Vec<String>)>,
    /// The columns with longitude and latitude.
    pub(super) place: Option<[String; 2]>,
    /// Whether a column has the outermost folder of each image.
    pub(super) class_is_folder: bool,
}

/// What a table says.
pub(super) enum Found {
    Guess(Box<TableGuess>),
    /// It is not used, for this reason.
    Unused(String),
}

/// The tables in a folder, at most so many, sorted, and how many more there are.
pub(super) fn tables(root: &Path) -> Result<(Vec<PathBuf>, usize), DataError> {
    /// Most tables that are read.
    const MOST: usize = 10;
    let fail = |error| DataError::file(root, error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if has_ending(&path, &["csv", "parquet"]) && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    let more = found.len().saturating_sub(MOST);
    found.truncate(MOST);
    Ok((found, more))
}

impl TableGuess {
    /// The column that is taken for labels: one that is named like them, with lists before others, or the only one.
    pub(super) fn best(&self) -> Option<&Labels> {
        let named =
            |several: bool| self.labels.iter().find(|labels| labels.named && labels.several == several);
        named(true)
            .or_else(|| named(false))
            .or_else(|| self.labels.first().filter(|_| self.labels.len() == 1))
    }

    /// Whether it is one that `layout.index` takes: CSV with the path and the place of each image.
    pub(super) fn is_index(&self, file: &str) -> bool {
        let place = self.place.as_ref().is_some_and(|place| place == &["lon", "lat"]);
        self.class_is_folder && self.key == "file" && place && has_ending(Path::new(file), &["csv"])
    }

    /// Looks at a table.
    pub(super) fn find(
        path: &Path,
        root: &Path,
        folders: &Folders,
        maps: &[PathBuf],
        bands: Option<&BandFiles>,
    ) -> Found {
        let bytes = path.metadata().map_or(0, |found| found.len());
        if bytes > MOST_BYTES {
            return Found::Unused(format!("it has {bytes} bytes, and at most {MOST_BYTES} are read"));
        }
        let files = Files::new(root, folders, maps, bands);
        match read(path, &files, MOST_CELLS) {
            Ok((rows, columns)) => Self::of(rows, &columns, &files, maps, bands),
            Err(reason) => Found::Unused(reason),
        }
    }

    fn of(
        rows: usize,
        columns: &[Column],
        files: &Files<'_>,
        maps: &[PathBuf],
        bands: Option<&BandFiles>,
    ) -> Found {
        let Some(key) = columns
            .iter()
            .rev()
            .max_by_key(|column| (column.named(), column.different.len()))
            .filter(|key| key.named() > 0)
        else {
            let names = few(columns.iter().map(|column| &column.name));
            return Found::Unused(format!(
                "none of its columns names an image; it has the columns {names}, and the number of rows is {rows}"
            ));
        };
        let named = format!("`{}` names an image in {} of {rows} rows", cut(&key.name), key.named());
        if key.named() < rows {
            return Found::Unused(format!("a row is a sample, and its column {named}; remove the others"));
        }
        if key.different.len() < rows {
            return Found::Unused(format!(
                "a row is a sample, and {} different images are in {rows} rows",
                key.different.len()
            ));
        }
        let Some((images, first, by_scene)) = images_of(key, rows, files, bands) else {
            return Found::Unused(format!("its column {named}, but a path cannot be made of it"));
        };
        let part = |column: &&Column| {
            let name = column.name.to_lowercase();
            ["split", "subset", "partition", "fold"].iter().any(|word| name.contains(word)) && is_plain(&name)
        };
        let parts = columns.iter().find(part);
        let is_part = |column: &&Column| {
            column.filled == rows && column.values.iter().all(|value| value.parse::<Split>().is_ok())
        };
        let split = parts.filter(is_part).map(|column| column.name.clone());
        let other_split = parts.filter(|_| split.is_none());
        let others = columns
            .iter()
            .filter(|column| column.name != key.name && parts.is_none_or(|part| part.name != column.name));
        let lon = columns.iter().find(|column| column.is_place(["lon", "longitude"], 180.0, rows));
        let lat = columns.iter().find(|column| column.is_place(["lat", "latitude"], 90.0, rows));
        let class_is_folder = |column: &Column| column.folders.values().any(|count| *count == rows);
        Found::Guess(Box::new(Self {
            rows,
            key: key.name.clone(),
            images,
            by_scene,
            partial: partial(key, rows, files),
            maps: maps.to_vec(),
            first,
            shares: columns
                .iter()
                .filter(|column| column.is_share(rows))
                .map(|column| column.name.clone())
                .collect(),
            labels: others.filter_map(|column| column.labels(rows)).collect(),
            other_split: other_split
                .map(|column| (column.name.clone(), column.values.iter().cloned().collect())),
            split,
            place: lon.zip(lat).map(|(lon, lat)| [lon.name.clone(), lat.name.clone()]),
            class_is_folder: columns.iter().any(class_is_folder),
        }))
    }
}

/// Images as the layout has them, and one file of each.
fn images_of(
    key: &Column,
    rows: usize,
    files: &Files<'_>,
    bands: Option<&BandFiles>,
) -> Option<(Vec<String>, Vec<PathBuf>, bool)> {
    if !is_plain(&key.name) {
        return None;
    }
    if key.paths == rows {
        let first = key.different.iter().filter_map(|cell| files.paths.get(cell.as_str())).min()?;
        return Some((vec![key.name.clone()], vec![(*first).clone()], false));
    }
    if key.scenes == rows {
        let bands = bands?;
        return Some((scene_paths(&key.name, bands)?, bands.first.clone(), true));
    }
    let mut images = Vec::new();
    let mut first = Vec::new();
    for (kind, _) in files.kinds.iter().zip(&key.kinds).filter(|(_, count)| **count == rows) {
        images.push(inside(kind.folder, &format!("{{{}}}.{}", key.name, kind.ending))?);
        first.push((*key.different.iter().filter_map(|cell| kind.stems.get(cell.as_str())).min()?).clone());
    }
    (!images.is_empty()).then_some((images, first, false))
}

/// Images in folders that have one for some of the rows, where the layout is by names.
fn partial(key: &Column, rows: usize, files: &Files<'_>) -> Vec<(String, usize)> {
    if key.paths == rows || key.scenes == rows {
        return Vec::new();
    }
    let some = files.kinds.iter().zip(&key.kinds).filter(|(_, count)| (1..rows).contains(*count));
    let path = |(kind, count): (&Kind<'_>, &usize)| {
        Some((inside(kind.folder, &format!("{{{}}}.{}", key.name, kind.ending))?, *count))
    };
    some.filter_map(path).collect()
}

/// The pattern of one file a band, made of a column: one path for each band.
fn scene_paths(column: &str, bands: &BandFiles) -> Option<Vec<String>> {
    /// Most words of the name of a scene that the name of a folder has not.
    const FEWER: usize = 5;
    let mut path = bands.images.replace("{scene}", &format!("{{{column}}}"));
    let others: BTreeSet<&String> =
        bands.samples.iter().flat_map(Parts::keys).filter(|part| *part != "scene").collect();
    for part in others {
        let without = |words: usize| {
            let of = |parts: &Parts| {
                let words = parts.get("scene")?.rsplitn(words + 1, '_').nth(words)?;
                (words == parts.get(part)?).then_some(())
            };
            bands.samples.iter().all(|parts| of(parts).is_some())
        };
        let words = (1..=FEWER).find(|words| without(*words))?;
        path = path.replace(&format!("{{{part}}}"), &format!("{{{column}-{words}}}"));
    }
    Some(bands.bands.iter().map(|band| path.replace(&format!("{{{BAND}}}"), band)).collect())
}
