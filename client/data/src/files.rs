//! Which files a data set is made of, in an order that does not depend on the file system.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::Where;
use crate::error::DataError;

const EXTENSIONS: [&str; 5] = ["tif", "tiff", "png", "jpg", "jpeg"];

/// Image files of a folder, sorted by name.
fn images(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let entries = std::fs::read_dir(folder).map_err(|error| DataError::file(folder, error))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| DataError::file(folder, error))?.path();
        let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
        if extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str())) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Files of a folder for each class, with the index of the class.
pub(crate) fn in_class_folders(root: &Path, classes: &[String]) -> Result<Vec<(PathBuf, usize)>, DataError> {
    let mut found = Vec::new();
    for (index, class) in classes.iter().enumerate() {
        let folder = root.join(class);
        if !folder.is_dir() {
            return Err(DataError::file(
                &folder,
                "a folder of this name must exist for the class; it does not",
            ));
        }
        found.extend(images(&folder)?.into_iter().map(|path| (path, index)));
    }
    Ok(found)
}

/// Images and masks of equal stem.
pub(crate) fn pairs(images_in: &Path, masks_in: &Path) -> Result<Vec<(PathBuf, PathBuf)>, DataError> {
    let stem = |path: &Path| path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let mut masks: BTreeMap<_, _> = images(masks_in)?.into_iter().map(|path| (stem(&path), path)).collect();
    let mut found = Vec::new();
    for image in images(images_in)? {
        let mask = masks.remove(&stem(&image));
        let mask =
            mask.ok_or_else(|| DataError::file(&image, format!("has no mask in {}", masks_in.display())))?;
        found.push((image, mask));
    }
    Ok(found)
}

#[derive(Deserialize)]
struct Row {
    file: String,
    lon: f64,
    lat: f64,
}

/// Names (relative to the root) of the files that an index places inside `place`.
pub(crate) fn placed(index: &Path, place: &Where) -> Result<BTreeSet<PathBuf>, DataError> {
    let mut reader = csv::Reader::from_path(index).map_err(|error| DataError::file(index, error))?;
    let mut found = BTreeSet::new();
    for row in reader.deserialize() {
        let Row { file, lon, lat } = row.map_err(|error| DataError::file(index, error))?;
        if place.contains(lon, lat) {
            found.insert(PathBuf::from(file));
        }
    }
    Ok(found)
}
