//! A first `dataset.toml` for a folder of images: what can be guessed from names and from one image, with the questions
//! that only a person can answer.

mod bands;
mod masks;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bands::{Looked, proposed};
use eosfed_common::colour::Colour;
use eosfed_common::counted::counted;
use eosfed_plot::class_colours;
use masks::MaskValues;

use crate::config::FileBand;
use crate::error::DataError;
use crate::files::{each_below, is_image};
use crate::raster::Limits;
use crate::sample::IGNORE;

/// Words in the names of folders of masks.
const MASK_WORDS: [&str; 7] = ["mask", "label", "annotation", "target", "truth", "gt", "cover"];
/// Most files of a kind that is listed by name.
const LISTED: usize = 20;

/// A description that is to be checked by a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The text of `dataset.toml`, with comments.
    pub text: String,
    /// What the files do not say.
    pub questions: Vec<String>,
}

/// Files by the folder that they lie in, relative to the root.
type Folders = BTreeMap<PathBuf, Vec<PathBuf>>;

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
    let layout = match pairs(&folders) {
        Some((images, masks)) => draft.pairs(&folders, &images, &masks)?,
        None if class_folders(&folders) => draft.folders(&folders)?,
        None => draft.scenes(&folders)?,
    };
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

fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn list(texts: impl IntoIterator<Item = String>) -> String {
    let quoted: Vec<String> = texts.into_iter().map(|text| quoted(&text)).collect();
    format!("[{}]", quoted.join(", "))
}

/// The colours that classes have without being given one, as an inline table.
fn colours(classes: &[String]) -> String {
    let colours = class_colours(classes, |_| None);
    let entry = |(class, colour): (&String, [u8; 3])| format!("{} = \"{}\"", quoted(class), Colour(colour));
    let entries: Vec<String> = classes.iter().zip(colours).map(entry).collect();
    format!("{{ {} }}", entries.join(", "))
}

fn stems(files: &[PathBuf]) -> BTreeSet<&OsStr> {
    files.iter().filter_map(|file| file.file_stem()).collect()
}

/// Folders of images and one of masks with the same stems.
fn pairs(folders: &Folders) -> Option<(Vec<PathBuf>, PathBuf)> {
    let is_mask = |folder: &Path| {
        let name = name(folder).to_lowercase();
        MASK_WORDS.iter().any(|word| name.contains(word))
    };
    let (masks, files) = folders.iter().find(|(folder, _)| is_mask(folder))?;
    let wanted = stems(files);
    let alike = |(folder, files): (&PathBuf, &Vec<PathBuf>)| {
        (folder != masks && stems(files).is_subset(&wanted)).then(|| folder.clone())
    };
    let images: Vec<PathBuf> = folders.iter().filter_map(alike).collect();
    (!images.is_empty()).then(|| (images, masks.clone()))
}

