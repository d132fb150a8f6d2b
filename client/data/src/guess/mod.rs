//! A first `dataset.toml` for a folder of images: what can be guessed from names and from one image, with the questions
//! that only a person can answer.

mod band_files;
mod bands;
mod classes;
mod columns;
mod folders;
mod masks;
mod names;
mod pairs;
mod series;
mod table_layout;
mod tables;
mod text;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use band_files::BandFiles;
use eosfed_common::counted::counted;
use folders::{Folders, class_folders};
use series::Series;
use tables::TableGuess;
use text::{LISTED, few, list, name};

use crate::error::DataError;
use crate::files::{each_below, is_image};
use crate::raster::Limits;

/// A description that is to be checked by a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The text of `dataset.toml`, with comments.
    pub text: String,
    /// What the files do not say.
    pub questions: Vec<String>,
}

/// Looks at a folder of images and proposes its description.
///
/// # Errors
/// If it cannot be listed, has no image that is read, or the first image cannot be read.
pub fn propose(root: &Path, limits: &Limits) -> Result<Proposal, DataError> {
    let mut folders = Folders::new();
    each_below(root, &mut HashSet::new(), &mut |path| {
        if is_image(path) {
            let folder = path.parent().and_then(|folder| folder.strip_prefix(root).ok());
            folders
                .entry(folder.unwrap_or_else(|| Path::new("")).to_owned())
                .or_default()
                .push(path.to_owned());
        }
    })?;
    folders.values_mut().for_each(|files| files.sort());
    if folders.is_empty() {
        let reason = "must have images of a kind that is read (`eosfed-client data formats`), found none";
        return Err(DataError::file(root, reason));
    }
    let mut draft = Draft { root, limits, head: String::new(), questions: Vec::new() };
    let layout = draft.layout(&folders)?;
    let Draft { head, questions, .. } = draft;
    let mut text = "# Written by `eosfed-client data init`: a guess from the names of files and from some of their pixels. Check \
                    each line,\n# answer the questions, and look at `eosfed-client data inspect`. All keys: \
                    docs/reference/dataset.md.\n"
        .to_owned();
    for question in &questions {
        let _ = writeln!(text, "# QUESTION: {question}");
    }
    let _ = write!(
        text,
        "\n{head}\n[layout]\n{layout}\n# Parts are divided by a digest of names; `by = \"location\"` keeps neighbours \
         together.\n[split]\nvalidation = 0.2\ntest = 0.0\n"
    );
    Ok(Proposal { text, questions })
}

struct Draft<'a> {
    root: &'a Path,
    limits: &'a Limits,
    head: String,
    questions: Vec<String>,
}

impl Draft<'_> {
    fn ask(&mut self, question: impl Into<String>) {
        self.questions.push(question.into());
    }

    /// The layout that the files suggest most.
    fn layout(&mut self, folders: &Folders) -> Result<String, DataError> {
        let bands = BandFiles::find(self.root, folders);
        let table = self.tables(folders, bands.as_ref())?;
        if let Some(layout) = self.with_masks(folders, bands.as_ref())? {
            if let Some((file, guess)) = &table {
                self.table_as_comment(file, guess, bands.as_ref())?;
            }
            return Ok(layout);
        }
        let (of_classes, other) =
            table.into_iter().partition::<Vec<_>, _>(|(_, guess)| guess.class_is_folder);
        if let Some(layout) = self.first_table(&other, bands.as_ref())? {
            return Ok(layout);
        }
        if bands.is_none() && class_folders(folders) && self.are_classes(folders) {
            return self.folders(folders, of_classes.first());
        }
        if let Some(layout) = self.first_table(&of_classes, bands.as_ref())? {
            return Ok(layout);
        }
        match bands {
            Some(found) => self.band_files(&found),
            None => self.scenes(folders),
        }
    }

    fn first_table(
        &mut self,
        tables: &[(String, TableGuess)],
        bands: Option<&BandFiles>,
    ) -> Result<Option<String>, DataError> {
        tables.first().map_or(Ok(None), |(file, guess)| self.table(file, guess, bands))
    }

    /// A layout whose masks or targets are files; none if there are none.
    fn with_masks(
        &mut self,
        folders: &Folders,
        bands: Option<&BandFiles>,
    ) -> Result<Option<String>, DataError> {
        if let Some(found) = bands {
            return if found.masks.is_some() { self.band_files(found).map(Some) } else { Ok(None) };
        }
        let series = Series::find(folders);
        if let Some(at) = series.iter().position(|found| self.may_be_target(folders, &found.folder)) {
            return self.series(folders, &series, at).map(Some);
        }
        self.find_pairs(folders).map(|pairs| self.pairs(folders, pairs)).transpose()
    }

    /// Asks about folders of images that are not used.
    fn left_out(&mut self, folders: &Folders, used: impl Fn(&PathBuf) -> bool) {
        let rest: Vec<(&PathBuf, usize)> = folders
            .iter()
            .filter(|(folder, _)| !used(folder))
            .map(|(folder, files)| (folder, files.len()))
            .collect();
        if rest.is_empty() {
            return;
        }
        let files: usize = rest.iter().map(|(_, files)| files).sum();
        self.ask(format!(
            "what about {} of {} that are not used: do they belong to the data set? {}",
            counted(files, "file"),
            counted(rest.len(), "folder"),
            few(rest.iter().map(|(folder, _)| folder.to_string_lossy()))
        ));
    }

    fn no_labels(&mut self) {
        let _ = writeln!(
            self.head,
            "# The folders say nothing about labels.\ntask = \"segmentation\"\nclasses = [\"class_0\", \"class_1\"]"
        );
    }

    fn scenes(&mut self, folders: &Folders) -> Result<String, DataError> {
        let files: Vec<&PathBuf> = folders.values().flatten().collect();
        self.no_labels();
        self.ask("where are the labels? Masks beside scenes are `layout.masks`; for the other layouts see docs/reference/dataset.md");
        self.bands(&[files[0].clone()])?;
        let shown = files.iter().take(LISTED).map(|file| name(file.strip_prefix(self.root).unwrap_or(file)));
        let images = list(shown);
        let more = files.len().saturating_sub(LISTED);
        let more =
            if more > 0 { format!("# {more} more images are not listed here.\n") } else { String::new() };
        let more_keys = "# Pixels at each edge of a tile that the network sees but that are not judged.\n# halo = 32\n\
                         # Training tiles at other places in each epoch.\n# windows = \"random\"\n";
        Ok(format!("kind = \"scenes\"\n{more}images = {images}\nmasks = []\ntile = 256\n{more_keys}"))
    }
}
