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
use crate::georeference::{is_place_file, of_metadata, unread_place_file};
use crate::geotiff::{Numbers, Role};
use crate::image_file::ImageFile;
use crate::raster::Limits;

/// Most files that are listed.
const LISTED: usize = 100_000;
/// Most files that are counted in folders beside those of the layout.
const COUNTED: u64 = 200_000;
/// Why a folder is not used.
const NO_FOLDER: &str = "a folder that `layout` does not name";
/// The same, where the counting has ended.
const NOT_COUNTED: &str = "a folder that `layout` does not name, with more files than were counted";
/// Endings of files that describe an image beside it, or belong to a Shapefile.
const BESIDE: [&str; 6] = ["xml", "prj", "ovr", "shx", "dbf", "cpg"];

/// A file that belongs to no sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UnusedFile {
    /// Its path, relative to the folder of `dataset.toml` if it lies there.
    pub file: String,
    /// Why it is not used.
    pub reason: String,
    /// Of a folder that the layout does not name: the files in it and in the folders inside of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
}

/// The unused files in the folders that the layout of a data set names, and what else lies in the folder of its
/// description; of a folder there, the number of files.
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
                let reason = match is_place_file(file) {
                    true => reason_of_place_file(file, &used),
                    false => reason(file, root, &config.layout, &config.classes),
                };
                let name = file.strip_prefix(base).unwrap_or(file);
                found.push(unused(name, reason, None));
            }
        })?;
    }
    let holders = holders(roots.iter().chain(&used));
    let mut beside = Beside { base, holders, used: &used, seen, found, left: COUNTED };
    beside.look(base)?;
    let mut found = beside.found;
    found.sort_by(|a, b| (&a.reason, &a.file).cmp(&(&b.reason, &b.file)));
    if found.len() > LISTED {
        let more = found.len() - LISTED;
        found.truncate(LISTED);
        let file = counted(more, "more file");
        found.push(unused(Path::new(&file), "not listed, since there are too many", None));
    }
    Ok(found)
}

fn unused(file: &Path, reason: &str, files: Option<u64>) -> UnusedFile {
    UnusedFile { file: file.display().to_string(), reason: reason.to_owned(), files }
}

/// All folders that have one of the paths somewhere inside.
fn holders<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> HashSet<&'a Path> {
    let mut holders = HashSet::new();
    for path in paths {
        for folder in path.ancestors().skip(1) {
            // What holds a known folder is known.
            if !holders.insert(folder) {
                break;
            }
        }
    }
    holders
}

/// What lies beside the folders of a layout.
struct Beside<'a> {
    base: &'a Path,
    /// Folders with one of the layout, or with a file that is used, somewhere inside.
    holders: HashSet<&'a Path>,
    used: &'a HashSet<PathBuf>,
    /// Files and folders that were found in the folders of the layout.
    seen: HashSet<PathBuf>,
    found: Vec<UnusedFile>,
    /// Files in other folders that are still counted.
    left: u64,
}

impl Beside<'_> {
    /// Looks at a folder that is none of the layout's. Links to folders are not followed.
    fn look(&mut self, folder: &Path) -> Result<(), DataError> {
        if self.seen.contains(folder) {
            return Ok(());
        }
        let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let entries = std::fs::read_dir(listed).map_err(|error| DataError::file(listed, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| DataError::file(listed, error))?;
            let path = folder.join(entry.file_name());
            if self.seen.contains(&path) || self.used.contains(&path) || self.found.len() > LISTED {
                continue;
            }
            let name = path.strip_prefix(self.base).unwrap_or(&path);
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if !is_folder {
                self.found.push(unused(name, "lies beside the folders of `layout`", None));
            } else if self.holders.contains(path.as_path()) {
                self.look(&path)?;
            } else {
                let files = self.count(&path);
                let reason = if self.left > 0 { NO_FOLDER } else { NOT_COUNTED };
                self.found.push(unused(&name.join(""), reason, Some(files)));
            }
        }
        Ok(())
    }

    /// The number of files in a folder and in the folders inside of it, as far as they are counted. What cannot be listed does not
    /// count: nobody asked for it.
    fn count(&mut self, folder: &Path) -> u64 {
        let before = self.left;
        let mut waiting = vec![folder.to_owned()];
        while let Some(folder) = waiting.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                if self.left == 0 {
                    return before;
                }
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    waiting.push(entry.path());
                } else {
                    self.left -= 1;
                }
            }
        }
        before - self.left
    }
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

const UNREAD: &str =
    "says where the image beside it lies, which is not read, and that has no georeference of its own";

fn reason_of_place_file(file: &Path, used: &HashSet<PathBuf>) -> &'static str {
    if image_of(file, used).is_some() { UNREAD } else { "describes a file beside it" }
}

/// The image in use that a file says the place of, if that has no georeference of its own.
fn image_of(place: &Path, used: &HashSet<PathBuf>) -> Option<PathBuf> {
    let endings = ["tif", "tiff", "TIF", "TIFF", "png", "PNG", "jpg", "jpeg", "JPG", "JPEG"];
    let images = match of_metadata(place) {
        Some(image) => vec![image],
        None => endings.map(|ending| place.with_extension(ending)).into(),
    };
    let image = images.into_iter().find(|file| used.contains(file))?;
    let opened = ImageFile::with_windows(Role::Image, &image, &Limits::default(), Numbers::STORED);
    let placed = matches!(&opened, Ok(Some(file)) if file.reference().is_some());
    (!placed).then_some(image)
}

/// A warning where files that are not read say where images lie, with the first of them.
pub(super) fn place_files(dataset: &Dataset, unused: &[UnusedFile]) -> Option<String> {
    let base = dataset.path().parent().unwrap_or_else(|| Path::new("."));
    let mut places = unused.iter().filter(|file| file.reason == UNREAD);
    let mut used = HashSet::new();
    dataset.all_files(&mut |file| {
        used.insert(file.to_owned());
    });
    let first = image_of(&base.join(&places.next()?.file), &used)?;
    let more = match places.count() {
        0 => String::new(),
        others => format!(" ({} likewise)", counted(others, "more image")),
    };
    Some(format!("{}{more}", unread_place_file(&first)?))
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
