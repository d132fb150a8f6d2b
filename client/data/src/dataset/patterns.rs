//! The layout `pattern`: files with equal named parts in their paths are one sample.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Dataset, Item, Label};
use crate::config::{BAND, CLASS, Layout, OneOrMany, Parts, Pattern, SplitBy, one_for_all};
use crate::error::DataError;
use crate::files::{below, images_below};
use crate::gdal_file::is_image_folder;
use crate::split::Split;

/// The files of a sample that the first pattern has found, and how the path names the band of each.
#[derive(Default)]
struct Group {
    parts: Parts,
    /// For each band of the data set.
    bands: Vec<Option<String>>,
    /// One of its files.
    first: PathBuf,
}

/// Where masks are.
enum Masks {
    /// A file for each sample.
    Each(Pattern),
    /// One file of polygons for all.
    All(PathBuf),
}

impl Dataset {
    /// The samples of a layout of patterns.
    pub(super) fn by_pattern(&self, base: &Path) -> Result<Vec<Item>, DataError> {
        let Layout::Pattern { root, images, after, masks, group, .. } = &self.config.layout else {
            return Ok(Vec::new());
        };
        let root = below(base, root);
        let patterns = |list: &OneOrMany| {
            list.list().iter().map(|text| self.pattern(text)).collect::<Result<Vec<_>, _>>()
        };
        let dates: Vec<Vec<Pattern>> =
            std::iter::once(images).chain(after).map(patterns).collect::<Result<_, _>>()?;
        let masks = masks.as_ref().map(|mask| self.masks(&root, mask)).transpose()?;
        let groups = self.groups(&root, &dates[0][0])?;
        let mut items = Vec::with_capacity(groups.len());
        for found in groups.values() {
            let images = dates.iter().map(|date| self.paths(&root, date, found)).collect::<Result<_, _>>()?;
            let label = match &masks {
                Some(Masks::Each(masks)) => {
                    Label::of_file(existing(&root, masks, &found.parts, &found.first)?)
                }
                Some(Masks::All(file)) => Label::of_file(file.clone()),
                None => Label::Class(self.class(found)?),
            };
            let values = found.parts.values().map(String::as_str).collect::<Vec<_>>();
            let key = values.join("/");
            let of = group.as_ref().and_then(|part| found.parts.get(part)).unwrap_or(&key);
            let by_class = self.config.split_by() == SplitBy::Class;
            let part = Split::of(of, &self.config.split);
            let group = group.is_some().then(|| of.clone()).filter(|_| by_class);
            let item = Item { part, key, group, position: None, images, label };
            let files = item.images.iter().flatten().chain(item.label.file());
            self.check_links(files.map(|file| (root.as_path(), file.as_path())))?;
            items.push(item);
        }
        Ok(items)
    }

    fn pattern(&self, text: &str) -> Result<Pattern, DataError> {
        Pattern::parse(text).map_err(|rule| DataError::unfit(&self.path, format!("must be {rule}")))
    }

    fn masks(&self, root: &Path, text: &str) -> Result<Masks, DataError> {
        if one_for_all(text) { Ok(Masks::All(root.join(text))) } else { self.pattern(text).map(Masks::Each) }
    }

    /// The samples by the values of their parts, other than the band.
    fn groups(&self, root: &Path, first: &Pattern) -> Result<BTreeMap<Vec<String>, Group>, DataError> {
        let mut groups: BTreeMap<Vec<String>, Group> = BTreeMap::new();
        for path in images_below(root)? {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy();
            let Some(mut parts) = first.matched(&name) else { continue };
            let band = parts.remove(BAND);
            let at = match &band {
                // Bands that the data set does not name are not used.
                Some(name) => match self.band_of(name) {
                    Some(at) => at,
                    None => continue,
                },
                None => 0,
            };
            let known = |class: &String| self.config.classes.contains(class);
            if parts.get(CLASS).is_some_and(|class| !known(class)) {
                continue;
            }
            let group = groups.entry(parts.values().cloned().collect()).or_insert_with(|| Group {
                parts,
                bands: vec![None; self.config.bands.len()],
                first: path.clone(),
            });
            if let Some(other) = &group.bands[at] {
                let reason = format!("its band must be in one file, found `{other}` too");
                return Err(DataError::file(&path, reason));
            }
            group.bands[at] = Some(band.unwrap_or_default());
        }
        Ok(groups)
    }

    /// The position of a band that a path calls so.
    fn band_of(&self, name: &str) -> Option<usize> {
        let name = self.config.sensor.and_then(|sensor| sensor.canonical(name)).unwrap_or(name);
        self.config.bands.iter().position(|band| band == name)
    }

    fn paths(&self, root: &Path, date: &[Pattern], found: &Group) -> Result<Vec<PathBuf>, DataError> {
        let mut paths = Vec::new();
        for pattern in date {
            if !pattern.parts().any(|part| part == BAND) {
                paths.push(existing(root, pattern, &found.parts, &found.first)?);
                continue;
            }
            for (name, band) in self.config.bands.iter().zip(&found.bands) {
                let Some(band) = band else {
                    let reason = format!("there must be a file of the band `{name}` beside it, found none");
                    return Err(DataError::file(&found.first, reason));
                };
                let mut parts = found.parts.clone();
                parts.insert(BAND.to_owned(), band.clone());
                paths.push(existing(root, pattern, &parts, &found.first)?);
            }
        }
        Ok(paths)
    }

    fn class(&self, found: &Group) -> Result<usize, DataError> {
        let class = found
            .parts
            .get(CLASS)
            .and_then(|name| self.config.classes.iter().position(|class| class == name));
        class.ok_or_else(|| DataError::file(&found.first, "its path must have a class, found none"))
    }
}

/// The file that a pattern gives.
fn existing(root: &Path, pattern: &Pattern, parts: &Parts, beside: &Path) -> Result<PathBuf, DataError> {
    let path = pattern.filled(parts).map(|name| root.join(name));
    match path {
        Some(path) if path.is_file() || is_image_folder(&path) => Ok(path),
        Some(path) => Err(DataError::file(
            beside,
            format!("there must be a file {} for it, found none", path.display()),
        )),
        None => Err(DataError::file(beside, "its path must have the parts of all patterns, found fewer")),
    }
}
