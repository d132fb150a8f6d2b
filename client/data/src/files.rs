//! The files of a data set, in an order that does not depend on the file system.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use eosfed_common::digest::{Digest, Hasher};
use serde::Deserialize;

use crate::error::DataError;
use crate::gdal_file::{has_gdal_ending, is_image_folder, parts, vectors_of};
use crate::open::open_regular;

const EXTENSIONS: [&str; 5] = ["tif", "tiff", "png", "jpg", "jpeg"];

/// Whether a file has the ending of an image that this build reads.
pub(crate) fn is_image(path: &Path) -> bool {
    has_ending(path, &EXTENSIONS) || has_gdal_ending(path)
}

/// Whether a mask of this name is a file of polygons.
pub(crate) fn are_polygons(path: &Path) -> bool {
    has_ending(path, &["geojson", "json"]) || vectors_of(path).is_some()
}

/// Whether a path has one of these endings, in lower or upper case.
#[must_use]
pub fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let extension = path.extension().and_then(OsStr::to_str);
    extension.is_some_and(|found| endings.iter().any(|ending| found.eq_ignore_ascii_case(ending)))
}

/// What a description names, from its folder on: `.` adds nothing to a path.
pub(crate) fn below(base: &Path, named: &Path) -> PathBuf {
    base.join(named).components().collect()
}

/// Image files of a folder, sorted by name.
fn images(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    listed(folder, is_image)
}