/// Whether several folders have images, as those of classes do.
fn class_folders(folders: &Folders) -> bool {
    let first = |folder: &PathBuf| folder.iter().next().map(OsStr::to_owned);
    let classes: BTreeSet<_> = folders.keys().filter_map(first).collect();
    classes.len() > 1 && !folders.contains_key(Path::new(""))
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

    fn folders(&mut self, folders: &Folders) -> Result<String, DataError> {
        let classes: BTreeSet<String> =
            folders.keys().filter_map(|folder| Some(name(Path::new(folder.iter().next()?)))).collect();
        let classes: Vec<String> = classes.into_iter().collect();
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
        let first: Vec<&PathBuf> = folders.values().filter_map(|files| files.first()).take(1).collect();
        self.bands(&first)?;
        let deeper =
            if deeper { "# Images also lie in folders inside of them.\ndeeper = true\n" } else { "" };
        Ok(format!("kind = \"folders\"\nroot = \".\"\n{deeper}"))
    }

    fn pairs(&mut self, folders: &Folders, images: &[PathBuf], masks: &Path) -> Result<String, DataError> {
        let _ = writeln!(self.head, "# Each image has a mask of equal name in `{}`.", name(masks));
        self.masks(&folders[masks])?;
        let first: Vec<&PathBuf> = images.iter().filter_map(|folder| folders[folder].first()).collect();
        self.bands(&first)?;
        if images.len() > 1 {
            self.ask("the bands of several folders are stacked in the order of `images`: is it right?");
        }
        let images = list(images.iter().map(|folder| name(folder)));
        Ok(format!("kind = \"pairs\"\nimages = {images}\nmasks = {}\n", quoted(&name(masks))))
    }

    fn scenes(&mut self, folders: &Folders) -> Result<String, DataError> {
        let files: Vec<&PathBuf> = folders.values().flatten().collect();
        let _ = writeln!(
            self.head,
            "# The folders say nothing about labels.\ntask = \"segmentation\"\nclasses = [\"class_0\", \"class_1\"]"
        );
        self.ask("where are the labels? Masks beside scenes are `layout.masks`; for the other layouts see docs/reference/dataset.md");
        self.bands(&files[..1])?;
        let shown = files.iter().take(LISTED).map(|file| name(file.strip_prefix(self.root).unwrap_or(file)));
        let images = list(shown);
        let more = files.len().saturating_sub(LISTED);
        let more =
            if more > 0 { format!("# {more} more images are not listed here.\n") } else { String::new() };
        let more_keys = "# Pixels at each edge of a tile that the network sees but that are not judged.\n# halo = 32\n\
                         # Training tiles at other places in each epoch.\n# windows = \"random\"\n";
        Ok(format!("kind = \"scenes\"\n{more}images = {images}\nmasks = []\ntile = 256\n{more_keys}"))
    }

    /// What masks hold.
    fn masks(&mut self, files: &[PathBuf]) -> Result<(), DataError> {
        let MaskValues { looked_at, of, unreadable, values, is_classes } =
            MaskValues::of(files, self.limits)?;
        if unreadable > 0 {
            self.ask(format!(
                "{} cannot be read: `eosfed-client data inspect` says why; are they needed?",
                counted(unreadable, "mask")
            ));
        }
        if !is_classes {
            let _ = writeln!(
                self.head,
                "# The second files hold numbers that are no classes.\ntask = \"regression\"\nclasses = [\"target\"]"
            );
            self.ask("what is the target, and in which unit? Masks of colours have to become indices first");
            return Ok(());
        }
        let zero_and_high = values.iter().copied().eq([0, i64::from(IGNORE)]);
        let known: Vec<i64> =
            values.iter().copied().filter(|value| zero_and_high || *value != i64::from(IGNORE)).collect();
        let from_zero = known.iter().copied().eq(0..known.len() as i64);
        let names = list((0..known.len().max(2)).map(|at| format!("class_{at}")));
        let all = if looked_at + unreadable == of { String::new() } else { format!(" of {of}") };
        let verb = if looked_at == 1 { "holds" } else { "hold" };
        let _ = writeln!(
            self.head,
            "# {}{all} {verb} the values {known:?}.\ntask = \"segmentation\"\nclasses = {names}",
            counted(looked_at, "mask")
        );
        if !from_zero && known.len() > 1 {
            let _ = writeln!(self.head, "mask_values = {known:?}");
        }
        if !all.is_empty() {
            self.ask(format!(
                "{looked_at} of {of} masks were looked at: do others hold more values? Pixels of values that are not listed have no \
                 label, and `eosfed-client data inspect` counts them"
            ));
        }
        self.ask("what are the names of the classes, in the order of their values?");
        Ok(())
    }

    /// The bands of the files that are stacked, by their number.
    fn bands(&mut self, files: &[&PathBuf]) -> Result<(), DataError> {
        let mut looked = Looked { high: f32::MIN, ..Looked::default() };
        for file in files {
            looked = looked.and(Looked::at(file, self.limits)?);
        }
        let Looked { names, complex, high } = looked;
        let bands = names.len();
        if complex {
            let _ = writeln!(
                self.head,
                "# The files have complex numbers: \"amplitude\", or \"decibels\" for 20 log10 of it.\ncomplex = \"amplitude\""
            );
            self.ask(
                "the files have complex numbers, as radar processors write them before they are calibrated: should models see \
                 `amplitude` or `decibels`? The partners of a job need the same",
            );
        }
        match proposed(&names) {
            Some((names, chosen)) => self.some_bands(bands, &names, &chosen),
            None => self.all_bands(bands, high < 100.0 && !complex),
        }
        if high > 255.0 && !complex {
            let _ = writeln!(self.head, "# Numbers reach {high}.\n# scale = 0.0001");
            self.ask(
                "which factor makes reflectance of the numbers? The partners of a job need the same unit",
            );
        }
        Ok(())
    }

    /// So many bands; whether they may be backscatter in decibels.
    fn all_bands(&mut self, bands: usize, decibels: bool) {
        let sensor = match bands {
            3 => "rgb",
            13 => "sentinel2_l1c",
            12 => "sentinel2_l2a",
            10 => "sentinel2_land",
            2 if decibels => "sentinel1",
            _ => "",
        };
        if sensor.is_empty() {
            let names = list((1..=bands).map(|band| format!("b{band}")));
            let _ = writeln!(self.head, "# The files have {}.\nbands = {names}", counted(bands, "band"));
            self.ask(
                "what are the bands? Write names as `B04`, `red`, `nir` or `VV` in the order of the files",
            );
        } else {
            let _ = writeln!(
                self.head,
                "# The files have {}.\nsensor = {}",
                counted(bands, "band"),
                quoted(sensor)
            );
            self.ask(format!(
                "are the bands those of `{sensor}`, in its order? If not, name them in `bands`"
            ));
        }
    }

    /// Some of more bands than a model can have.
    fn some_bands(&mut self, bands: usize, names: &[String], chosen: &[FileBand]) {
        let shown = chosen.iter().map(|band| match band {
            FileBand::Number(number) => number.to_string(),
            FileBand::Text(text) => quoted(text),
        });
        let chosen = shown.collect::<Vec<_>>().join(", ");
        let _ = writeln!(
            self.head,
            "# The files have {bands} bands, more than a model can have: these are taken, by number from 1, description or \
             wavelength.\nbands = {}\nfile_bands = [{chosen}]",
            list(names.iter().cloned())
        );
        self.ask(format!(
            "which of the {bands} bands should models see? A partner's data need the same, of about the same wavelengths"
        ));
    }
}
