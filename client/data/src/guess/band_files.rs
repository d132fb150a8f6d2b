//! One file a band: scenes whose files are named after bands, in a folder for each scene or by the ending of the name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use eosfed_common::bands::{Sensor, known};
use eosfed_common::counted::counted;

use super::Draft;
use super::folders::{Folders, is_mask};
use super::names::{inside, is_plain, parts, pattern_of, usual_ending};
use super::text::{cut, few, list, quoted, shown};
use crate::config::{BAND, Parts, Pattern};
use crate::error::DataError;

/// Deepest folders of which a pattern is made.
const DEEPEST: usize = 4;

/// Files that are named after bands: those with equal beginnings in one folder are one sample.
pub(super) struct BandFiles {
    /// The pattern of the images.
    pub(super) images: String,
    /// The pattern of the masks and their files, if each scene has one.
    pub(super) masks: Option<(String, Vec<PathBuf>)>,
    /// The bands that each scene has, or all of them if there is none such.
    pub(super) bands: Vec<String>,
    /// One file of each band.
    pub(super) first: Vec<PathBuf>,
    /// Number of scenes.
    pub(super) scenes: usize,
    /// The other bands: how many scenes have no file of it, and one of these.
    pub(super) missing: Vec<(String, usize, String)>,
    /// Images that are named after no band, or have another ending.
    pub(super) others: Vec<PathBuf>,
    /// The values of the parts of each scene.
    pub(super) samples: Vec<Parts>,
}

/// The folder of a scene, and what the names of its files begin with; nothing if the folder is the scene.
type Scene = (PathBuf, String);
type Scenes = BTreeMap<Scene, BTreeMap<String, PathBuf>>;

/// Whether a word is the name of a band, or what the mission of a sensor calls one.
fn is_band(word: &str) -> bool {
    known(word).is_some() || Sensor::ALL.iter().any(|sensor| sensor.canonical(word).is_some())
}

/// The sensors that have bands of all of these names.
pub(super) fn sensors(bands: &[String]) -> Vec<Sensor> {
    let has_all = |sensor: &Sensor| bands.iter().all(|band| sensor.canonical(band).is_some());
    Sensor::ALL.into_iter().filter(has_all).collect()
}

/// What the name of a file begins with, and its last word.
fn scene_and_word(stem: &str) -> (&str, &str) {
    stem.rsplit_once('_').unwrap_or(("", stem))
}

impl BandFiles {
    /// If at least half of the files outside of folders of masks are named after a band, and scenes have two bands or more.
    /// Paths are those below `root`.
    pub(super) fn find(root: &Path, folders: &Folders) -> Option<Self> {
        let (masks, images): (Vec<_>, Vec<_>) = folders.iter().partition(|(folder, _)| is_mask(folder));
        let files: Vec<&PathBuf> = images.iter().flat_map(|(_, files)| *files).collect();
        let of_band = |file: &&&PathBuf| parts(file).is_some_and(|(stem, _)| is_band(scene_and_word(stem).1));
        let ending = usual_ending(files.iter().filter(of_band).copied())?;
        let mut scenes = Scenes::new();
        let mut others = Vec::new();
        for (folder, files) in images {
            for file in files {
                let found = parts(file).filter(|(_, of)| *of == ending).map(|(stem, _)| scene_and_word(stem));
                match found.filter(|(_, word)| is_band(word)) {
                    Some((scene, band)) => {
                        let scene = scenes.entry((folder.clone(), scene.to_owned())).or_default();
                        scene.insert(band.to_owned(), file.clone());
                    }
                    None => others.push(file.clone()),
                }
            }
        }
        let all: BTreeSet<&String> = scenes.values().flat_map(BTreeMap::keys).collect();
        if all.len() < 2 || 2 * others.len() > files.len() {
            return None;
        }
        let scene = pattern_of_scenes(&scenes)?;
        let images = format!("{scene}{{{BAND}}}.{ending}");
        let samples = samples(root, &Pattern::parse(&images).ok()?, &scenes)?;
        let missing: Vec<(String, usize, String)> =
            all.iter().filter_map(|band| lacks(&scenes, band)).collect();
        let in_each: Vec<String> = all
            .iter()
            .filter(|band| !missing.iter().any(|(other, ..)| other == **band))
            .map(|band| (*band).clone())
            .collect();
        let bands = if in_each.is_empty() { all.into_iter().cloned().collect() } else { in_each };
        let first = |band: &String| scenes.values().find_map(|scene| scene.get(band)).cloned();
        let first = bands.iter().map(first).collect::<Option<Vec<_>>>()?;
        let masks = beside(root, &scene, &samples, &others).or_else(|| {
            masks.iter().find_map(|(folder, files)| in_folder(root, folder, files, &scenes, &samples))
        });
        if let Some((_, masks)) = &masks {
            let masks: BTreeSet<&PathBuf> = masks.iter().collect();
            others.retain(|file| !masks.contains(file));
        }
        Some(Self { images, masks, bands, first, scenes: scenes.len(), missing, others, samples })
    }
}

