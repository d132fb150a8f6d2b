//! The images of a scene, read window by window.

use std::path::PathBuf;

use eosfed_common::counted::counted;
use eosfed_data::{
    BandScaling, DataError, GeoReference, ImageFile, Limits, Reading, Valid, baseline_notes, choose_bands,
    unread_place_file,
};

use super::options::PredictOptions;
use super::plan::Plan;
use super::windows::Windows;
use crate::ensemble::error::EnsembleError;
use crate::ensemble::head_model::HeadModel;

/// The opened images.
pub(super) struct Scene {
    dates: Vec<Date>,
    valid: Valid,
    /// What is done to the values of each of the head's bands.
    scaling: BandScaling,
    pub(super) width: usize,
    pub(super) height: usize,
    /// Pixels that `valid` excludes, of the windows that were read in the order of the plan.
    pub(super) not_valid: u64,
}

/// The values of a window.
pub(super) struct Values {
    /// `[dates * bands, height, width]`, scaled; NaN where there is no data.
    pub(super) image: Vec<f32>,
    /// For each pixel, whether `valid` excludes it; empty without that rule.
    excluded: Vec<bool>,
}

/// The files of one date, whose bands are stacked.
struct Date {
    files: Vec<ImageFile>,
    /// Positions of the head's bands among those that the files give one after the other.
    positions: Vec<usize>,
    /// Those of the bands of `valid`.
    quality: Vec<usize>,
}

impl Scene {
    pub(super) fn open(options: &PredictOptions, head: &HeadModel) -> Result<Self, EnsembleError> {
        let first = &options.images[0][0];
        let wanted = head.file.task.dates();
        if options.images.len() != wanted {
            let reason = format!(
                "{} needs images of {}, found `{}`",
                head.file.task,
                counted(wanted, "date"),
                options.images.len()
            );
            return Err(EnsembleError::file(first, reason));
        }
        let valid = Valid::new(&options.reading);
        let open = |paths: &Vec<PathBuf>| Date::open(paths, options, head, &valid);
        let dates: Vec<Date> = options.images.iter().map(open).collect::<Result<_, _>>()?;
        let anchor = &dates[0].files[0];
        let (width, height) = (anchor.width(), anchor.height());
        for (date, paths) in dates.iter().zip(&options.images) {
            for (file, path) in date.files.iter().zip(paths) {
                if (file.width(), file.height()) != (width, height) || file.reference() != anchor.reference()
                {
                    let reason = format!(
                        "must lie on the same grid as {}, which has {width}x{height} pixels; found {}x{}. `gdalwarp` brings it \
                         there; `-r near` keeps the numbers of quality bands",
                        first.display(),
                        file.width(),
                        file.height()
                    );
                    return Err(EnsembleError::file(path, reason));
                }
            }
        }
        let scaling = options.reading.scaling(head.bands());
        Ok(Self { dates, valid, scaling, width, height, not_valid: 0 })
    }

    /// Channels of a window: the head's bands of all dates.
    pub(super) fn channels(&self) -> usize {
        self.dates.iter().map(|date| date.positions.len()).sum()
    }

    /// The georeference of the scene, if its first file has one.
    pub(super) fn reference(&self) -> Option<&GeoReference> {
        self.dates[0].files[0].reference()
    }

    /// What to know where the scene has no georeference and a file beside its first one says where it lies.
    pub(super) fn unread_place_file(&self, options: &PredictOptions) -> Option<String> {
        if self.reference().is_some() { None } else { unread_place_file(&options.images[0][0]) }
    }

    /// The ground sampling distance in metres in the middle of the scene, if it states it.
    pub(super) fn ground_sampling_distance(&self) -> Option<f64> {
        self.reference()?.ground_sampling_distance([self.width, self.height])
    }

    /// Metres from one column to the next in the middle of the scene, if it states it.
    pub(super) fn pixel_width(&self) -> Option<f64> {
        self.reference()?.pixel_width([self.width, self.height])
    }

