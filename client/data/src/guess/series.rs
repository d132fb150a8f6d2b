//! Masks or targets with several images each, as months of one place, and masks whose names have a part that those of images
//! have not, or the other way round.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use eosfed_common::counted::counted;

use super::Draft;
use super::bands::image;
use super::folders::{Folders, is_mask, is_surely_mask};
use super::names::{Named, inside, parts, pattern_of, usual_ending};
use super::text::{cut, few, list, quoted, shown};
use crate::error::DataError;

/// Most folders whose names of files are compared.
const COMPARED: usize = 20;
/// Most different endings of names that are files of one image each, and no part of a pattern.
const FIXED: usize = 10;
/// The part of the images of one target.
const PART: &str = "part";

/// Folders whose files are named like those of another one and more: `agbm/A.tif`, and `s2/A_07.tif` and `s2/A_08.tif`.
pub(super) struct Series {
    /// What is stacked.
    pub(super) images: Vec<Images>,
    /// Patterns of images that are not stacked, as some of the first one's samples have none, with how many have not.
    pub(super) left_out: Vec<(String, usize)>,
    /// Number of samples.
    pub(super) samples: usize,
    /// The pattern of the masks or targets.
    pub(super) masks: String,
    /// Their folder.
    pub(super) folder: PathBuf,
    /// Files that are not used, as they have another ending than most of theirs.
    pub(super) others: Vec<PathBuf>,
    /// The values of the part of the images of one target; none if each has one image.
    pub(super) values: BTreeSet<String>,
    /// The part of a pattern that keeps the images of a target together.
    pub(super) group: String,
}

/// Images that a pattern finds.
pub(super) struct Images {
    pub(super) pattern: String,
    pub(super) folder: PathBuf,
    /// One of the files.
    pub(super) first: PathBuf,
}

/// The sample and, if it has several images, which one.
type Image = (String, Option<String>);

struct Group<'a> {
    pattern: String,
    folder: &'a PathBuf,
    files: BTreeMap<Image, &'a PathBuf>,
    /// Those of other endings.
    others: Vec<&'a PathBuf>,
}

impl Group<'_> {
    fn is_series(&self) -> bool {
        self.files.keys().any(|(_, part)| part.is_some())
    }

    /// How many of these samples have no file.
    fn lacks(&self, samples: &BTreeSet<Image>) -> usize {
        let there: BTreeSet<&str> = self.files.keys().map(|(id, _)| id.as_str()).collect();
        let has = |image: &&Image| {
            if self.is_series() { self.files.contains_key(*image) } else { there.contains(image.0.as_str()) }
        };
        samples.iter().filter(|image| !has(image)).count()
    }
}

impl Series {
    /// What may be such a folder of masks or targets, those that are named like one first. Of others, only those that have
    /// several images.
    pub(super) fn find(folders: &Folders) -> Vec<Self> {
        if folders.len() > COMPARED {
            return Vec::new();
        }
        let (named, others): (Vec<&PathBuf>, Vec<&PathBuf>) =
            folders.keys().partition(|folder| is_mask(folder));
        let around = |folder: &&PathBuf| {
            Self::around(folders, folder, false).or_else(|| Self::around(folders, folder, true))
        };
        let others = others.iter().filter_map(around).filter(|found| found.values.len() > 1);
        named.iter().filter_map(around).chain(others).collect()
    }

    /// The series of a folder of targets. If `suffix`, all of their names end with an equal part.
    fn around(folders: &Folders, targets: &Path, suffix: bool) -> Option<Self> {
        let files = &folders[targets];
        let ending = usual_ending(files)?;
        let stems = files.iter().filter_map(|file| parts(file)).filter(|(_, of)| *of == ending);
        let stems: Vec<&str> = stems.map(|(stem, _)| stem).collect();
        let suffix = if suffix { format!("_{}", stems.first()?.rsplit_once('_')?.1) } else { String::new() };
        let ids: BTreeSet<&str> =
            stems.iter().map(|stem| stem.strip_suffix(suffix.as_str())).collect::<Option<_>>()?;
        let Named { pattern, finest } = pattern_of(&ids, "sample")?;
        let mut groups = Vec::new();
        for (folder, files) in
            folders.iter().filter(|(folder, _)| folder.as_path() != targets && !is_mask(folder))
        {
            groups.extend(groups_of(folder, files, &ids, &pattern));
        }
        let equal_names =
            suffix.is_empty() && groups.iter().all(|group| group.pattern.contains(&format!("{pattern}.")));
        if equal_names {
            return None;
        }
        let masks = inside(targets, &format!("{pattern}{suffix}.{ending}"))?;
        let mut found = Self::stacked(&groups, masks, targets, finest)?;
        let usual = |file: &&PathBuf| parts(file).is_some_and(|(_, of)| of == ending);
        found.others.extend(files.iter().filter(|file| !usual(file)).cloned());
        Some(found)
    }

