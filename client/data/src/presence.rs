//! Checks that the files of a data set exist. A disk that is not mounted leaves a missing or an empty
//! folder; the caller may wait for it instead of giving up.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::{DatasetConfig, Layout, OneOrMany};

/// What is missing of the data set that a `dataset.toml`, or its folder, describes: a sentence
/// about the first file or folder that cannot be reached or is an empty folder. `None` if all are there,
/// and also if the description is wrong: [`Dataset::open`](crate::Dataset::open) reports that.
#[must_use]
pub fn missing(dataset: &Path) -> Option<String> {
    if let Some(problem) = unreachable(dataset) {
        return Some(problem);
    }
    let path = if dataset.is_dir() { dataset.join("dataset.toml") } else { dataset.to_owned() };
    if let Some(problem) = unreachable(&path) {
        return Some(problem);
    }
    let config = DatasetConfig::load(&path).ok()?;
    let base = path.parent().unwrap_or_else(|| Path::new("."));
    places(&config.layout).into_iter().find_map(|place| unreachable(&base.join(place)))
}

/// The files and folders that a layout names.
fn places(layout: &Layout) -> Vec<PathBuf> {
    match layout {
        Layout::Folders { root, .. } | Layout::Pattern { root, .. } => vec![root.clone()],
        Layout::Scenes { images, after, masks, .. } => [&images[..], after, masks].concat(),
        Layout::Pairs { images, after, masks, .. } => {
            let folders = std::iter::once(images).chain(after).flat_map(OneOrMany::list);
            folders.map(PathBuf::from).chain([masks.clone()]).collect()
        }
        Layout::Table { file, root, .. } => vec![root.clone(), file.clone()],
    }
}

fn unreachable(path: &Path) -> Option<String> {
    let said = |error: io::Error| Some(format!("{}: {error}", path.display()));
    match path.metadata() {
        Err(error) => said(error),
        Ok(found) if found.is_dir() => match std::fs::read_dir(path).map(|mut entries| entries.next()) {
            Err(error) => said(error),
            Ok(None) => Some(format!("{}: the folder is empty", path.display())),
            Ok(Some(_)) => None,
        },
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "task = \"classification\"\nbands = [\"red\"]\nclasses = [\"a\", \"b\"]\n\
                          [layout]\nkind = \"folders\"\nroot = \"images\"\n";

    #[test]
    fn a_disk_that_is_not_mounted_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let images = folder.path().join("data/images");
        let said = missing(&data).unwrap();
        assert!(said.contains("data: No such file"), "{said}");
        std::fs::create_dir(&data).unwrap();
        assert!(missing(&data).unwrap().contains("the folder is empty"));
        std::fs::write(data.join("notes.txt"), "").unwrap();
        assert!(missing(&data).unwrap().contains("dataset.toml"));
        std::fs::write(data.join("dataset.toml"), CONFIG).unwrap();
        assert!(missing(&data).unwrap().contains("images: No such file"));
        std::fs::create_dir(&images).unwrap();
        assert!(missing(&data).unwrap().contains("images: the folder is empty"));
        std::fs::create_dir(images.join("a")).unwrap();
        assert_eq!(missing(&data), None);
        assert_eq!(missing(&data.join("dataset.toml")), None);
    }

    #[test]
    fn a_wrong_description_is_not_a_missing_disk() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("dataset.toml"), "task = \"lunch\"").unwrap();
        assert_eq!(missing(folder.path()), None);
    }

    #[test]
    fn every_layout_names_its_files_and_folders() {
        let layout = |text: &str| toml::from_str::<Layout>(text).unwrap();
        let scenes =
            layout("kind = \"scenes\"\nimages = [\"a\"]\nafter = [\"b\"]\nmasks = [\"c\"]\ntile = 8");
        assert_eq!(places(&scenes), ["a", "b", "c"].map(PathBuf::from));
        let pairs = layout("kind = \"pairs\"\nimages = [\"a\", \"b\"]\nafter = \"c\"\nmasks = \"d\"");
        assert_eq!(places(&pairs), ["a", "b", "c", "d"].map(PathBuf::from));
        let table =
            layout("kind = \"table\"\nfile = \"a.csv\"\nroot = \"b\"\nimages = \"i\"\ntarget = \"t\"");
        assert_eq!(places(&table), ["b", "a.csv"].map(PathBuf::from));
    }
}
