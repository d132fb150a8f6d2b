//! A layout by a table, for a description.

use std::fmt::Write as _;
use std::path::PathBuf;

use eosfed_common::counted::counted;

use super::Draft;
use super::band_files::BandFiles;
use super::columns::COMPARED;
use super::folders::{Folders, is_mask};
use super::masks::map_of_classes;
use super::tables::{Found, TableGuess, tables};
use super::text::{cut, few, list, quoted};
use crate::error::DataError;

impl Draft<'_> {
    /// Reads the tables beside the images. The first one that fits is given, with its name; of each other it is said why it is not
    /// used.
    pub(super) fn tables(
        &mut self,
        folders: &Folders,
        bands: Option<&BandFiles>,
    ) -> Result<Option<(String, TableGuess)>, DataError> {
        let (paths, more) = tables(self.root)?;
        let maps = if paths.is_empty() { Vec::new() } else { self.maps(folders) };
        let mut chosen: Option<(String, TableGuess)> = None;
        for path in paths {
            let Some(file) = path.file_name().and_then(|file| file.to_str()) else { continue };
            let other = chosen.as_ref().map(|(other, _)| cut(other));
            match (TableGuess::find(&path, self.root, folders, &maps, bands), other) {
                (Found::Guess(guess), None) => chosen = Some((file.to_owned(), *guess)),
                (Found::Guess(_), Some(other)) => {
                    self.ask(format!(
                        "`{}` names images too, and `{other}` is looked at: which one is right?",
                        cut(file)
                    ));
                }
                (Found::Unused(reason), _) => {
                    self.ask(format!("`{}` is not used, because {reason}: does it have labels?", cut(file)));
                }
            }
        }
        if more > 0 {
            self.ask(format!("{} were not looked at: do they have labels?", counted(more, "more table")));
        }
        Ok(chosen)
    }

    /// Folders outside of those of masks that look like maps of classes; none if all do.
    fn maps(&self, folders: &Folders) -> Vec<PathBuf> {
        if folders.len() > COMPARED {
            return Vec::new();
        }
        let images: Vec<&PathBuf> = folders.keys().filter(|folder| !is_mask(folder)).collect();
        let is_map = |folder: &&&PathBuf| map_of_classes(&folders[**folder], self.limits).is_some();
        let maps: Vec<PathBuf> = images.iter().filter(is_map).map(|folder| (*folder).clone()).collect();
        if maps.len() == images.len() { Vec::new() } else { maps }
    }

    /// A layout by a table whose column of labels is known; none, with a question, if it is not.
    pub(super) fn table(
        &mut self,
        file: &str,
        guess: &TableGuess,
        bands: Option<&BandFiles>,
    ) -> Result<Option<String>, DataError> {
        let columns = few(guess.labels.iter().map(|labels| &labels.column));
        let Some(labels) = guess.best() else {
            let found = if guess.labels.is_empty() {
                "no column looks like labels".to_owned()
            } else {
                format!("labels may be in {columns}")
            };
            let shares = if guess.shares.is_empty() {
                String::new()
            } else {
                format!(
                    "; numbers from 0 to 1, as shares of classes are, are in {} (`layout.targets`)",
                    few(&guess.shares)
                )
            };
            self.ask(format!(
                "`{}` names an image in each of its {} rows, but {found}{shares}: which column has the labels (`kind = \"table\"`)?",
                cut(file),
                guess.rows
            ));
            return Ok(None);
        };
        let (task, each) =
            if labels.several { ("multilabel", "one or more") } else { ("classification", "one") };
        let classes = counted(labels.classes.len(), "class");
        let _ = writeln!(
            self.head,
            "# `{}` has {}: `{}` names the image, and `{}` has {each} of {classes}.\ntask = \"{task}\"\nclasses = {}",
            cut(file),
            counted(guess.rows, "row"),
            cut(&guess.key),
            cut(&labels.column),
            list(labels.classes.iter().cloned())
        );
        self.ask(format!(
            "does the column `{}` of `{}` have the labels, and are these all classes? {classes} occur in {} rows",
            cut(&labels.column),
            cut(file),
            guess.rows
        ));
        if guess.labels.len() > 1 {
            self.ask(format!("columns that may be labels are {columns}: which one is?"));
        }
        if let Some((column, values)) = &guess.other_split {
            self.ask(format!(
                "`{}` has the values {}, and parts are called `train`, `validation` and `test`, so that it is not used: change the \
                 table and write `split`?",
                cut(column),
                few(values)
            ));
        }
        match bands.filter(|_| guess.by_scene) {
            Some(bands) => {
                self.named_bands(&bands.bands);
                let looked = self.looked(&guess.first)?;
                self.numbers(&looked);
            }
            None => self.bands(&guess.first)?,
        }
        for (path, count) in &guess.partial {
            let rows = guess.rows;
            self.ask(format!(
                "`{}` is there for {count} of {rows} rows, and not in `images`: is it needed?",
                cut(path)
            ));
        }
        if !guess.maps.is_empty() {
            let maps = few(guess.maps.iter().map(|folder| folder.to_string_lossy()));
            self.ask(format!("{maps} hold few different whole numbers, as maps of classes do, and are not in `images`: are they labels?"));
        }
        if guess.first.len() > 1 {
            self.ask("the bands of several paths are stacked in the order of `images`: is it right?");
        }
        let mut layout = format!(
            "kind = \"table\"\nfile = {}\nimages = {}\ntarget = {}\n",
            quoted(file),
            list(guess.images.iter().cloned()),
            quoted(&labels.column)
        );
        if let Some(split) = &guess.split {
            let _ = writeln!(layout, "# All of its values are names of parts.\nsplit = {}", quoted(split));
        }
        if let Some([lon, lat]) = &guess.place {
            let _ = writeln!(layout, "lon = {}\nlat = {}", quoted(lon), quoted(lat));
        }
        Ok(Some(layout))
    }

    /// A table beside masks, as a comment: only a person knows which labels are wanted.
    pub(super) fn table_as_comment(
        &mut self,
        file: &str,
        guess: &TableGuess,
        bands: Option<&BandFiles>,
    ) -> Result<(), DataError> {
        let mut other =
            Draft { root: self.root, limits: self.limits, head: String::new(), questions: Vec::new() };
        let Some(layout) = other.table(file, guess, bands)? else {
            self.questions.append(&mut other.questions);
            return Ok(());
        };
        self.ask(format!(
            "`{}` names an image in each of its {} rows and seems to have labels too: are those wanted, and not the masks? Their \
             lines are below, as comments",
            cut(file),
            guess.rows
        ));
        let _ = writeln!(self.head, "# By the table instead of the masks:");
        for line in other.head.lines().chain(std::iter::once("[layout]")).chain(layout.lines()) {
            let _ = writeln!(self.head, "# {line}");
        }
        Ok(())
    }
}
