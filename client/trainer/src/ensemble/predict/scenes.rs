//! Many scenes with one head: a map of each in one folder. A run that was interrupted goes on where it stopped.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use eosfed_common::colour::ClassColours;
use eosfed_common::digest::Digest;
use eosfed_common::files;
use eosfed_common::head::HeadFile;
use eosfed_data::{BaselineOffset, Complex, FileBand, FileScaling, OwnScalings, Reading, has_ending};
use serde::{Deserialize, Serialize};
use tch::Device;

use super::options::{PredictOptions, PredictReport};
use super::{EnsembleError, HeadModel, map_scene};

/// Most scenes of one run.
const MOST_SCENES: usize = 100_000;
/// The file in the folder of the maps that says how they were made.
const RECORD: &str = "predict.json";

/// Scenes to be mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenes {
    /// For each scene the files whose bands are stacked.
    pub scenes: Vec<Vec<PathBuf>>,
    /// Files of the folder that are no GeoTIFFs.
    pub unused: Vec<PathBuf>,
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
        Ok(Self { scenes: scenes.into_iter().map(|file| vec![file]).collect(), unused })
    }

    fn of_list(list: &Path) -> std::io::Result<Self> {
        let text = fs::read_to_string(list)?;
        let folder = list.parent().unwrap_or_else(|| Path::new(""));
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let files = |line: &str| line.split(',').map(|file| folder.join(file.trim())).collect();
        Ok(Self { scenes: lines.map(files).collect(), unused: Vec::new() })
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
    pub present: Vec<PathBuf>,
    /// Scenes that could not be mapped.
    pub failed: Vec<FailedScene>,
    /// Files of the folder that are no GeoTIFFs.
    pub unused: Vec<PathBuf>,
}

/// A scene that could not be mapped.
#[derive(Debug, Serialize)]
pub struct FailedScene {
    /// Its first file.
    pub scene: PathBuf,
    /// Why.
    pub error: String,
}

/// How the maps of a folder were made.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    head: Digest,
    bands: Vec<String>,
    scale: f64,
    offset: f64,
    nodata: Option<f64>,
    window: Option<usize>,
    overlap: Option<usize>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    confidence: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    file_bands: Vec<FileBand>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    complex: Option<Complex>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file_scaling: Option<FileScaling>,
    #[serde(default, skip_serializing_if = "OwnScalings::is_empty")]
    band_scaling: OwnScalings,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    baseline_offset: Option<BaselineOffset>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    valid: Option<String>,
    #[serde(default, skip_serializing_if = "ClassColours::is_empty")]
    class_colours: ClassColours,
}

impl Record {
    fn of(options: &PredictOptions, head: &HeadFile) -> Result<Self, EnsembleError> {
        let path = options.head.join(HeadFile::WEIGHTS);
        // No argument says properties of bands.
        let Reading { bands, band_info: _, file_bands, complex, .. } = options.reading.clone();
        let Reading { file_scaling, baseline_offset, valid, nodata, scale, offset, band_scaling, .. } =
            options.reading.clone();
        Ok(Self {
            head: files::digest(&path).map_err(|error| EnsembleError::file(&path, error))?,
            bands,
            scale,
            offset,
            nodata,
            window: options.window,
            overlap: options.overlap,
            confidence: options.confidence,
            file_bands,
            complex,
            file_scaling,
            band_scaling,
            baseline_offset,
            valid,
            class_colours: head.class_colours.clone(),
        })
    }

    /// Writes this into the folder, or compares it with what a run before has written: maps of two heads side by
    /// side would look like maps of one.
    fn keep(&self, folder: &Path) -> Result<(), EnsembleError> {
        let path = folder.join(RECORD);
        let refuse = |reason: String| Err(EnsembleError::file(&path, reason));
        match fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice::<Self>(&bytes) {
                Ok(before) if before == *self => Ok(()),
                Ok(before) => refuse(format!(
                    "the maps here were made with {}, and now it is {}; write to another folder",
                    said(&before),
                    said(self)
                )),
                Err(error) => refuse(format!("it must say how the maps here were made: {error}")),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                fs::create_dir_all(folder).map_err(|error| EnsembleError::file(folder, error))?;
                files::write_atomically(&path, said(self).as_bytes())
                    .map_err(|error| EnsembleError::file(&path, error))
            }
            Err(error) => refuse(error.to_string()),
        }
    }
}

fn said(record: &Record) -> String {
    serde_json::to_string(record).expect("a record is plain data")
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

/// Maps scenes with one head into the folder `options.output`. Maps that are there are kept if they are newer than
/// their scenes. A scene that cannot be mapped does not stop the others. `progress` gets the number of scenes done,
/// and for the present scene the windows done and all.
///
/// # Errors
/// If the head cannot be opened, or the folder has maps that were made in another way.
pub fn predict_scenes(
    options: &PredictOptions,
    found: Scenes,
    device: Device,
    progress: &mut dyn FnMut(usize, usize, usize),
) -> Result<ScenesReport, EnsembleError> {
    options.check()?;
    let head = HeadModel::open(&options.head, options.release.as_deref(), device)?;
    Record::of(options, &head.file)?.keep(&options.output)?;
    let mut report = ScenesReport { unused: found.unused, ..ScenesReport::default() };
    for (at, scene) in found.scenes.into_iter().enumerate() {
        let map = options.output.join(map_name(&scene));
        if is_present(&map, &scene) {
            report.present.push(map);
            continue;
        }
        let one = PredictOptions { images: vec![scene], output: map, ..options.clone() };
        match map_scene(&head, &one, device, &mut |done, all| progress(at, done, all)) {
            Ok(map) => report.maps.push(map),
            Err(error) => {
                report.failed.push(FailedScene { scene: one.images[0][0].clone(), error: error.to_string() });
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
