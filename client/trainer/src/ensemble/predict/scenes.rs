//! Many scenes with one head: a map of each in one folder. A run that was interrupted goes on where it stopped.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use eosfed_data::{check_not_overwritten, has_ending, remove_left_unfinished};
use serde::Serialize;
use tch::Device;

use super::options::{PredictOptions, PredictReport};
use super::record::{self, Record, Warnings};
use super::{EnsembleError, HeadModel, files, map_scene};

/// Most scenes of one run.
const MOST_SCENES: usize = 100_000;

/// Scenes to be mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenes {
    /// For each scene the files whose bands are stacked.
    pub scenes: Vec<Vec<PathBuf>>,
    /// Files of the folder that are no GeoTIFFs.
    pub unused: Vec<PathBuf>,
    /// The text file that names them, if it is one.
    pub list: Option<PathBuf>,
}

impl Scenes {
    /// The GeoTIFFs of a folder, each one a scene; or those of a text file with one scene a line, whose files are
    /// joined by commas and relative to the folder of that file.
    ///
    /// # Errors
    /// If there is no scene, if there are too many, or if two of them would have one map.
    pub fn find(path: &Path) -> Result<Self, EnsembleError> {
        let refuse = |reason: String| EnsembleError::file(path, reason);
        let found = if path.is_dir() { Self::of_folder(path) } else { Self::of_list(path) };
        let found = found.map_err(|error| refuse(error.to_string()))?;
        if found.scenes.is_empty() || found.scenes.len() > MOST_SCENES {
            let count = found.scenes.len();
            return Err(refuse(format!("it must name 1 to {MOST_SCENES} scenes (.tif), found {count}")));
        }
        let mut maps = BTreeMap::new();
        for scene in &found.scenes {
            if let Some(other) = maps.insert(map_name(scene), &scene[0]) {
                return Err(refuse(format!(
                    "{} and {} would have the same map; rename one of them",
                    other.display(),
                    scene[0].display()
                )));
            }
        }
        Ok(found)
    }

    fn of_folder(folder: &Path) -> std::io::Result<Self> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if !entry.path().is_dir() {
                files.push(entry.path());
            }
        }
        files.sort();
        let (scenes, unused): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|file| has_ending(file, &["tif", "tiff"]));
        Ok(Self { scenes: scenes.into_iter().map(|file| vec![file]).collect(), unused, list: None })
    }

    fn of_list(list: &Path) -> std::io::Result<Self> {
        let text = fs::read_to_string(list)?;
        let folder = list.parent().unwrap_or_else(|| Path::new(""));
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let files = |line: &str| line.split(',').map(|file| folder.join(file.trim())).collect();
        Ok(Self { scenes: lines.map(files).collect(), unused: Vec::new(), list: Some(list.to_owned()) })
    }
}

/// The name of a scene's map: that of its first file.
fn map_name(scene: &[PathBuf]) -> PathBuf {
    Path::new(scene[0].file_name().unwrap_or_default()).with_extension("tif")
}

/// Result of mapping many scenes.
#[derive(Debug, Default, Serialize)]
pub struct ScenesReport {
    /// The maps that were made.
    pub maps: Vec<PredictReport>,
    /// Maps that were there and are newer than their scenes.
    pub present: Vec<PresentMap>,
    /// Scenes that could not be mapped.
    pub failed: Vec<FailedScene>,
    /// Files of the folder that are no GeoTIFFs.
    pub unused: Vec<PathBuf>,
}

/// A map that was there.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct PresentMap {
    /// The map.
    pub output: PathBuf,
    /// Reasons not to trust it, as the run said that made it.
    pub warnings: Vec<String>,
}

