//! From a layout to the samples of a data set, each with the part it belongs to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::random_windows::RandomWindows;
use super::scene::entry;
use super::tiles::{Tile, Tiling};
use super::usable::Usable;
use super::{Dataset, Entry, Item, Label, Source};
use crate::config::{Layout, OneOrMany, SplitBy, Where};
use crate::error::DataError;
use crate::files;
use crate::open::stays_inside;
use crate::reasons::Skipped;
use crate::split::Split;

/// The samples of a data set.
pub(super) struct Found {
    /// The samples.
    pub(super) entries: Vec<Entry>,
    /// What is wrong with each file that could not be read.
    pub(super) broken: Skipped,
    /// Notes about the division into parts.
    pub(super) notes: Vec<String>,
    /// Random places of training tiles, if the data set asks for them.
    pub(super) windows: Option<RandomWindows>,
}

impl Found {
    /// Samples without notes.
    pub(super) fn all(entries: Vec<Entry>) -> Self {
        Self { entries, broken: Skipped::default(), notes: Vec::new(), windows: None }
    }
}

impl Dataset {
    /// The samples, in an order that does not depend on the file system.
    pub(super) fn find(&mut self) -> Result<Found, DataError> {
        let base = self.path.parent().unwrap_or_else(|| Path::new("."));
        let tiling = Tiling::new(self.config.layout.cut());
        match &self.config.layout {
            Layout::Folders { root, deeper, index, place } => {
                let root = files::below(base, root);
                let mut items = self.folders(&root, *deeper, index.as_deref(), place.as_ref())?;
                let notes = self.assign(&mut items)?;
                Ok(Found { notes, ..Found::all(items.into_iter().map(whole).collect()) })
            }
            Layout::Pairs { images, after, masks, .. } => {
                let items = self.pairs(base, images, after.as_ref(), &base.join(masks))?;
                self.whole_or_cut(items, tiling)
            }
            Layout::Pattern { .. } => {
                let items = self.by_pattern(base)?;
                self.whole_or_cut(items, tiling)
            }
            Layout::Table { .. } => {
                let (items, statements) = self.table(base)?;
                self.stated = statements.files;
                self.whole_or_cut(items, tiling)
            }
            Layout::Scenes { images, after, masks, .. } => {
                let named: Vec<_> =
                    images.iter().chain(after).chain(masks).map(|path| base.join(path)).collect();
                self.check_links(named.iter().map(|file| (folder_of(base, file), file.as_path())))?;
                let mut scenes = Vec::new();
                for (at, image) in images.iter().enumerate() {
                    // One file of polygons is for all.
                    let mask = masks.get(at).unwrap_or(&masks[0]);
                    let dates = std::iter::once(image).chain(after.get(at));
                    let paths: Vec<_> = dates.map(|path| vec![base.join(path)]).collect();
                    let scene = Arc::new(self.scene_files(&paths, &Label::of_file(base.join(mask)))?);
                    scenes.push((image.to_string_lossy().into_owned(), scene));
                }
                // Scenes are always cut.
                tiling.map_or_else(|| Ok(Found::all(Vec::new())), |tiling| self.divide(&scenes, tiling))
            }
        }
    }

    /// Gives samples their parts, where these do not follow from single samples. Returns notes.
    fn assign(&self, items: &mut [Item]) -> Result<Vec<String>, DataError> {
        if self.config.split_by() == SplitBy::Class {
            return Ok(self.split_by_class(items));
        }
        self.split_by_place(items)
    }

    fn folders(
        &self,
        root: &Path,
        deeper: bool,
        index: Option<&Path>,
        place: Option<&Where>,
    ) -> Result<Vec<Item>, DataError> {
        let mut found = files::in_class_folders(root, &self.config.classes, deeper)?;
        self.check_links(found.iter().map(|(path, _)| (root, path.as_path())))?;
        let positions = index.map(|index| files::positions(&root.join(index))).transpose()?;
        let position = |path: &Path| {
            let name = path.strip_prefix(root).ok()?;
            positions.as_ref()?.get(name).copied()
        };
        if let Some(place) = place {
            found.retain(|(path, _)| position(path).is_some_and(|[lon, lat]| place.contains(lon, lat)));
        }
        let by_index = index.is_some() && self.config.split_by().uses_places();
        let item = |(image, class): (PathBuf, usize)| {
            let key = image.strip_prefix(root).unwrap_or(&image).to_string_lossy().into_owned();
            let part = Split::of(&key, &self.config.split);
            let position = position(&image);
            if by_index && position.is_none() {
                let reason = "must have a row in `layout.index`, found none; add it, or write `by = \"digest\"` \
                              under `[split]`";
                return Err(DataError::file(&image, reason));
            }
            Ok(Item {
                key,
                group: None,
                part,
                position,
                images: vec![vec![image]],
                label: Label::Class(class),
            })
        };
        found.into_iter().map(item).collect()
    }

