//! Samples by their position in the data set, for work that reads them one at a time.

use std::path::Path;
use std::sync::Arc;

use super::read::ReadSample;
use super::{Dataset, Source};
use crate::config::Layout;
use crate::error::DataError;
use crate::geotiff::Stated;
use crate::reasons::Groups;
use crate::sample::Sample;
use crate::split::Split;

impl Dataset {
    /// The positions of the samples of a part.
    pub(crate) fn entries_of(&self, split: Split) -> Vec<u32> {
        let all = self.entries.iter().zip(0_u32..);
        all.filter(|(entry, _)| entry.split == split).map(|(_, position)| position).collect()
    }

    /// The name of a sample.
    pub(crate) fn key(&self, position: u32) -> &str {
        &self.entries[position as usize].key
    }

    /// The part of a sample.
    pub(crate) fn part(&self, position: u32) -> Split {
        self.entries[position as usize].split
    }

    /// Reads the sample of this name with the named bands.
    ///
    /// # Errors
    /// If there is no such sample, a band is missing, or its files cannot be read.
    pub fn sample_named(&self, key: &str, bands: &[String]) -> Result<Sample, DataError> {
        let bands = self.positions(bands)?;
        let entry = self.entries.iter().find(|entry| entry.key == key);
        let no_such = || DataError::unfit(self.path(), format!("there is no sample `{key}`"));
        Ok(self.read(entry.ok_or_else(no_such)?, &bands)?.sample)
    }

    /// A number that all tiles of a scene share, and nothing else.
    pub(crate) fn group(&self, position: u32) -> Option<usize> {
        match &self.entries[position as usize].source {
            Source::Files { .. } => None,
            Source::Tile { scene, .. } => Some(Arc::as_ptr(scene).addr()),
        }
    }

    /// Calls `each` with every file that any sample is read from; with one of a scene for its first tile only.
    pub(crate) fn all_files(&self, each: &mut dyn FnMut(&Path)) {
        let mut last = None;
        for position in (0_u32..).take(self.entries.len()) {
            let group = self.group(position);
            if group.is_none() || group != last {
                self.each_file(position, each);
            }
            last = group;
        }
    }

    /// Calls `each` with every file that a sample is read from.
    pub(crate) fn each_file(&self, position: u32, each: &mut dyn FnMut(&Path)) {
        match &self.entries[position as usize].source {
            Source::Files { images, label } => {
                images.iter().flatten().for_each(|file| each(file));
                if let Some(file) = label.file() {
                    each(file);
                }
            }
            Source::Tile { scene, .. } => scene.files().for_each(each),
        }
    }

    /// Calls `each` with the numbers that say which pixels of its scene a tile must not show.
    pub(crate) fn each_hidden(&self, position: u32, each: &mut dyn FnMut(usize)) {
        if let Source::Tile { tile, .. } = &self.entries[position as usize].source {
            tile.hidden.iter().flat_map(|window| [window.corner, window.size]).flatten().for_each(each);
        }
    }

    /// What a catalogue says of the numbers of a file.
    pub(crate) fn stated(&self, file: &Path) -> Option<&Arc<Stated>> {
        self.stated.get(file)
    }

    /// Reads a sample with the values of its files, before they are scaled.
    pub(crate) fn read_as_stored(&self, position: u32, bands: &[usize]) -> Result<ReadSample, DataError> {
        self.read_stored(&self.entries[position as usize], bands)
    }

    /// What is wrong with each file that could not be read when the data set was opened.
    #[must_use]
    pub fn broken(&self) -> &[String] {
        self.broken.said()
    }

    /// The same, for equal reasons once.
    pub(crate) fn broken_groups(&self) -> Groups {
        self.broken.groups().clone()
    }

    /// Images of a sample: one for each date.
    pub(crate) const fn dates(&self) -> usize {
        let after = match &self.config.layout {
            Layout::Folders { .. } => false,
            Layout::Pairs { after, .. } | Layout::Pattern { after, .. } | Layout::Table { after, .. } => {
                after.is_some()
            }
            Layout::Scenes { after, .. } => !after.is_empty(),
        };
        if after { 2 } else { 1 }
    }
}
