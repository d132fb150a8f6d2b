//! Scenes on the disk: what their files say about themselves is read when they are opened, and windows of their
//! pixels when they are asked for. No scene is decoded as a whole, unless its format (PNG, JPEG) allows nothing
//! else.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::grids::Header;
use super::notes::Note;
use super::polygons::POLYGON_BLOCK;
use super::read::Scene;
use super::readers::{Opened, Readers, Stored, WindowReader};
use super::stack::StackPlan;
use super::tiles::{Tile, key};
use super::unlisted::Unlisted;
use super::window::Window;
use super::{Dataset, Entry, Label, Source};
use crate::error::DataError;
use crate::georeference::Grid;
use crate::raster::Raster;
use crate::sample::{Judged, Target};
use crate::split::Split;

/// A scene of which windows are read.
pub(super) struct SceneFiles {
    pub(super) images: Vec<Vec<PathBuf>>,
    pub(super) label: Label,
    /// How the pixels of the images are stored.
    pub(super) stored: Stored,
    /// Width and height of what is decoded together of the label's file.
    pub(super) label_block: [usize; 2],
    stacks: Vec<StackPlan>,
    pub(super) size: [usize; 2],
    pub(super) grid: Grid,
    pub(super) ground_sampling_distance: Option<f64>,
    pub(super) notes: Vec<Note>,
    readers: Arc<Readers>,
}

impl SceneFiles {
    /// All files that it is read from.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.images.iter().flatten().chain(self.label.file()).map(PathBuf::as_path)
    }
}

impl Window {
    fn images(self, scene: &SceneFiles, opened: &mut Opened) -> Result<Vec<Raster>, DataError> {
        let dates = scene.stacks.iter().zip(&mut opened.dates);
        dates.map(|(plan, readers)| plan.window(readers, self.corner, self.size)).collect()
    }
}

impl Dataset {
    /// Opens the files of a scene and compares their grids. No pixel is read.
    pub(super) fn scene_files(
        &self,
        images: &[Vec<PathBuf>],
        label: &Label,
    ) -> Result<SceneFiles, DataError> {
        let mut notes = Vec::new();
        let open = |path: &PathBuf| {
            let reader = self.open_image(path, usize::MAX)?;
            Ok::<_, DataError>((reader.header(), reader.stored()))
        };
        let mut stacks = Vec::new();
        let mut stored: Option<Stored> = None;
        for paths in images {
            let files: Vec<_> = paths.iter().map(open).collect::<Result<_, _>>()?;
            stored = files.iter().map(|(_, stored)| *stored).chain(stored).reduce(Stored::and);
            let headers: Vec<Header> = files.into_iter().map(|(header, _)| header).collect();
            stacks.push(self.plan(paths, &headers, &mut notes)?);
        }
        let first = self.same_size(&stacks, images, &mut notes)?;
        let stored = stored.unwrap_or(Stored { complete: false, block: first.size });
        let mut label_block = first.size;
        match label {
            Label::Raster(path) => {
                let reader = self.open_label(path, usize::MAX)?;
                label_block = reader.stored().block;
                self.check_label(path, &reader.header(), &images[0][0], &first, &mut notes)?;
            }
            Label::Polygons(path) => {
                label_block = POLYGON_BLOCK;
                self.polygons_for(path, &images[0][0], &first.grid())?;
            }
            Label::Class(_) | Label::Classes(_) => {}
        }
        Ok(SceneFiles {
            images: images.to_vec(),
            label: label.clone(),
            stored,
            label_block,
            stacks,
            size: first.size,
            grid: first.grid(),
            ground_sampling_distance: first.ground_sampling_distance(),
            notes,
            readers: Arc::clone(&self.readers),
        })
    }

    /// A tile of a scene, in memory, without the pixels that it must not show and the labels that are not judged.
    pub(super) fn tile(&self, scene: &SceneFiles, tile: &Tile) -> Result<Scene, DataError> {
        let window = tile.tiling.shown(tile.corner);
        self.with_files(scene, |opened| {
            let mut dates = window.images(scene, opened)?;
            for hidden in &tile.hidden {
                dates.iter_mut().for_each(|date| hide(date, hidden.within(window)));
            }
            let mut unlisted = Unlisted::default();
            let mut target = self.window_label(scene, opened, window, &mut unlisted)?;
            let judged = (tile.tiling.halo > 0).then(|| {
                let [columns, rows] = tile.tiling.judged(tile.corner, scene.size).within(window);
                Judged { columns, rows }
            });
            if let Some(judged) = &judged {
                judged.clear_others(&mut target, window.size[0]);
            }
            let path = scene.images[0][0].clone();
            Ok(Scene { path, dates, target, judged, unlisted, notes: scene.notes.clone() })
        })
    }

    /// The images of a window of a scene, one for each date.
    pub(super) fn images_of(&self, scene: &SceneFiles, window: Window) -> Result<Vec<Raster>, DataError> {
        self.with_files(scene, |opened| window.images(scene, opened))
    }

    /// The label of a window of a scene.
    pub(super) fn label_of(&self, scene: &SceneFiles, window: Window) -> Result<Target, DataError> {
        self.with_files(scene, |opened| self.window_label(scene, opened, window, &mut Unlisted::default()))
    }

    fn with_files<T>(
        &self,
        scene: &SceneFiles,
        work: impl FnOnce(&mut Opened) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        scene.readers.with(scene.images.as_ptr().addr(), || self.open_scene(scene), work)
    }

    fn window_label(
        &self,
        scene: &SceneFiles,
        opened: &mut Opened,
        Window { corner, size }: Window,
        unlisted: &mut Unlisted,
    ) -> Result<Target, DataError> {
        match (&scene.label, &mut opened.label) {
            (Label::Class(class), _) => Ok(Target::Class(*class)),
            (Label::Classes(classes), _) => Ok(Target::Classes(classes.clone())),
            (Label::Raster(path), Some(reader)) => {
                self.to_target(path, reader.window(corner, size)?, unlisted)
            }
            (Label::Polygons(path), _) => self
                .polygon_mask(path, &scene.images[0][0], &scene.grid, Window { corner, size })
                .map(Target::Mask),
            (Label::Raster(path), None) => Err(DataError::file(path, "the label was not opened")),
        }
    }

    fn open_scene(&self, scene: &SceneFiles) -> Result<Opened, DataError> {
        let files = scene.files().count();
        let open = |path: &PathBuf| self.open_image(path, files);
        let mut dates: Vec<Vec<WindowReader>> = scene
            .images
            .iter()
            .map(|paths| paths.iter().map(open).collect::<Result<_, _>>())
            .collect::<Result<_, _>>()?;
        scene.stacks.iter().zip(&mut dates).for_each(|(plan, readers)| plan.choose(readers));
        let label = match &scene.label {
            Label::Raster(path) => Some(self.open_label(path, files)?),
            Label::Class(_) | Label::Classes(_) | Label::Polygons(_) => None,
        };
        Ok(Opened { dates, label })
    }
}

/// A tile of a scene as a sample.
pub(super) fn entry(name: &str, split: Split, scene: &Arc<SceneFiles>, tile: Tile) -> Entry {
    Entry { key: key(name, tile.corner), split, source: Source::Tile { scene: Arc::clone(scene), tile } }
}

/// Takes the data of pixels away, in every band.
fn hide(image: &mut Raster, [columns, rows]: [Range<usize>; 2]) {
    for band in image.data.chunks_exact_mut(image.width * image.height) {
        for row in rows.clone() {
            band[row * image.width..][columns.clone()].fill(f32::NAN);
        }
    }
}
