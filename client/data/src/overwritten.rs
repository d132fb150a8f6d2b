//! Files that would be written in the place of what is read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::error::DataError;

/// Checks that none of the files to be written is one of those that are read, and that no two of them are one. Files are the
/// same if links lead them to the same place, or if their device and inode are equal. A folder that is read stands for all
/// files in it. A file that is not there is nobody's input; whoever reads it says that it is missing.
///
/// # Errors
/// With both files, if one is to be written in the place of the other.
pub fn check_not_overwritten(written: &[PathBuf], read: &[PathBuf]) -> Result<(), DataError> {
    const REMEDY: &str = "nothing was written; give the output another name or folder";
    let mut names = HashSet::new();
    let mut nodes = HashMap::new();
    let mut places = BTreeMap::new();
    for path in written {
        if !names.insert(path) {
            let reason = format!("would be written twice, and the second time replace the first; {REMEDY}");
            return Err(DataError::file(path, reason));
        }
        if let Some((place, node)) = identity(path) {
            places.insert(place, path);
            nodes.insert(node, path);
        }
    }
    for path in read {
        let Some((place, node)) = identity(path) else { continue };
        let inside = || places.range(place.clone()..).next().filter(|(there, _)| there.starts_with(&place));
        let found = nodes.get(&node).copied().or_else(|| inside().map(|(_, path)| *path));
        if let Some(output) = found {
            let reason = format!("would replace {}, which is an input; {REMEDY}", path.display());
            return Err(DataError::file(output, reason));
        }
    }
    Ok(())
}

/// Where links lead a path, and the device and inode there; `None` if nothing is there.
fn identity(path: &Path) -> Option<(PathBuf, [u64; 2])> {
    let found = fs::metadata(path).ok()?;
    Some((path.canonicalize().ok()?, [found.dev(), found.ino()]))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn an_input_is_known_by_its_place_and_by_its_inode() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("scenes/cube.zarr")).unwrap();
        for name in ["scenes/a.tif", "scenes/cube.zarr/0", "other.tif"] {
            fs::write(at(name), name).unwrap();
        }
        symlink(at("scenes"), at("same")).unwrap();
        symlink(at("scenes/a.tif"), at("link.tif")).unwrap();
        fs::hard_link(at("scenes/a.tif"), at("hard.tif")).unwrap();
        let check = |written: &[&str], read: &[&str]| {
            let paths = |names: &[&str]| names.iter().map(|name| at(name)).collect::<Vec<_>>();
            check_not_overwritten(&paths(written), &paths(read)).map_err(|error| error.to_string())
        };
        for (output, input) in [
            ("scenes/a.tif", "scenes/a.tif"),
            ("scenes/../scenes/a.tif", "scenes/a.tif"),
            ("same/a.tif", "scenes/a.tif"),
            ("link.tif", "scenes/a.tif"),
            ("scenes/a.tif", "link.tif"),
            ("hard.tif", "scenes/a.tif"),
            ("scenes/cube.zarr/0", "scenes/cube.zarr"),
        ] {
            let said = check(&["map.png", output], &["other.tif", input]).unwrap_err();
            let [output, input] = [output, input].map(|name| at(name).display().to_string());
            assert!(
                said.starts_with(&format!("{output}: would replace {input}, which is an input")),
                "{said}"
            );
            assert!(said.contains("give the output another name or folder"), "{said}");
        }
        // Beside the input, in a folder whose name begins alike, and where nothing is.
        for output in ["other.tif", "scenes/new.tif", "nowhere/a.tif"] {
            assert_eq!(check(&[output], &["scenes/a.tif", "missing.tif", "scenes/cube.zarr"]), Ok(()));
        }
        assert!(check(&["new.tif", "new.tif"], &[]).unwrap_err().contains("would be written twice"));
    }
}
