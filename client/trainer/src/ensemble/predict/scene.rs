//! The images of a scene, read window by window.

use std::path::PathBuf;

use eosfed_data::{DataError, GeoReference, GeoTiff, Limits};

use super::options::PredictOptions;
use super::plan::Plan;
use super::windows::Windows;
use crate::ensemble::error::EnsembleError;
use crate::ensemble::head_model::HeadModel;

/// The opened images.
pub(super) struct Scene {
    /// The files of each date, whose bands are stacked.
    dates: Vec<Vec<GeoTiff>>,
    pub(super) width: usize,
    pub(super) height: usize,
    /// Positions of the head's bands among the stacked ones.
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
        let open = |path: &PathBuf| GeoTiff::open(path, &Limits::default());
        let dates: Vec<Vec<GeoTiff>> = options
            .images
            .iter()
            .map(|stack| stack.iter().map(open).collect())
            .collect::<Result<_, DataError>>()?;
        let width = dates[0][0].width();
        let height = dates[0][0].height();
        for (stack, paths) in dates.iter().zip(&options.images) {
            let bands: usize = stack.iter().map(GeoTiff::bands).sum();
            if bands != options.bands.len() {
                let reason =
                    format!("the bands {} are declared, found `{bands}` bands", options.bands.join(", "));
                return Err(EnsembleError::file(&paths[0], reason));
            }
            for (file, path) in stack.iter().zip(paths) {
                if (file.width(), file.height()) != (width, height)
                    || file.reference() != dates[0][0].reference()
                {
                    let reason = format!("must lie on the same grid as {}", first.display());
                    return Err(EnsembleError::file(path, reason));
                }
            }
        }
        let position = |band: &String| {
            options.bands.iter().position(|there| there == band).ok_or_else(|| {
                let reason = format!("the head needs band `{band}`; there are {}", options.bands.join(", "));
                EnsembleError::file(first, reason)
            })
        };
        let positions = head.bands().iter().map(position).collect::<Result<_, _>>()?;
        Ok(Self { dates, width, height, positions })
    }

    /// Channels of a window: the head's bands of all dates.
    pub(super) const fn channels(&self) -> usize {
        self.positions.len() * self.dates.len()
    }

    /// The georeference of the scene, if its first file has one.
    pub(super) fn reference(&self) -> Option<&GeoReference> {
        self.dates[0][0].reference()
    }

    /// The ground sampling distance in metres, if the scene states it.
    pub(super) fn ground_sampling_distance(&self) -> Option<f64> {
        self.reference()?.ground_sampling_distance()
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
        let nodata = options.nodata.map(|value| value as f32);
        let size = height * width;
        let mut values = Vec::with_capacity(size * self.positions.len() * self.dates.len());
        for stack in &mut self.dates {
            let mut bands = Vec::new();
            for file in stack {
                bands.extend(file.window(left, top, width, height)?);
            }
            for position in &self.positions {
                let band = &bands[position * size..(position + 1) * size];
                let value =
                    |value: &f32| if Some(*value) == nodata { f32::NAN } else { value * scale + offset };
                values.extend(band.iter().map(value));
            }
        }
        Ok(values)
    }
}