/// The wanted files of a folder, sorted by name.
fn listed(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>, DataError> {
    let entries = std::fs::read_dir(folder).map_err(|error| DataError::file(folder, error))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| DataError::file(folder, error))?.path();
        if wanted(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Image files of a folder and of the folders inside of it, sorted.
pub(crate) fn images_below(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut found = Vec::new();
    each_below(folder, &mut HashSet::new(), &mut |path| {
        if is_image(path) {
            found.push(path.to_owned());
        }
    })?;
    found.sort();
    Ok(found)
}

/// Calls `each` with every file below a folder that is not in `seen`. Links to folders are not followed, as they may
/// lead anywhere.
pub(crate) fn each_below(
    root: &Path,
    seen: &mut HashSet<PathBuf>,
    each: &mut impl FnMut(&Path),
) -> Result<(), DataError> {
    /// Most files and folders that are looked at.
    const MOST: usize = 5_000_000;
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        if !seen.insert(folder.clone()) {
            continue;
        }
        let entries = std::fs::read_dir(&folder).map_err(|error| DataError::file(&folder, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| DataError::file(&folder, error))?;
            let kind = entry.file_type().map_err(|error| DataError::file(&entry.path(), error))?;
            if seen.len() >= MOST {
                let reason = format!("a data set may have {MOST} files, found more; divide it");
                return Err(DataError::file(root, reason));
            }
            if kind.is_dir() && !is_image_folder(&entry.path()) {
                waiting.push(entry.path());
            } else if seen.insert(entry.path()) {
                each(&entry.path());
            }
        }
    }
    Ok(())
}

/// Files of a folder for each class, with the index of the class.
pub(crate) fn in_class_folders(
    root: &Path,
    classes: &[String],
    deeper: bool,
) -> Result<Vec<(PathBuf, usize)>, DataError> {
    let mut found = Vec::new();
    for (index, class) in classes.iter().enumerate() {
        let folder = root.join(class);
        if !folder.is_dir() {
            return Err(DataError::file(
                &folder,
                "a folder of this name must exist for the class; it does not",
            ));
        }
        let of_class = if deeper { images_below(&folder)? } else { images(&folder)? };
        found.extend(of_class.into_iter().map(|path| (path, index)));
    }
    Ok(found)
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The files of a sample.
pub(crate) struct Matched {
    /// For each date the images whose bands are stacked.
    pub images: Vec<Vec<PathBuf>>,
    /// The mask, the target raster or the file of polygons.
    pub mask: PathBuf,
}

/// Where the masks of images are.
pub(crate) enum Masks<'a> {
    /// In a folder, those of equal stem; files of polygons too, if they are wanted.
    Folder { path: &'a Path, polygons: bool },
    /// One file of polygons is for all images.
    All(&'a Path),
}

impl Masks<'_> {
    /// The mask of each stem.
    fn by_stem(&self) -> Result<BTreeMap<String, PathBuf>, DataError> {
        let Self::Folder { path, polygons } = *self else { return Ok(BTreeMap::new()) };
        let mut found = BTreeMap::new();
        for mask in listed(path, |mask| is_image(mask) || (polygons && are_polygons(mask)))? {
            let other = found.insert(stem(&mask), mask.clone());
            if let Some(other) = other.filter(|other| are_polygons(other) || are_polygons(&mask)) {
                let reason =
                    format!("an image must have one mask, found {} too; remove one", other.display());
                return Err(DataError::file(&mask, reason));
            }
        }
        Ok(found)
    }
}

/// For each image of the first folder, the files of equal stem in all of `folders` (by date, then in
/// the order of stacking) and of `masks`.
pub(crate) fn matching(folders: &[Vec<PathBuf>], masks: &Masks<'_>) -> Result<Vec<Matched>, DataError> {
    let by_stem = |folder: &PathBuf| -> Result<BTreeMap<String, PathBuf>, DataError> {
        Ok(images(folder)?.into_iter().map(|path| (stem(&path), path)).collect())
    };
    let found: Vec<Vec<BTreeMap<_, _>>> = folders
        .iter()
        .map(|stack| stack.iter().map(by_stem).collect::<Result<_, _>>())
        .collect::<Result<_, _>>()?;
    let labels = masks.by_stem()?;
    let of = |image: &PathBuf, key: &str, there: &BTreeMap<String, PathBuf>, folder: &Path| {
        let path = there.get(key).cloned();
        path.ok_or_else(|| DataError::file(image, format!("has no file `{key}.*` in {}", folder.display())))
    };
    let mut samples = Vec::new();
    for (key, image) in &found[0][0] {
        let date = |(maps, folders): (&Vec<BTreeMap<_, _>>, &Vec<PathBuf>)| {
            maps.iter().zip(folders).map(|(map, folder)| of(image, key, map, folder)).collect()
        };
        let images = found.iter().zip(folders).map(date).collect::<Result<_, _>>()?;
        let mask = match masks {
            Masks::Folder { path, .. } => of(image, key, &labels, path)?,
            Masks::All(file) => (*file).to_owned(),
        };
        samples.push(Matched { images, mask });
    }
    Ok(samples)
}

#[derive(Deserialize)]
struct Row {
    file: String,
    lon: f64,
    lat: f64,
}

/// Longitude and latitude of the files of an index, by their names relative to the root.
pub(crate) fn positions(index: &Path) -> Result<BTreeMap<PathBuf, [f64; 2]>, DataError> {
    let mut reader = csv::Reader::from_reader(open_regular(index)?);
    let mut found = BTreeMap::new();
    for row in reader.deserialize() {
        let Row { file, lon, lat } = row.map_err(|error| DataError::file(index, error))?;
        let position = position(lon, lat).map_err(|reason| {
            DataError::file(index, format!("the row of `{}`: {reason}", file.escape_debug()))
        })?;
        found.insert(PathBuf::from(file), position);
    }
    Ok(found)
}

/// A position, if it is one on the globe.
pub(crate) fn position(lon: f64, lat: f64) -> Result<[f64; 2], String> {
    if (-180.0..=180.0).contains(&lon) && (-90.0..=90.0).contains(&lat) {
        return Ok([lon, lat]);
    }
    Err(format!("`lon` must be between -180 and 180 and `lat` between -90 and 90, found `{lon}` and `{lat}`"))
}

/// A digest of parts in order, each with its length, so that no part runs into the next one.
pub(crate) struct Fingerprint(Hasher);

impl Fingerprint {
    /// Of no part yet. Another format gives other digests.
    pub(crate) fn new(format: &str) -> Self {
        let mut found = Self(Hasher::default());
        found.add(format.as_bytes());
        found
    }

    pub(crate) fn add(&mut self, part: &[u8]) {
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    /// Adds a file by its path and its [`stamp`]: its contents are not read.
    pub(crate) fn add_file(&mut self, file: &Path) {
        self.add(file.as_os_str().as_encoded_bytes());
        self.add(&stamp(file));
    }

    pub(crate) fn finish(self) -> Digest {
        self.0.finish()
    }
}

/// Size, and times of the last changes of contents and of the file itself, also of the files that it consists of. Empty
/// if it is not there.
fn stamp(file: &Path) -> Vec<u8> {
    let mut all = stamp_of_one(file);
    for part in parts(file) {
        all.extend_from_slice(part.as_os_str().as_encoded_bytes());
        all.extend(stamp_of_one(&part));
    }
    all
}

fn stamp_of_one(file: &Path) -> Vec<u8> {
    let Ok(found) = file.metadata() else { return Vec::new() };
    let times = [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()];
    let inode = [found.len(), found.ino()].into_iter().flat_map(u64::to_le_bytes);
    inode.chain(times.into_iter().flat_map(i64::to_le_bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_no_part_that_adds_nothing() {
        for (base, named, path) in [
            ("d", ".", "d"),
            ("d", "./a/.", "d/a"),
            ("", ".", "."),
            (".", "a", "./a"),
            ("d", "/e", "/e"),
            ("d", "../e", "d/../e"),
        ] {
            assert_eq!(below(Path::new(base), Path::new(named)).as_os_str(), path, "{base} {named}");
        }
    }

    #[test]
    fn the_stamp_of_a_shapefile_is_also_that_of_the_files_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["p.shp", "p.dbf", "p.gpkg", "p.txt"] {
            std::fs::write(at(name), "x").unwrap();
        }
        let stamps = || ["p.shp", "p.gpkg"].map(|name| stamp(&at(name)));
        let before = stamps();
        std::fs::write(at("p.txt"), "longer").unwrap();
        assert_eq!(stamps(), before);
        std::fs::write(at("p.dbf"), "longer").unwrap();
        assert_ne!(stamps()[0], before[0]);
        assert_eq!(stamps()[1], before[1]);
    }
}
