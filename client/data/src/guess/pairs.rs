//! Images and masks of equal names.

use std::fmt::Write as _;
use std::path::PathBuf;

use eosfed_common::counted::counted;

use super::Draft;
use super::folders::{Folders, Pairs, named_pairs, possible_pairs};
use super::masks::map_of_classes;
use super::text::{few, list, name, quoted, shown};
use crate::error::DataError;

impl Draft<'_> {
    /// Folders of images and one of masks with equal names: one that is named like masks, or else one that holds few different
    /// whole numbers beside others that do not.
    pub(super) fn find_pairs(&mut self, folders: &Folders) -> Option<Pairs> {
        let classes = |folder: &PathBuf| map_of_classes(&folders[folder], self.limits);
        let mut named = named_pairs(folders);
        named.retain(|pairs| self.may_be_target(folders, &pairs.masks));
        if !named.is_empty() {
            let chosen = if named.len() == 1 {
                None
            } else {
                named.iter().position(|pairs| classes(&pairs.masks).is_some())
            };
            let chosen = named.remove(chosen.unwrap_or(0));
            for other in named {
                self.ask(format!(
                    "does `{}` hold the labels, and not `{}`?",
                    shown(&other.masks),
                    shown(&chosen.masks)
                ));
            }
            return Some(chosen);
        }
        let found = possible_pairs(folders).into_iter();
        let maps = found.filter_map(|pairs| classes(&pairs.masks).map(|map| (map.values.len(), pairs)));
        let maps: Vec<(usize, Pairs)> = maps.collect();
        let is_map = |folder: &PathBuf| maps.iter().any(|(_, pairs)| pairs.masks == *folder);
        let (values, Pairs { masks, images }) =
            maps.iter().rev().max_by_key(|(values, _)| *values).map(|(values, pairs)| (*values, pairs))?;
        let masks = masks.clone();
        let images: Vec<PathBuf> = images.iter().filter(|folder| !is_map(folder)).cloned().collect();
        if images.is_empty() {
            return None;
        }
        let like = few(images.iter().map(|folder| folder.to_string_lossy()));
        self.ask(format!(
            "no folder is named like masks; `{}` holds {values} different whole numbers, and its files are named like those of {like}: \
             does it hold the labels?",
            shown(&masks)
        ));
        Some(Pairs { images, masks })
    }

    pub(super) fn pairs(
        &mut self,
        folders: &Folders,
        Pairs { images, masks }: Pairs,
    ) -> Result<String, DataError> {
        let files = &folders[&masks];
        let _ = writeln!(
            self.head,
            "# Each image has a mask of equal name in `{}`, which has {}.",
            shown(&masks),
            counted(files.len(), "file")
        );
        self.left_out(folders, |folder| *folder == masks || images.contains(folder));
        self.masks(&masks, files)?;
        let images = self.without_maps(folders, images);
        let first: Vec<PathBuf> =
            images.iter().filter_map(|folder| folders[folder].first()).cloned().collect();
        self.bands(&first)?;
        if images.len() > 1 {
            self.ask("the bands of several folders are stacked in the order of `images`: is it right?");
        }
        let images = list(images.iter().map(|folder| name(folder)));
        Ok(format!("kind = \"pairs\"\nimages = {images}\nmasks = {}\n", quoted(&name(&masks))))
    }

    /// Leaves out folders whose files look like maps of classes: models must not see labels. If all do, they stay.
    fn without_maps(&mut self, folders: &Folders, images: Vec<PathBuf>) -> Vec<PathBuf> {
        let look = |folder: PathBuf| (map_of_classes(&folders[&folder], self.limits), folder);
        let (maps, others): (Vec<_>, Vec<_>) =
            images.into_iter().map(look).partition(|(map, _)| map.is_some());
        let none = others.is_empty();
        for (map, folder) in &maps {
            let (Some(map), folder) = (map, shown(folder)) else { continue };
            let range = map.values.first().zip(map.values.last());
            let range = range.map_or_else(String::new, |(low, high)| format!(" from {low} to {high}"));
            let evidence = format!(
                "{} of {} of `{folder}` were looked at and have one band with {} different whole numbers{range}, as maps of classes have",
                map.looked_at,
                counted(map.of, "file"),
                map.values.len()
            );
            if none {
                self.ask(format!("{evidence}: are they images, and no labels?"));
            } else {
                let _ =
                    writeln!(self.head, "# `{folder}` is not in `images`: it looks like a map of classes.");
                self.ask(format!(
                    "{evidence}, so that it is not in `images`: does it hold labels, which models must not see? If it is measured, add it"
                ));
            }
        }
        if none { maps } else { others }.into_iter().map(|(_, folder)| folder).collect()
    }
}