/// How many scenes have no file of a band, and one of these; none if all have one.
fn lacks(scenes: &Scenes, band: &str) -> Option<(String, usize, String)> {
    let mut without = scenes.iter().filter(|(_, files)| !files.contains_key(band)).map(|(scene, _)| scene);
    let (folder, name) = without.next()?;
    let scene = if name.is_empty() { folder.clone() } else { folder.join(name) };
    Some((band.to_owned(), 1 + without.count(), scene.to_string_lossy().into_owned()))
}

/// The pattern of paths up to the band.
fn pattern_of_scenes(scenes: &Scenes) -> Option<String> {
    let of_folder = |(folder, _): &Scene| -> Option<Vec<String>> {
        folder.iter().map(|part| part.to_str().filter(|part| is_plain(part)).map(str::to_owned)).collect()
    };
    let keys: Vec<&Scene> = scenes.keys().collect();
    let folders: Vec<Vec<String>> = keys.iter().map(|scene| of_folder(scene)).collect::<Option<_>>()?;
    let depth = folders.first()?.len();
    let named = !keys[0].1.is_empty();
    let alike = folders.iter().all(|folder| folder.len() == depth)
        && keys.iter().all(|(_, name)| name.is_empty() != named);
    if !alike || depth > DEEPEST {
        return None;
    }
    // Without a name in its files, the innermost folder is the scene.
    let name = |at: usize| if named { Some(&keys[at].1) } else { folders[at].last() };
    let mut pattern = String::new();
    let mut in_folders = false;
    for level in 0..depth {
        let is_scene = (0..keys.len()).all(|at| name(at) == Some(&folders[at][level]));
        let first = &folders[0][level];
        pattern += &if is_scene {
            in_folders = true;
            "{scene}/".to_owned()
        } else if folders.iter().all(|folder| folder[level] == *first) {
            format!("{first}/")
        } else {
            format!("{{folder{}}}/", level + 1)
        };
    }
    if named && in_folders {
        pattern += "{scene}_";
    } else if named {
        let names = keys.iter().map(|(_, name)| name.as_str()).collect();
        pattern += &format!("{}_", pattern_of(&names, "scene")?.pattern);
    }
    Some(pattern)
}

/// The values of the parts of each scene, if the pattern finds the band of each file, and tells scenes apart.
fn samples(root: &Path, pattern: &Pattern, scenes: &Scenes) -> Option<Vec<Parts>> {
    let of_scene = |files: &BTreeMap<String, PathBuf>| {
        let mut found = BTreeSet::new();
        for (band, file) in files {
            let mut parts = pattern.matched(file.strip_prefix(root).ok()?.to_str()?)?;
            if parts.remove(BAND)? != *band {
                return None;
            }
            found.insert(parts);
        }
        found.pop_first().filter(|_| found.is_empty())
    };
    let samples: Vec<Parts> = scenes.values().map(of_scene).collect::<Option<_>>()?;
    let different: BTreeSet<&Parts> = samples.iter().collect();
    (different.len() == samples.len()).then_some(samples)
}

/// The pattern of masks and their files, if each scene has one.
fn masks_of(
    root: &Path,
    pattern: String,
    samples: &[Parts],
    files: &[PathBuf],
) -> Option<(String, Vec<PathBuf>)> {
    let there: BTreeSet<&PathBuf> = files.iter().collect();
    let parsed = Pattern::parse(&pattern).ok()?;
    let masks = samples
        .iter()
        .map(|parts| parsed.filled(parts).map(|path| root.join(path)).filter(|path| there.contains(path)));
    let masks: Vec<PathBuf> = masks.collect::<Option<_>>()?;
    Some((pattern, masks))
}

