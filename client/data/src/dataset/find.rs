//! From a layout to the samples of a data set, each with the part it belongs to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::{Dataset, Entry, IGNORE, Item, Label, Scene, Source, Target};
use crate::config::{Layout, OneOrMany, SplitBy, Where};
use crate::error::DataError;
use crate::files;
use crate::raster::Raster;
use crate::split::Split;

/// Side of a block that the split by location keeps together, in tiles.
const BLOCK: usize = 2;

/// How images are cut.
#[derive(Debug, Clone, Copy)]
struct Tiling {
    side: usize,
    stride: usize,
}

impl Tiling {
    fn new(tile: u32, stride: Option<u32>) -> Self {
        Self { side: tile as usize, stride: stride.unwrap_or(tile) as usize }
    }
}

impl Dataset {
    /// The samples, and what is wrong with each file that could not be read.
    pub(super) fn find(&self) -> Result<(Vec<Entry>, Vec<String>), DataError> {
        let base = self.path.parent().unwrap_or_else(|| Path::new("."));
        match &self.config.layout {
            Layout::Folders { root, index, place } => {
                let items = self.folders(&base.join(root), index.as_deref(), place.as_ref())?;
                Ok((items.into_iter().map(whole).collect(), Vec::new()))
            }
            Layout::Pairs { images, after, masks, tile, stride } => {
                let items = self.pairs(base, images, after.as_ref(), &base.join(masks))?;
                self.whole_or_cut(items, tile.map(|tile| Tiling::new(tile, *stride)))
            }
            Layout::Table { tile, stride, .. } => {
                let items = self.table(base)?;
                self.whole_or_cut(items, tile.map(|tile| Tiling::new(tile, *stride)))
            }
            Layout::Scenes { images, after, masks, tile, stride } => {
                let tiling = Tiling::new(*tile, *stride);
                let mut entries = Vec::new();
                for (at, (image, mask)) in images.iter().zip(masks).enumerate() {
                    let dates = std::iter::once(image).chain(after.get(at));
                    let paths: Vec<_> = dates.map(|path| vec![base.join(path)]).collect();
                    let scene = Arc::new(self.scene(&paths, &Label::Raster(base.join(mask)))?);
                    self.cut(&image.to_string_lossy(), &scene, tiling, None, &mut entries);
                }
                Ok((entries, Vec::new()))
            }
        }
    }

    fn folders(
        &self,
        root: &Path,
        index: Option<&Path>,
        place: Option<&Where>,
    ) -> Result<Vec<Item>, DataError> {
        let mut found = files::in_class_folders(root, &self.config.classes)?;
        if let (Some(index), Some(place)) = (index, place) {
            let inside = files::placed(&root.join(index), place)?;
            found.retain(|(path, _)| path.strip_prefix(root).is_ok_and(|name| inside.contains(name)));
        }
        let item = |(image, class): (PathBuf, usize)| {
            let key = image.strip_prefix(root).unwrap_or(&image).to_string_lossy().into_owned();
            let part = Split::of(&key, &self.config.split);
            Item { key, part, images: vec![vec![image]], label: Label::Class(class) }
        };
        Ok(found.into_iter().map(item).collect())
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
            Item { key, part, images, label: Label::Raster(mask) }
        };
        Ok(files::matching(&folders, masks)?.into_iter().map(item).collect())
    }

    fn whole_or_cut(
        &self,
        items: Vec<Item>,
        tiling: Option<Tiling>,
    ) -> Result<(Vec<Entry>, Vec<String>), DataError> {
        let Some(tiling) = tiling else { return Ok((items.into_iter().map(whole).collect(), Vec::new())) };
        let scenes: Vec<_> = items.par_iter().map(|item| self.scene(&item.images, &item.label)).collect();
        let (mut entries, mut broken) = (Vec::new(), Vec::new());
        for (item, scene) in items.iter().zip(scenes) {
            match scene {
                // All tiles of an image stay in one part.
                Ok(scene) => self.cut(&item.key, &Arc::new(scene), tiling, Some(item.part), &mut entries),
                Err(error) => broken.push(error.to_string()),
            }
        }
        self.tolerable(&broken, items.len())?;
        Ok((entries, broken))
    }

    /// Tiles with at least one labelled pixel, and one with data in every band. Parts other than the training part get no tiles that
    /// overlap each other, and with the split by location none that overlap another part's.
    fn cut(
        &self,
        name: &str,
        scene: &Arc<Scene>,
        Tiling { side, stride }: Tiling,
        part: Option<Split>,
        entries: &mut Vec<Entry>,
    ) {
        let Raster { width, height, .. } = scene.dates[0];
        for top in (0..(height + 1).saturating_sub(side)).step_by(stride) {
            for left in (0..(width + 1).saturating_sub(side)).step_by(stride) {
                let key = format!("{name}@{left},{top}");
                let own = || self.tile_split(name, &key, left, top, side);
                let Some(split) = part.or_else(own) else { continue };
                let aligned = left % side == 0 && top % side == 0;
                if !(aligned || split == Split::Train) {
                    continue;
                }
                if scene.labelled(left, top, side) && self.has_data(scene, left, top, side) {
                    let source = Source::Tile { scene: Arc::clone(scene), left, top, side };
                    entries.push(Entry { key, split, source });
                }
            }
        }
    }

    /// Whether any pixel of the square has data in every band.
    fn has_data(&self, scene: &Scene, left: usize, top: usize, side: usize) -> bool {
        let width = scene.dates[0].width;
        let nodata = self.config.nodata.map(|value| value as f32);
        let valid = |at: usize| {
            let mut bands =
                scene.dates.iter().flat_map(|date| (0..date.bands).map(|band| date.band(band)[at]));
            bands.all(|value| value.is_finite() && Some(value) != nodata)
        };
        (top..top + side).flat_map(|y| (left..left + side).map(move |x| y * width + x)).any(valid)
    }

    fn tile_split(&self, name: &str, key: &str, left: usize, top: usize, side: usize) -> Option<Split> {
        let config = &self.config.split;
        if config.by == SplitBy::Digest {
            return Some(Split::of(key, config));
        }
        let block = side * BLOCK;
        let of = |x: usize, y: usize| Split::of(&format!("{name}#{},{}", x / block, y / block), config);
        let (right, bottom) = (left + side - 1, top + side - 1);
        let split = of(left, top);
        [of(right, top), of(left, bottom), of(right, bottom)]
            .iter()
            .all(|other| *other == split)
            .then_some(split)
    }
}

fn whole(Item { key, part, images, label }: Item) -> Entry {
    Entry { key, split: part, source: Source::Files { images, label } }
}

impl Scene {
    /// Whether any pixel of the square has a label.
    fn labelled(&self, left: usize, top: usize, side: usize) -> bool {
        let width = self.dates[0].width;
        let row = |row: usize| (top + row) * width + left;
        (0..side).map(row).any(|start| match &self.target {
            Target::Mask(mask) => mask[start..start + side].iter().any(|class| *class != IGNORE),
            Target::Values(values) => values[start..start + side].iter().any(|value| value.is_finite()),
            Target::Class(_) | Target::Classes(_) => true,
        })
    }
}