    /// Chooses the groups that are stacked: those that have all samples of one of them, so that most images are used.
    fn stacked(groups: &[Group<'_>], masks: String, targets: &Path, group: String) -> Option<Self> {
        let any = groups.iter().any(Group::is_series);
        // All parts of a pattern are in the first one.
        let firsts = groups.iter().filter(|first| !any || first.is_series());
        let stack = |first: &Group<'_>| {
            let samples: BTreeSet<Image> = first.files.keys().cloned().collect();
            let full = groups.iter().filter(|group| group.lacks(&samples) == 0).count();
            (samples.len() * full, samples)
        };
        let (first, (_, samples)) =
            firsts.map(|first| (first, stack(first))).rev().max_by_key(|(_, (used, _))| *used)?;
        let mut found = Self {
            images: Vec::new(),
            left_out: Vec::new(),
            samples: samples.len(),
            masks,
            folder: targets.to_owned(),
            values: samples.iter().filter_map(|(_, part)| part.clone()).collect(),
            group,
            others: groups.iter().flat_map(|group| &group.others).map(|file| (*file).clone()).collect(),
        };
        let rest = groups.iter().filter(|other| other.pattern != first.pattern);
        for group in std::iter::once(first).chain(rest) {
            match group.lacks(&samples) {
                0 => found.images.push(Images {
                    pattern: group.pattern.clone(),
                    folder: group.folder.clone(),
                    first: (*group.files.values().next()?).clone(),
                }),
                lacks => found.left_out.push((group.pattern.clone(), lacks)),
            }
        }
        Some(found)
    }
}

/// What of the rest of a name stays the same, and what says which image of a target it is: a date from its first number on, or
/// the last word.
fn before_and_last(rest: &str) -> (&str, &str) {
    let starts = std::iter::once(0).chain(rest.match_indices('_').map(|(at, _)| at + 1));
    let is_number = |at: &usize| {
        let token = rest[*at..].split('_').next().unwrap_or_default();
        !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit())
    };
    match starts.clone().find(is_number).or_else(|| starts.last()) {
        Some(at) if at > 0 => (&rest[..at - 1], &rest[at..]),
        _ => ("", rest),
    }
}

/// The name of a file of a sample.
struct Split<'a> {
    file: &'a PathBuf,
    ending: &'a str,
    id: &'a str,
    /// What follows, and stays the same in several images of a target.
    before: &'a str,
    /// What says which image it is; none if nothing follows.
    last: Option<&'a str>,
}

impl<'a> Split<'a> {
    /// If the first words of the name, so many, are those of a sample.
    fn of(file: &'a PathBuf, ids: &BTreeSet<&str>, words: usize) -> Option<Self> {
        let (stem, ending) = parts(file)?;
        let (id, rest) = match stem.match_indices('_').nth(words.checked_sub(1)?) {
            Some((at, _)) => (&stem[..at], Some(&stem[at + 1..])),
            None => (stem, None),
        };
        let (before, last) = rest.map_or(("", None), |rest| {
            let (before, last) = before_and_last(rest);
            (before, Some(last))
        });
        let whole = ids.contains(id) && last != Some("");
        whole.then_some(Self { file, ending, id, before, last })
    }
}