    fn pairs(
        &self,
        base: &Path,
        images: &OneOrMany,
        after: Option<&OneOrMany>,
        masks: &Path,
    ) -> Result<Vec<Item>, DataError> {
        let dates = std::iter::once(images).chain(after);
        let folders: Vec<Vec<PathBuf>> =
            dates.map(|list| list.list().iter().map(|folder| base.join(folder)).collect()).collect();
        let item = |files::Matched { images, mask }| {
            let key = images[0][0].file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let part = Split::of(&key, &self.config.split);
            Item { key, group: None, part, position: None, images, label: Label::of_file(mask) }
        };
        let all = files::are_polygons(masks);
        let polygons = self.config.polygons.is_some();
        let of_masks =
            if all { files::Masks::All(masks) } else { files::Masks::Folder { path: masks, polygons } };
        let matched = files::matching(&folders, &of_masks)?;
        let folder = if all { folder_of(base, masks) } else { masks };
        for files::Matched { images, mask } in &matched {
            let images = images.iter().zip(&folders).flat_map(|(files, folders)| folders.iter().zip(files));
            let images = images.map(|(folder, file)| (folder.as_path(), file.as_path()));
            self.check_links(images.chain([(folder, mask.as_path())]))?;
        }
        Ok(matched.into_iter().map(item).collect())
    }

    /// That files lie in the folder that the layout names, unless links may lead elsewhere.
    pub(super) fn check_links<'a>(
        &self,
        files: impl IntoIterator<Item = (&'a Path, &'a Path)>,
    ) -> Result<(), DataError> {
        if self.config.follow_links {
            return Ok(());
        }
        files.into_iter().try_for_each(|(folder, file)| stays_inside(folder, file))
    }

    fn whole_or_cut(&self, items: Vec<Item>, tiling: Option<Tiling>) -> Result<Found, DataError> {
        let mut items = items;
        let mut notes = self.assign(&mut items)?;
        let Some(tiling) = tiling else {
            return Ok(Found { notes, ..Found::all(items.into_iter().map(whole).collect()) });
        };
        let scenes: Vec<_> = items
            .par_iter()
            .map(|item| {
                let scene = self.scene_files(&item.images, &item.label)?;
                let usable = self.usable(&scene, tiling)?;
                Ok::<_, DataError>((scene, usable))
            })
            .collect();
        let mut entries = Vec::new();
        let mut broken = Skipped::default();
        let mut passed_over = 0;
        for (item, scene) in items.iter().zip(scenes) {
            match scene {
                // All tiles of an image stay in one part.
                Ok((scene, Usable { mut corners, passed_over: passed })) => {
                    passed_over += passed;
                    let scene = Arc::new(scene);
                    corners.retain(|corner| tiling.takes(item.part, *corner));
                    // They hide nothing from each other.
                    let tile = |corner| Tile { corner, tiling, hidden: Vec::new() };
                    let entry = |corner| entry(&item.key, item.part, &scene, tile(corner));
                    entries.extend(corners.into_iter().map(entry));
                }
                Err(error) => broken.add(&error),
            }
        }
        self.judged(broken.groups(), items.len(), items.len())?;
        notes.extend(self.passed_over(passed_over));
        Ok(Found { broken, notes, ..Found::all(entries) })
    }
}

/// The folder that a file stays in which a data set names by itself: that of the data set, or its own where
/// the data set names one elsewhere.
fn folder_of<'a>(base: &'a Path, file: &'a Path) -> &'a Path {
    let own = file.parent().unwrap_or(base);
    let inside = match (base.canonicalize(), own.canonicalize()) {
        (Ok(base), Ok(own)) => own.starts_with(base),
        _ => true,
    };
    if inside { base } else { own }
}

fn whole(Item { key, group: _, part, position: _, images, label }: Item) -> Entry {
    Entry { key, split: part, source: Source::Files { images, label } }
}