    /// Reads the values of the windows of each forward pass, in the order of the plan, until `give` says that no
    /// more is wanted.
    pub(super) fn read(
        &mut self,
        plan: &Plan,
        windows: Windows,
        give: &dyn Fn(Vec<Vec<f32>>) -> bool,
    ) -> Result<(), EnsembleError> {
        for batch in plan.batches() {
            let mut images = Vec::with_capacity(batch.columns.len());
            for left in batch.columns {
                let Values { image, excluded } = self.values(*left, batch.top, windows)?;
                if !excluded.is_empty() {
                    let [columns, rows] = plan.own(&batch, *left);
                    let row = |y: usize| &excluded[(y - batch.top) * windows.width..][..windows.width];
                    let own = |y: usize| &row(y)[columns.start - left..columns.end - left];
                    let found: usize = rows.map(|y| own(y).iter().filter(|out| **out).count()).sum();
                    self.not_valid += found as u64;
                }
                images.push(image);
            }
            if !give(images) {
                break;
            }
        }
        Ok(())
    }

    /// What may be wrong about the processing baselines of its files.
    pub(super) fn baseline_notes(&self, options: &PredictOptions) -> Vec<String> {
        baseline_notes(&options.reading, self.dates.iter().flat_map(|date| &date.files))
    }

    /// The head's bands of all dates inside a window. Pixels that `valid` excludes at any date have no data.
    pub(super) fn values(
        &mut self,
        left: usize,
        top: usize,
        Windows { height, width, .. }: Windows,
    ) -> Result<Values, DataError> {
        let size = height * width;
        let mut image = Vec::with_capacity(size * self.channels());
        let mut excluded = vec![false; if self.valid.positions().is_empty() { 0 } else { size }];
        for Date { files, positions, quality } in &mut self.dates {
            let mut bands = Vec::new();
            for file in files {
                bands.extend(file.window(left, top, width, height)?);
            }
            for position in positions {
                let band = &bands[*position * size..][..size];
                image.extend(band);
            }
            for (at, excluded) in excluded.iter_mut().enumerate() {
                *excluded |= !self.valid.holds(quality.iter().map(|band| bands[*band * size + at]));
            }
        }
        self.scaling.apply(&mut image, size);
        for plane in image.chunks_exact_mut(size).filter(|_| !excluded.is_empty()) {
            let out = plane.iter_mut().zip(&excluded).filter(|(_, excluded)| **excluded);
            out.for_each(|(value, _)| *value = f32::NAN);
        }
        Ok(Values { image, excluded })
    }
}

impl Date {
    fn open(
        paths: &[PathBuf],
        options: &PredictOptions,
        head: &HeadModel,
        valid: &Valid,
    ) -> Result<Self, EnsembleError> {
        let first = &paths[0];
        let Reading { bands, file_bands, .. } = &options.reading;
        let open = |path: &PathBuf| options.reading.open(path, &Limits::of_scene());
        let mut files: Vec<ImageFile> = paths.iter().map(open).collect::<Result<_, DataError>>()?;
        let places: Vec<usize> = if file_bands.is_empty() {
            let found: usize = files.iter().map(ImageFile::bands).sum();
            if found != bands.len() {
                let reason = format!(
                    "the bands {} are declared, found `{found}` bands; name all, or take some of them by `--file-bands`",
                    bands.join(", ")
                );
                return Err(EnsembleError::file(first, reason));
            }
            (0..found).collect()
        } else {
            choose_bands(file_bands, &mut files)?
        };
        let position = |band: &String| {
            let found = bands.iter().position(|there| there == band).map(|at| places[at]);
            found.ok_or_else(|| {
                let reason = format!("the head needs band `{band}`; there are {}", bands.join(", "));
                EnsembleError::file(first, reason)
            })
        };
        let positions = head.bands().iter().map(position).collect::<Result<_, _>>()?;
        let quality = valid.positions().iter().map(|band| places[*band]).collect();
        Ok(Self { files, positions, quality })
    }
}