/// The groups of files of a folder, if the names of all begin with those of samples.
fn groups_of<'a>(
    folder: &'a PathBuf,
    files: &'a [PathBuf],
    ids: &BTreeSet<&str>,
    pattern: &str,
) -> Vec<Group<'a>> {
    let words = ids.first().map_or(1, |id| id.split('_').count());
    let split = files.iter().map(|file| Split::of(file, ids, words)).collect::<Option<Vec<_>>>();
    let mut alike: BTreeMap<(&str, bool), Vec<Split<'a>>> = BTreeMap::new();
    for split in split.unwrap_or_default() {
        alike.entry((split.before, split.last.is_some())).or_default().push(split);
    }
    let mut groups = Vec::new();
    for ((before, _), alike) in alike {
        let lasts: BTreeSet<Option<&str>> = alike.iter().map(|split| split.last).collect();
        // Words without a digit name what an image shows, as `_red`, and no date.
        let dated = lasts.iter().flatten().any(|last| last.contains(|c: char| c.is_ascii_digit()));
        let before = if before.is_empty() { String::new() } else { format!("_{before}") };
        let mut add = |split: &[&Split<'a>], end: &str, is_series: bool| {
            let ending = usual_ending(split.iter().map(|split| split.file))?;
            let pattern = inside(folder, &format!("{pattern}{before}{end}.{ending}"))?;
            let mut group = Group { pattern, folder, files: BTreeMap::new(), others: Vec::new() };
            for split in split {
                if split.ending == ending {
                    let part = split.last.filter(|_| is_series).map(str::to_owned);
                    group.files.insert((split.id.to_owned(), part), split.file);
                } else {
                    group.others.push(split.file);
                }
            }
            groups.push(group);
            Some(())
        };
        if lasts.len() > 1 && (dated || lasts.len() > FIXED) {
            let all: Vec<&Split<'a>> = alike.iter().collect();
            add(&all, &format!("_{{{PART}}}"), true);
            continue;
        }
        for last in lasts {
            let of: Vec<&Split<'a>> = alike.iter().filter(|split| split.last == last).collect();
            add(&of, &last.map_or_else(String::new, |last| format!("_{last}")), false);
        }
    }
    groups
}

impl Draft<'_> {
    /// Whether a folder is named like masks and no class, or the first of its files has one band.
    pub(super) fn may_be_target(&self, folders: &Folders, folder: &Path) -> bool {
        let one_band = |file: &PathBuf| image(file, self.limits).is_ok_and(|image| image.bands() == 1);
        is_surely_mask(folder) || folders[folder].first().is_some_and(one_band)
    }

    /// Several images for each mask or target, or masks that are named like images but for a fixed part.
    pub(super) fn series(
        &mut self,
        folders: &Folders,
        series: &[Series],
        at: usize,
    ) -> Result<String, DataError> {
        let found = &series[at];
        let targets = &folders[&found.folder];
        let folder = shown(&found.folder);
        let _ = writeln!(
            self.head,
            "# `{folder}` has {}; the names of {} begin like theirs.",
            counted(targets.len(), "file"),
            counted(found.samples, "image")
        );
        self.masks(&found.folder, targets)?;
        for other in series.iter().skip(at + 1) {
            self.ask(format!("does `{}` hold the labels, and not `{folder}`?", shown(&other.folder)));
        }
        for (pattern, lacks) in &found.left_out {
            let lacks = format!("{lacks} of {} have no file of it", counted(found.samples, "sample"));
            self.ask(format!("`{}` is not in `images`, as {lacks}: is it needed?", cut(pattern)));
        }
        if let Some(first) = found.others.first() {
            let shown = shown(first.strip_prefix(self.root).unwrap_or(first));
            let files = counted(found.others.len(), "file");
            self.ask(format!(
                "{files} with another ending than most, as `{shown}`, are not used: are they needed?"
            ));
        }
        let used: BTreeSet<&PathBuf> =
            found.images.iter().map(|images| &images.folder).chain([&found.folder]).collect();
        self.left_out(folders, |folder| used.contains(folder));
        let first: Vec<PathBuf> = found.images.iter().map(|images| images.first.clone()).collect();
        self.bands(&first)?;
        if first.len() > 1 {
            self.ask("the bands of several patterns are stacked in the order of `images`: is it right?");
        }
        let mut group = String::new();
        if found.values.len() > 1 {
            self.ask(format!(
                "each image is a sample, and several have one mask or target: is it right, and is `{{{PART}}}` a date? It has {}: {}",
                counted(found.values.len(), "value"),
                few(&found.values)
            ));
            group = format!("# Images of one target stay in one part.\ngroup = {}\n", quoted(&found.group));
        }
        let images = list(found.images.iter().map(|images| images.pattern.clone()));
        Ok(format!("kind = \"pattern\"\nimages = {images}\nmasks = {}\n{group}", quoted(&found.masks)))
    }
}