/// Masks beside the bands, whose names end with a word such as `label`.
fn beside(root: &Path, scene: &str, samples: &[Parts], others: &[PathBuf]) -> Option<(String, Vec<PathBuf>)> {
    let words = others.iter().filter_map(|file| {
        let (stem, ending) = parts(file)?;
        let (_, word) = scene_and_word(stem);
        is_mask(Path::new(word)).then_some((word, ending))
    });
    let words: BTreeSet<(&str, &str)> = words.collect();
    let pattern = |(word, ending): &(&str, &str)| format!("{scene}{word}.{ending}");
    words.iter().find_map(|word| masks_of(root, pattern(word), samples, others))
}

/// Masks in a folder of their own, named like the scenes, also with a last word more.
fn in_folder(
    root: &Path,
    folder: &Path,
    files: &[PathBuf],
    scenes: &Scenes,
    samples: &[Parts],
) -> Option<(String, Vec<PathBuf>)> {
    let ending = usual_ending(files)?;
    let whole = |(parts, (_, name)): (&Parts, &Scene)| {
        parts.get("scene").is_some_and(|scene| name.is_empty() || scene == name)
    };
    let scene = if samples.iter().zip(scenes.keys()).all(whole) {
        "{scene}".to_owned()
    } else {
        let names = scenes.keys().map(|(_, name)| name.as_str()).collect();
        pattern_of(&names, "scene")?.pattern
    };
    let (stem, _) = parts(files.first()?)?;
    let last = stem.rsplit_once('_').map(|(_, last)| format!("_{last}"));
    std::iter::once(String::new())
        .chain(last)
        .find_map(|last| masks_of(root, inside(folder, &format!("{scene}{last}.{ending}"))?, samples, files))
}

impl Draft<'_> {
    /// One file a band.
    pub(super) fn band_files(&mut self, found: &BandFiles) -> Result<String, DataError> {
        let BandFiles { images, masks, bands, first, scenes, missing, others, .. } = found;
        let _ = writeln!(
            self.head,
            "# One file a band: {} with {}, by the names of files.",
            counted(*scenes, "scene"),
            counted(bands.len(), "band")
        );
        for (band, without, scene) in missing {
            let scene = cut(scene);
            let lack = format!(
                "{without} of {} have no file of `{}`, one of them `{scene}`",
                counted(*scenes, "scene"),
                cut(band)
            );
            let used = if bands.contains(band) {
                "so that the data set does not open"
            } else {
                "so that it is not in `bands`"
            };
            self.ask(format!("{lack}, {used}: are files missing?"));
        }
        if let Some(other) = others.first() {
            self.ask(format!(
                "{} of no such band or with another ending, as `{}`, are not used: are they needed?",
                counted(others.len(), "file"),
                shown(other.strip_prefix(self.root).unwrap_or(other))
            ));
        }
        let masks = if let Some((pattern, files)) = masks {
            let folder = Path::new(pattern).parent().unwrap_or_else(|| Path::new(""));
            self.masks(folder, files)?;
            self.ask(format!("does `{}` find the labels?", cut(pattern)));
            format!("masks = {}\n", quoted(pattern))
        } else {
            self.no_labels();
            self.ask(
                "where are the labels? Write the pattern of masks with a part of `images`; or, if a folder is a class, `{class}` for it, and \
                 `task = \"classification\"`",
            );
            "# masks = \"labels/{scene}.tif\"\n".to_owned()
        };
        self.named_bands(bands);
        let looked = self.looked(first)?;
        self.numbers(&looked);
        Ok(format!("kind = \"pattern\"\nimages = {}\n{masks}", quoted(images)))
    }

    /// Bands as the names of files have them.
    pub(super) fn named_bands(&mut self, bands: &[String]) {
        let _ = writeln!(
            self.head,
            "# Bands as the names of files have them.\nbands = {}",
            list(bands.iter().cloned())
        );
        let unknown: Vec<&String> = bands.iter().filter(|band| known(band).is_none()).collect();
        if unknown.is_empty() {
            self.ask("are the bands what their names say?");
            return;
        }
        let sensors = sensors(bands);
        let sensors = sensors.iter().map(|sensor| format!("`{sensor}`")).collect::<Vec<_>>().join(", ");
        let of = if sensors.is_empty() { String::new() } else { format!(" (names of bands of {sensors})") };
        self.ask(format!(
            "which bands are {}{of}? A number means another band on another satellite: write `sensor`, which knows its own names, and \
             bands such as `red`",
            few(unknown)
        ));
    }
}
