//! The images of a scene, read window by window.

use std::path::PathBuf;

use eosfed_data::{DataError, GeoReference, GeoTiff, Limits, choose_bands};

use super::options::PredictOptions;
use super::plan::Plan;
use super::windows::Windows;
use crate::ensemble::error::EnsembleError;
use crate::ensemble::head_model::HeadModel;

/// The opened images.
pub(super) struct Scene {
    dates: Vec<Date>,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// The files of one date, whose bands are stacked.
struct Date {
    files: Vec<GeoTiff>,
    /// Positions of the head's bands among those that the files give one after the other.
    positions: Vec<usize>,
}

impl Scene {
    pub(super) fn open(options: &PredictOptions, head: &HeadModel) -> Result<Self, EnsembleError> {
        let first = &options.images[0][0];
        let wanted = head.file.task.dates();
        if options.images.len() != wanted {
            let reason = format!(
                "{} needs images of {wanted} date(s), found `{}`",
                head.file.task,
                options.images.len()
            );
            return Err(EnsembleError::file(first, reason));
        }
        let dates: Vec<Date> =
            options.images.iter().map(|paths| Date::open(paths, options, head)).collect::<Result<_, _>>()?;
        let anchor = &dates[0].files[0];
        let (width, height) = (anchor.width(), anchor.height());
        for (date, paths) in dates.iter().zip(&options.images) {
            for (file, path) in date.files.iter().zip(paths) {
                if (file.width(), file.height()) != (width, height) || file.reference() != anchor.reference()
                {
                    let reason = format!("must lie on the same grid as {}", first.display());
                    return Err(EnsembleError::file(path, reason));
                }
            }
        }
        Ok(Self { dates, width, height })
    }

    /// Channels of a window: the head's bands of all dates.
    pub(super) fn channels(&self) -> usize {
        self.dates.iter().map(|date| date.positions.len()).sum()
    }

    /// The georeference of the scene, if its first file has one.
    pub(super) fn reference(&self) -> Option<&GeoReference> {
        self.dates[0].files[0].reference()
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
        options: &PredictOptions,
        give: &dyn Fn(Vec<Vec<f32>>) -> bool,
    ) -> Result<(), EnsembleError> {
        for (top, columns) in plan.batches() {
            let values = columns.iter().map(|left| self.values(*left, top, windows, options));
            if !give(values.collect::<Result<_, _>>()?) {
                break;
            }
        }
        Ok(())
    }

    /// The head's bands of all dates inside a window, `[dates * bands, height, width]`, scaled; NaN
    /// where there is no data.
    pub(super) fn values(
        &mut self,
        left: usize,
        top: usize,
        Windows { height, width, .. }: Windows,
        options: &PredictOptions,
    ) -> Result<Vec<f32>, DataError> {
        let scale = options.scale as f32;
        let offset = options.offset as f32;
        let size = height * width;
        let mut values = Vec::with_capacity(size * self.channels());
        for Date { files, positions } in &mut self.dates {
            let mut bands = Vec::new();
            for file in files {
                bands.extend(file.window(left, top, width, height)?);
            }
            for position in positions {
                let band = &bands[*position * size..][..size];
                values.extend(band.iter().map(|value| value * scale + offset));
            }
        }
        Ok(values)
    }
}

impl Date {
    fn open(paths: &[PathBuf], options: &PredictOptions, head: &HeadModel) -> Result<Self, EnsembleError> {
        let first = &paths[0];
        let open = |path: &PathBuf| {
            let PredictOptions { complex, nodata, .. } = options;
            GeoTiff::open_described(path, &Limits::default(), *complex, *nodata, options.scaling())
        };
        let mut files: Vec<GeoTiff> = paths.iter().map(open).collect::<Result<_, DataError>>()?;
        let places: Vec<usize> = if options.file_bands.is_empty() {
            let found: usize = files.iter().map(GeoTiff::bands).sum();
            if found != options.bands.len() {
                let reason = format!(
                    "the bands {} are declared, found `{found}` bands; name all, or take some of them by `--file-bands`",
                    options.bands.join(", ")
                );
                return Err(EnsembleError::file(first, reason));
            }
            (0..found).collect()
        } else {
            choose_bands(&options.file_bands, &mut files)?
        };
        let position = |band: &String| {
            let found = options.bands.iter().position(|there| there == band).map(|at| places[at]);
            found.ok_or_else(|| {
                let reason = format!("the head needs band `{band}`; there are {}", options.bands.join(", "));
                EnsembleError::file(first, reason)
            })
        };
        let positions = head.bands().iter().map(position).collect::<Result<_, _>>()?;
        Ok(Self { files, positions })
    }
}
