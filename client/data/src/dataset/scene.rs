//! Scenes on the disk: what their files say about themselves is read when they are opened, and windows of their
//! pixels when they are asked for. No scene is decoded as a whole, unless its format (PNG, JPEG) allows nothing
//! else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::grids::Header;
use super::read::Scene;
use super::readers::{Opened, Readers, WindowReader};
use super::stack::StackPlan;
use super::{Dataset, Label};
use crate::error::DataError;
use crate::georeference::Grid;
use crate::sample::Target;

/// A scene of which windows are read.
pub(super) struct SceneFiles {
    pub(super) images: Vec<Vec<PathBuf>>,
    pub(super) label: Label,
    stacks: Vec<StackPlan>,
    pub(super) size: [usize; 2],
    pub(super) grid: Grid,
    pub(super) ground_sampling_distance: Option<f64>,
    pub(super) notes: Vec<String>,
    readers: Arc<Readers>,
}

impl SceneFiles {
    /// All files that it is read from.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let label = match &self.label {
            Label::Raster(path) => Some(path),
            Label::Class(_) | Label::Classes(_) => None,
        };
        self.images.iter().flatten().chain(label).map(PathBuf::as_path)
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
        let header =
            |path: &PathBuf| Ok::<_, DataError>(WindowReader::open(path, &self.limits, usize::MAX)?.header());
        let mut stacks = Vec::new();
        for paths in images {
            let headers: Vec<Header> = paths.iter().map(header).collect::<Result<_, _>>()?;
            stacks.push(self.plan(paths, &headers, &mut notes)?);
        }
        let first = self.same_size(&stacks, images, &mut notes)?;
        if let Label::Raster(path) = label {
            let found = WindowReader::open_label(path, &self.limits, self.config.task, usize::MAX)?.header();
            self.check_label(path, &found, &images[0][0], &first, &mut notes)?;
        }
        Ok(SceneFiles {
            images: images.to_vec(),
            label: label.clone(),
            stacks,
            size: first.size,
            grid: first.grid(),
            ground_sampling_distance: first.ground_sampling_distance(),
            notes,
            readers: Arc::clone(&self.readers),
        })
    }

    /// A square of a scene, in memory.
    pub(super) fn window(
        &self,
        scene: &SceneFiles,
        left: usize,
        top: usize,
        side: usize,
    ) -> Result<Scene, DataError> {
        scene.readers.with(
            scene.images.as_ptr().addr(),
            || self.open_scene(scene),
            |opened| {
                let mut dates = Vec::with_capacity(scene.stacks.len());
                for (plan, readers) in scene.stacks.iter().zip(&mut opened.dates) {
                    dates.push(plan.window(readers, [left, top], [side, side])?);
                }
                let target = self.window_label(scene, opened, left, top, side)?;
                let path = scene.images[0][0].clone();
                Ok(Scene { path, dates, target, notes: scene.notes.clone() })
            },
        )
    }

    /// The label of a square of a scene.
    pub(super) fn label_of(
        &self,
        scene: &SceneFiles,
        left: usize,
        top: usize,
        side: usize,
    ) -> Result<Target, DataError> {
        scene.readers.with(
            scene.images.as_ptr().addr(),
            || self.open_scene(scene),
            |opened| self.window_label(scene, opened, left, top, side),
        )
    }

    fn window_label(
        &self,
        scene: &SceneFiles,
        opened: &mut Opened,
        left: usize,
        top: usize,
        side: usize,
    ) -> Result<Target, DataError> {
        match (&scene.label, &mut opened.label) {
            (Label::Class(class), _) => Ok(Target::Class(*class)),
            (Label::Classes(classes), _) => Ok(Target::Classes(classes.clone())),
            (Label::Raster(path), Some(reader)) => {
                self.to_target(path, reader.window([left, top], [side, side])?)
            }
            (Label::Raster(path), None) => Err(DataError::file(path, "the label was not opened")),
        }
    }

    fn open_scene(&self, scene: &SceneFiles) -> Result<Opened, DataError> {
        let files = scene.files().count();
        let open = |path: &PathBuf| WindowReader::open(path, &self.limits, files);
        let dates = scene
            .images
            .iter()
            .map(|paths| paths.iter().map(open).collect::<Result<_, _>>())
            .collect::<Result<_, _>>()?;
        let label = match &scene.label {
            Label::Raster(path) => {
                Some(WindowReader::open_label(path, &self.limits, self.config.task, files)?)
            }
            Label::Class(_) | Label::Classes(_) => None,
        };
        Ok(Opened { dates, label })
    }
}
