//! Folders that may be classes.

use std::fmt::Write as _;
use std::path::PathBuf;

use eosfed_common::bands::known;
use eosfed_common::colour::Colour;
use eosfed_common::counted::counted;
use eosfed_plot::class_colours;

use super::Draft;
use super::bands::image;
use super::folders::{Folders, is_no_class, outermost};
use super::tables::TableGuess;
use super::text::{LISTED, cut, few, list, name, quoted, shown};
use crate::error::DataError;

/// Folders of which a file is opened.
const OPENED: usize = 100;

/// The colours that classes have without being given one, as an inline table.
fn colours(classes: &[String]) -> String {
    let colours = class_colours(classes, |_| None);
    let entry = |(class, colour): (&String, [u8; 3])| format!("{} = \"{}\"", quoted(class), Colour(colour));
    let entries: Vec<String> = classes.iter().zip(colours).map(entry).collect();
    format!("{{ {} }}", entries.join(", "))
}

impl Draft<'_> {
    pub(super) fn folders(
        &mut self,
        folders: &Folders,
        table: Option<&(String, TableGuess)>,
    ) -> Result<String, DataError> {
        let classes: Vec<String> = outermost(folders).iter().map(|folder| name(folder)).collect();
        let deeper = folders.keys().any(|folder| folder.iter().count() > 1);
        let _ = writeln!(
            self.head,
            "# Each folder is a class.\ntask = \"classification\"\nclasses = {}",
            list(classes.iter().cloned())
        );
        // A name with a line end would leave the comment.
        if !classes.iter().any(|class| class.contains(char::is_control)) {
            let _ = writeln!(
                self.head,
                "# Colours on maps, as they are without this line: by the meaning of names.\n# class_colours = {}",
                colours(&classes)
            );
        }
        self.ask("are the folders classes, and are these their names?");
        let first: Vec<PathBuf> =
            folders.values().filter_map(|files| files.first()).take(1).cloned().collect();
        self.bands(&first)?;
        let deeper =
            if deeper { "# Images also lie in folders inside of them.\ndeeper = true\n" } else { "" };
        let index = table.map_or_else(String::new, |(file, table)| self.index(folders, file, table));
        Ok(format!("kind = \"folders\"\nroot = \".\"\n{deeper}{index}"))
    }

    /// The line for a table that has the folder and the place of each image.
    fn index(&mut self, folders: &Folders, file: &str, table: &TableGuess) -> String {
        let images: usize = folders.values().map(Vec::len).sum();
        let each = format!(
            "`{}` names {} of {}, each in the folder that it gives",
            cut(file),
            table.rows,
            counted(images, "image")
        );
        if table.is_index(file) && table.rows == images {
            return format!(
                "# {each}, and their places: neighbours stay in one part.\nindex = {}\n",
                quoted(file)
            );
        }
        self.ask(format!(
            "{each}, and is not used: does it have more than the folders say, as places or parts?"
        ));
        String::new()
    }

    /// Whether folders may be classes: none is named like masks, not all are named like bands, and their files have equal
    /// numbers of bands.
    pub(super) fn are_classes(&mut self, folders: &Folders) -> bool {
        let outermost = outermost(folders);
        if let Some(masks) = outermost.iter().find(|folder| is_no_class(&name(folder))) {
            self.ask(format!(
                "`{}` is named like masks, so that folders are not taken for classes, but other folders have files without one of equal \
                 name in it: which masks belong to which images?",
                shown(masks)
            ));
            return false;
        }
        if outermost.iter().all(|folder| known(&name(folder)).is_some()) {
            let named = few(outermost.iter().map(|folder| folder.to_string_lossy()));
            self.ask(format!(
                "folders are named like bands ({named}) and not taken for classes: are their files bands of one image? A layout of kind \
                 `pattern` has `images = \"{{band}}/{{scene}}.tif\"`"
            ));
            return false;
        }
        let mut bands: Vec<(usize, &PathBuf)> = Vec::new();
        for (folder, files) in folders.iter().take(OPENED) {
            let file = files.first().and_then(|file| image(file, self.limits).ok());
            let found = file.map(|file| file.bands());
            if let Some(found) = found.filter(|found| bands.iter().all(|(other, _)| other != found)) {
                bands.push((found, folder));
            }
        }
        if bands.len() > 1 {
            let found = bands.iter().take(LISTED);
            let found =
                found.map(|(bands, folder)| format!("{} in `{}`", counted(*bands, "band"), shown(folder)));
            self.ask(format!(
                "files of classes have equal numbers of bands, found {}: which files are images, which are labels?",
                found.collect::<Vec<_>>().join(", ")
            ));
        }
        bands.len() <= 1
    }
}
