//! Files in the folders of a data set that belong to no sample. A file that nobody reads is easily taken for one that
//! was used.

use eosfed_common::counted::counted;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use crate::config::{Layout, OneOrMany};
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::files::{are_polygons, each_below, is_image};
use crate::gdal_file::has_known_ending;

/// Most files that are listed.
const LISTED: usize = 100_000;
/// Endings of files that describe an image beside it, or belong to a Shapefile.
const BESIDE: [&str; 11] = ["xml", "tfw", "tifw", "wld", "pgw", "jgw", "prj", "ovr", "shx", "dbf", "cpg"];

/// A file that belongs to no sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UnusedFile {
    /// Its path, relative to the folder of `dataset.toml` if it lies there.
    pub file: String,
    /// Why it is not used.
    pub reason: String,
}

/// The unused files in the folders that the layout of a data set names.
pub(super) fn of(dataset: &Dataset) -> Result<Vec<UnusedFile>, DataError> {
    let base = dataset.path().parent().unwrap_or_else(|| Path::new("."));
    let mut used = HashSet::new();
    dataset.all_files(&mut |file| {
        used.insert(file.to_owned());
    });
    let config = dataset.config();
    let (roots, described) = places(base, &config.layout);
    used.extend(described);
    used.insert(dataset.path().to_owned());
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for root in &roots {
        each_below(root, &mut seen, &mut |file| {
            if !used.contains(file) {
                let reason = reason(file, root, &config.layout, &config.classes);
                let name = file.strip_prefix(base).unwrap_or(file);
                found.push(UnusedFile { file: name.display().to_string(), reason: reason.to_owned() });
            }
        })?;
    }
    found.sort_by(|a, b| (&a.reason, &a.file).cmp(&(&b.reason, &b.file)));
    if found.len() > LISTED {
        let more = found.len() - LISTED;
        found.truncate(LISTED);
        let file = counted(more, "more file");
        found.push(UnusedFile { file, reason: "not listed, since there are too many".to_owned() });
    }
    Ok(found)
}

/// The folders in which files are looked for, and files that are no images but are read.
fn places(base: &Path, layout: &Layout) -> (Vec<PathBuf>, Vec<PathBuf>) {
    match layout {
        Layout::Folders { root, index, .. } => {
            let root = base.join(root);
            let index = index.iter().map(|index| root.join(index)).collect();
            (vec![root], index)
        }
        Layout::Pairs { images, after, masks, .. } => {
            let dates = std::iter::once(images).chain(after).flat_map(OneOrMany::list);
            let folders = dates.map(|folder| base.join(folder));
            let masks = base.join(masks);
            if are_polygons(&masks) {
                (folders.collect(), vec![masks])
            } else {
                (folders.chain([masks]).collect(), Vec::new())
            }
        }
        Layout::Pattern { root, .. } => (vec![base.join(root)], Vec::new()),
        Layout::Table { file, root, .. } => (vec![base.join(root)], vec![base.join(file)]),
        Layout::Scenes { .. } => (vec![base.to_owned()], Vec::new()),
    }
}

fn reason<'a>(file: &Path, root: &Path, layout: &'a Layout, classes: &[String]) -> &'a str {
    let extension = file.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
    if extension.as_deref().is_some_and(|ending| BESIDE.contains(&ending)) {
        return "describes a file beside it";
    }
    if !is_image(file) {
        return if has_known_ending(file) {
            "its ending is that of an image which a build with the feature `gdal` reads (`eosfed-client data formats`)"
        } else {
            "its ending is none of an image that is read (`eosfed-client data formats`)"
        };
    }
    let inside: Vec<&OsStr> = file.strip_prefix(root).unwrap_or(file).iter().collect();
    let is_class = |name: &OsStr| classes.iter().any(|class| name == class.as_str());
    match layout {
        Layout::Folders { .. } => match &inside[..] {
            [class, _] if is_class(class) => "lies outside of `layout.where`",
            [class, _, ..] if is_class(class) => {
                "lies deeper than in the folder of its class (`layout.deeper`)"
            }
            [_, _, ..] => "its folder is none of `classes`",
            _ => "lies in no folder of a class",
        },
        Layout::Pairs { .. } => match &inside[..] {
            [_] => "has no image of equal stem, or none of its tiles has a label and data",
            _ => "lies deeper than in a folder of the layout",
        },
        Layout::Pattern { .. } => {
            "no pattern of the layout gives its path, or none of its tiles has a label and data"
        }
        Layout::Table { .. } => "no row of the table names it, or none of its tiles has a label and data",
        Layout::Scenes { .. } => "`layout` does not name it, or none of its tiles has a label and data",
    }
}
