//! Notes about the images of samples: equal ones are said once, with the files that they are about.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use eosfed_common::counted::counted;

use super::baseline_words::joined;

/// Files that are named of each note.
const NAMED: usize = 3;
/// Most files of a note that are told apart.
const MOST: usize = 1000;

/// A note about the images of a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    text: String,
    /// The file that it is about, where that is one.
    file: Option<PathBuf>,
}

impl Note {
    /// A note about a file.
    pub(super) fn of(file: &Path, text: String) -> Self {
        Self { text, file: Some(file.to_owned()) }
    }
}

impl From<String> for Note {
    fn from(text: String) -> Self {
        Self { text, file: None }
    }
}

/// Files of a note.
#[derive(Debug, Clone, Default)]
struct Files {
    known: BTreeSet<PathBuf>,
    /// Whether there are more than are kept.
    more: bool,
}

impl Files {
    fn add(&mut self, file: &Path) {
        if self.known.contains(file) {
            return;
        }
        if self.known.len() < MOST {
            self.known.insert(file.to_owned());
        } else {
            self.more = true;
        }
    }

    /// How many they are, and the first of them, by their paths below a folder.
    fn said(&self, root: &Path) -> String {
        let name = |file: &PathBuf| format!("`{}`", file.strip_prefix(root).unwrap_or(file).display());
        let named = self.known.iter().take(NAMED).map(name).collect::<Vec<_>>().join(", ");
        let rest = if self.known.len() > NAMED { ", …" } else { "" };
        let more = if self.more { "more than " } else { "" };
        format!("{more}{}: {named}{rest}", counted(self.known.len(), "file"))
    }
}

/// Notes of many samples.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes(BTreeMap<String, Files>);

impl Notes {
    /// Adds those of another part.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (text, files) in &other.0 {
            let all = self.0.entry(text.clone()).or_default();
            files.known.iter().for_each(|file| all.add(file));
            all.more |= files.more;
        }
    }

    /// Each note once. Files are named by their paths below `root`.
    pub(crate) fn said(&self, root: &Path) -> Vec<String> {
        let texts = joined(&self.0.keys().cloned().collect()).into_iter();
        let with_files = |text: String| match self.0.get(&text).filter(|files| !files.known.is_empty()) {
            Some(files) => format!("{text} ({})", files.said(root)),
            None => text,
        };
        texts.map(with_files).collect()
    }
}

impl Extend<Note> for Notes {
    fn extend<I: IntoIterator<Item = Note>>(&mut self, notes: I) {
        for Note { text, file } in notes {
            let files = self.0.entry(text).or_default();
            file.iter().for_each(|file| files.add(file));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(count: usize) -> Notes {
        let mut notes = Notes::default();
        // As of two tiles of each scene.
        let twice = (0..count).chain(0..count);
        notes.extend(twice.map(|at| Note::of(Path::new(&format!("/d/m/{at:04}.tif")), "masks".to_owned())));
        notes
    }

    #[test]
    fn a_note_names_its_first_files_and_how_many_they_are() {
        let said = |count| about(count).said(Path::new("/d")).remove(0);
        assert_eq!(said(1), "masks (1 file: `m/0000.tif`)");
        assert_eq!(said(3), "masks (3 files: `m/0000.tif`, `m/0001.tif`, `m/0002.tif`)");
        assert_eq!(said(4), "masks (4 files: `m/0000.tif`, `m/0001.tif`, `m/0002.tif`, …)");
        assert!(said(MOST).starts_with("masks (1000 files: "), "{}", said(MOST));
        assert!(said(MOST + 1).starts_with("masks (more than 1000 files: "), "{}", said(MOST + 1));
    }

    #[test]
    fn notes_of_parts_are_said_together() {
        let mut notes = about(1);
        notes.extend([Note::from("resampled".to_owned())]);
        notes.merge(&about(2));
        let said = notes.said(Path::new("/elsewhere"));
        assert_eq!(said, ["masks (2 files: `/d/m/0000.tif`, `/d/m/0001.tif`)", "resampled"]);
        notes.merge(&about(MOST + 5));
        assert!(notes.said(Path::new("/d"))[0].starts_with("masks (more than 1000 files: "));
    }
}
