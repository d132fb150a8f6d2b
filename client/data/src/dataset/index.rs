//! Which tiles of a scene can be used, remembered in a file. To find it out, pixels have to be read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use eosfed_common::canonical::digest_of;
use eosfed_common::files::write_atomically;
use serde::{Deserialize, Serialize};

use super::Dataset;
use super::contradictions::Findings;
use super::polygons::PolygonReport;
use super::scene::SceneFiles;
use super::tiles::Tiling;
use super::usable::Usable;
use crate::error::DataError;
use crate::files::Fingerprint;

/// Changes when it is decided in another way which tiles can be used.
const FORMAT: &str = concat!("eosfed tiles 3 ", env!("CARGO_PKG_VERSION"));
/// Most bytes of a file that is read.
const MOST_BYTES: u64 = 256 << 20;

/// The usable tiles of scenes, by a digest of what they depend on.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TileIndex {
    scenes: BTreeMap<String, Usable>,
    /// What is wrong with the data set as a whole, with a digest of what that depends on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    findings: Option<(String, Findings)>,
    /// How much of its polygons is used, with a digest of what that depends on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    polygons: Option<(String, PolygonReport)>,
    /// The entries that this data set has asked for.
    #[serde(skip)]
    asked: BTreeMap<String, Usable>,
    #[serde(skip)]
    news: bool,
}

impl TileIndex {
    /// Reads a file. One that is not there or damaged says nothing.
    pub(super) fn read(file: &Path) -> Self {
        let small = file.symlink_metadata().is_ok_and(|found| found.is_file() && found.len() <= MOST_BYTES);
        let bytes = if small { std::fs::read(file).unwrap_or_default() } else { Vec::new() };
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Writes what was asked for, if that is news. A file that cannot be written costs time only.
    pub(super) fn write(&mut self, file: &Path) {
        if self.asked == self.scenes && !self.news {
            return;
        }
        self.scenes = std::mem::take(&mut self.asked);
        if let Ok(json) = serde_json::to_vec(self) {
            let _ = write_atomically(file, &json);
        }
    }
}

impl Dataset {
    /// The file in which the tiles of this data set are remembered.
    pub(super) fn index_file(&self, folder: &Path) -> PathBuf {
        let path = self.path.to_string_lossy();
        folder.join(format!("{}.tiles", digest_of(&(path, self.config.without_looks())).to_hex()))
    }

    /// What is wrong with the data set as a whole as it is remembered, or as it is found now.
    pub(super) fn remembered_findings(&self, key: String, find: impl FnOnce() -> Findings) -> Findings {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, findings)) = &index.findings
            && *known == key
        {
            return findings.clone();
        }
        let found = find();
        index.findings = Some((key, found.clone()));
        index.news = true;
        found
    }

    /// How much of the polygons is used as it is remembered, or as it is found now.
    pub(super) fn remembered_polygons(
        &self,
        key: String,
        find: impl FnOnce() -> Result<PolygonReport, DataError>,
    ) -> Result<PolygonReport, DataError> {
        let lock = || self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().polygons.clone().filter(|(of, _)| *of == key);
        if let Some((_, report)) = known {
            return Ok(report);
        }
        let found = find()?;
        let mut index = lock();
        index.polygons = Some((key, found.clone()));
        index.news = true;
        Ok(found)
    }

    /// The usable tiles of a scene as they are remembered, or as they are found now.
    pub(super) fn remembered(
        &self,
        scene: &SceneFiles,
        tiling: Tiling,
        find: impl FnOnce() -> Result<Usable, DataError>,
    ) -> Result<Usable, DataError> {
        let mut fingerprint = Fingerprint::new(FORMAT);
        let Tiling { side, stride, halo } = tiling;
        [side, stride, halo].into_iter().for_each(|number| fingerprint.add(&(number as u64).to_le_bytes()));
        for file in scene.files() {
            fingerprint.add_file(file);
            if let Some(stated) = self.stated(file) {
                fingerprint.add(format!("{stated:?}").as_bytes());
            }
        }
        let key = fingerprint.finish().to_hex();
        let lock = || self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().scenes.get(&key).cloned();
        let usable = known.map_or_else(find, Ok)?;
        lock().asked.insert(key, usable.clone());
        Ok(usable)
    }
}
