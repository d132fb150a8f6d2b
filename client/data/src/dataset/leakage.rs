//! What samples of different parts share: ground, or whole files. A model that is scored on what it has learned from
//! looks better than it is.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use eosfed_common::digest::Digest;

use super::Dataset;
use super::contradictions::{Image, Outline, Seen, names};
use super::overlap::{Footprint, covering};
use crate::contents::{digest_of_file, digest_of_values};
use crate::split::Split;

/// A part, and the one that it must share nothing with.
const PAIRS: [[Split; 2]; 3] =
    [[Split::Validation, Split::Train], [Split::Test, Split::Train], [Split::Test, Split::Validation]];

/// Positions of images.
type Pair = (usize, usize);

impl Dataset {
    /// What parts share, in sentences: ground, and equal files.
    pub(super) fn shared(&self, images: &[Image<'_>], seen: &[Seen]) -> Vec<String> {
        let equal = equal_files(images, seen);
        let mut found = Vec::new();
        for [part, with] in PAIRS {
            let of = images.iter().filter(|image| image.part == part).count();
            let say = |pairs: &[Pair], what: &str, remedy: &str| {
                let &(one, other) = pairs.first()?;
                let paths = [images[one].path, images[other].path];
                let [part, with] = [part, with].map(word);
                Some(format!(
                    "{} of {of} {part} images {what} {with} images, such as {}, so that scores are too good; {remedy}",
                    pairs.len(),
                    names(self.path.parent(), paths)
                ))
            };
            found.extend(say(&overlaps(images, seen, [part, with]), "show ground of", self.apart()));
            let same = equal_of(images, &equal, [part, with]);
            found.extend(say(&same, "are the same files, byte for byte, as", "take one of each pair away"));
        }
        found
    }

    /// How images of one place come into one part.
    fn apart(&self) -> &'static str {
        if self.config.divides() && !self.config.split_by().uses_places() {
            "write `by = \"location\"` under `[split]`, or give images of one place one `group` in a table or pattern"
        } else {
            "give images of one place to one part, or take those at its edge away"
        }
    }
}

fn word(part: Split) -> &'static str {
    if part == Split::Train { "training" } else { part.name() }
}

/// Images of the first part, each with one of the second that shows a part of its ground.
fn overlaps(images: &[Image<'_>], seen: &[Seen], parts: [Split; 2]) -> Vec<Pair> {
    let [own, others] = parts.map(|part| {
        let placed = images.iter().zip(seen).enumerate();
        let placed = placed.filter(|(_, (image, _))| image.part == part);
        placed.filter_map(|(at, (_, seen))| Some((at, seen.outline.as_ref()?))).collect::<Vec<_>>()
    });
    let boxes = |list: &[(usize, &Outline)]| list.iter().map(|(_, outline)| outline.footprint).collect();
    let (tiles, candidates): (Vec<Footprint>, Vec<Footprint>) = (boxes(&own), boxes(&others));
    let covered = covering(&tiles, &candidates, |one, other| own[one].1.overlaps(others[other].1));
    let pairs = own.iter().zip(covered);
    pairs.filter_map(|((at, _), other)| Some((*at, others[other?].0))).collect()
}

/// Images of equal contents, by the position of the first of them. Only files of one length that begin alike are read.
fn equal_files(images: &[Image<'_>], seen: &[Seen]) -> BTreeMap<usize, Vec<usize>> {
    let mut alike: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (at, seen) in seen.iter().enumerate() {
        if let Some(beginning) = seen.beginning {
            alike.entry(beginning).or_default().push(at);
        }
    }
    alike.retain(|_, group| group.iter().any(|at| images[*at].part != images[group[0]].part));
    let mut equal: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (beginning, group) in alike {
        if beginning.is_whole() {
            equal.insert(group[0], group);
            continue;
        }
        let mut known: BTreeMap<Digest, usize> = BTreeMap::new();
        for at in group {
            let Ok(digest) = digest_of_file(images[at].path) else { continue };
            equal.entry(*known.entry(digest).or_insert(at)).or_default().push(at);
        }
    }
    equal
}

/// Images of the first part, each with an equal one of the second, in their order.
fn equal_of(
    images: &[Image<'_>],
    equal: &BTreeMap<usize, Vec<usize>>,
    [part, with]: [Split; 2],
) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::new();
    for group in equal.values() {
        let of = |wanted: Split| group.iter().copied().filter(move |at| images[*at].part == wanted);
        if let Some(other) = of(with).next() {
            pairs.extend(of(part).map(|at| (at, other)));
        }
    }
    pairs.sort_unstable();
    pairs
}

/// What parts share of the pixels that were read, also under other names and in other files: samples are added one by
/// one, and their digests kept.
#[derive(Default)]
pub(crate) struct EqualPixels {
    known: BTreeMap<Digest, (Split, String)>,
    /// The part, the one that it shares pixels with, how many samples, and the first of them.
    found: Vec<(Split, Split, usize, [String; 2])>,
}

impl EqualPixels {
    /// Adds a sample: its name, width and values. One whose values are all equal says nothing.
    pub(crate) fn add(&mut self, part: Split, key: &str, width: usize, values: &[f32]) {
        if values.iter().all(|value| value.to_bits() == values[0].to_bits()) {
            return;
        }
        let digest = digest_of_values(width, values);
        let (first, name) = match self.known.entry(digest) {
            Entry::Vacant(place) => {
                place.insert((part, key.to_owned()));
                return;
            }
            Entry::Occupied(known) => known.get().clone(),
        };
        if first == part {
            return;
        }
        match self.found.iter_mut().find(|(own, other, ..)| (*own, *other) == (part, first)) {
            Some((.., count, _)) => *count += 1,
            None => self.found.push((part, first, 1, [key.to_owned(), name])),
        }
    }

    /// What was found, in sentences.
    pub(crate) fn findings(&self) -> impl Iterator<Item = String> {
        self.found.iter().map(|(part, with, count, [one, other])| {
            let names = names(None, [Path::new(one), Path::new(other)]);
            let [part, with] = [*part, *with].map(word);
            format!(
                "{count} {part} samples have the same pixels as {with} samples, such as {names}, so that scores are too good; \
                 take one of each pair away"
            )
        })
    }
}