/// What became of a scene.
#[derive(Debug)]
pub enum SceneEnd<'a> {
    /// Its map was made.
    Mapped(&'a PredictReport),
    /// Its map was there.
    Present(&'a PresentMap),
    /// It could not be mapped.
    Failed(&'a FailedScene),
}

/// A scene that could not be mapped.
#[derive(Debug, Serialize)]
pub struct FailedScene {
    /// Its first file.
    pub scene: PathBuf,
    /// Why.
    pub error: String,
}

/// Whether the map is there and newer than the files of its scene.
fn is_present(map: &Path, scene: &[PathBuf]) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let newest: Option<Vec<SystemTime>> = scene.iter().map(|file| modified(file)).collect();
    match (modified(map), newest.and_then(|times| times.into_iter().max())) {
        (Some(map), Some(scene)) => map > scene,
        _ => false,
    }
}

/// The options of one of many scenes.
fn of_scene(options: &PredictOptions, scene: Vec<PathBuf>) -> PredictOptions {
    let output = options.output.join(map_name(&scene));
    PredictOptions { images: vec![scene], output, ..options.clone() }
}

/// Checks that nothing of what is written replaces an input of any scene.
fn check(options: &PredictOptions, found: &Scenes) -> Result<(), EnsembleError> {
    let mut written = record::paths(&options.output).to_vec();
    for scene in &found.scenes {
        written.extend(files::written(&of_scene(options, scene.clone())));
    }
    let scenes = found.scenes.iter().flatten().chain(&found.list).cloned();
    let read: Vec<PathBuf> = scenes.chain(files::of_head(options)).collect();
    Ok(check_not_overwritten(&written, &read)?)
}

/// Maps scenes with one head into the folder `options.output`. Maps that are there are kept if they are newer than
/// their scenes. A scene that cannot be mapped does not stop the others. `progress` gets the number of scenes done,
/// and for the present scene the windows done and all; `ended` what became of each scene as soon as that is known.
///
/// # Errors
/// If a file to be written is an input, the head cannot be opened, or the folder has maps that were made in another way.
pub fn predict_scenes(
    options: &PredictOptions,
    found: Scenes,
    device: Device,
    progress: &mut dyn FnMut(usize, usize, usize),
    ended: &mut dyn FnMut(SceneEnd<'_>),
) -> Result<ScenesReport, EnsembleError> {
    options.check()?;
    check(options, &found)?;
    let head = HeadModel::open(&options.head, options.release.as_deref(), device)?;
    let folder = &options.output;
    Record::of(options, &head.file)?.keep(folder)?;
    remove_left_unfinished(folder).map_err(|error| EnsembleError::file(folder, error))?;
    let mut warnings = Warnings::open(folder)?;
    let mut report = ScenesReport { unused: found.unused, ..ScenesReport::default() };
    for (at, scene) in found.scenes.into_iter().enumerate() {
        let one = of_scene(options, scene);
        if is_present(&one.output, &one.images[0]) {
            let map = PresentMap { warnings: warnings.of(&one.output), output: one.output };
            ended(SceneEnd::Present(&map));
            report.present.push(map);
            continue;
        }
        let mut keep = |said: &[String]| warnings.add(&one.output, said);
        match map_scene(&head, &one, device, &mut |done, all| progress(at, done, all), &mut keep) {
            Ok(map) => {
                ended(SceneEnd::Mapped(&map));
                report.maps.push(map);
            }
            Err(error) => {
                let failed = FailedScene { scene: one.images[0][0].clone(), error: error.to_string() };
                ended(SceneEnd::Failed(&failed));
                report.failed.push(failed);
            }
        }
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenes_are_those_of_a_folder_or_of_a_list() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["b.tif", "a.TIFF", "notes.txt"] {
            fs::write(at(name), "").unwrap();
        }
        fs::create_dir(at("more.tif")).unwrap();
        let found = Scenes::find(folder.path()).unwrap();
        assert_eq!(found.scenes, [[at("a.TIFF")], [at("b.tif")]]);
        assert_eq!(found.unused, [at("notes.txt")]);
        fs::write(at("list"), "# two files of one scene\n\n s2.tif , s1.tif\n/data/c.tif\n").unwrap();
        let found = Scenes::find(&at("list")).unwrap();
        assert_eq!(found.scenes, [vec![at("s2.tif"), at("s1.tif")], vec!["/data/c.tif".into()]]);
    }

    #[test]
    fn two_scenes_with_one_map_and_no_scenes_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let said = |text: &str| {
            fs::write(folder.path().join("list"), text).unwrap();
            Scenes::find(&folder.path().join("list")).unwrap_err().to_string()
        };
        assert!(said("x/a.tif\ny/a.tiff").contains("would have the same map"));
        assert!(said("# none\n").contains("found 0"));
    }
}
