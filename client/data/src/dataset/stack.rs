//! Several files whose bands are stacked: the finest of their grids counts, and coarser files are resampled to it.

use std::path::{Path, PathBuf};

use super::Dataset;
use super::grids::{Anchor, Header, Pair};
use super::readers::WindowReader;
use crate::error::DataError;
use crate::raster::{Raster, Resampling, resampled_window};

/// The size of a file and, if it is coarser, how many of its pixels the stack covers.
type Layer = ([usize; 2], Option<([f64; 2], Resampling)>);

/// How the files of a stack become one raster.
#[derive(Debug, Clone)]
pub(super) struct StackPlan {
    /// The finest file.
    pub(super) finest: Header,
    layers: Vec<Layer>,
}

impl Dataset {
    /// Compares the files of a stack.
    ///
    /// # Errors
    /// If the number of bands is not the declared one, or the files show different areas.
    pub(super) fn plan(
        &self,
        paths: &[PathBuf],
        headers: &[Header],
        notes: &mut Vec<String>,
    ) -> Result<StackPlan, DataError> {
        let bands: usize = headers.iter().map(|header| header.bands).sum();
        let declared = self.config.bands.len();
        if bands != declared {
            let each: Vec<_> = headers.iter().map(|header| header.bands.to_string()).collect();
            let found = format!("the data set declares {declared} bands, found `{}`", each.join(" + "));
            return Err(DataError::file(&paths[0], found));
        }
        let finest = finest(headers);
        let [width, height] = headers[finest].size;
        let anchor = Anchor { path: &paths[finest], grid: headers[finest].grid() };
        let mut layers = Vec::with_capacity(headers.len());
        let mut stacked = 0;
        for (header, path) in headers.iter().zip(paths) {
            let before = stacked;
            stacked += header.bands;
            let grid = header.grid();
            let [w, h] = header.size;
            // Images of another shape show another area, not another resolution.
            if (w * height).abs_diff(width * h) > width.max(height) {
                let found = format!("must have the shape of {width}x{height} pixels, found `{w}x{h}`");
                return Err(DataError::file(path, found));
            }
            anchor.check(path, &grid, Pair::Bands, notes)?;
            if [w, h] == [width, height] {
                layers.push(([w, h], None));
                continue;
            }
            let by = self.resampling(path, before, header.bands)?;
            let way = if by == Resampling::Nearest { "nearest pixel" } else { "bilinear" };
            notes.push(format!(
                "images of {w}x{h} pixels were resampled to the finest, {width}x{height} ({way})"
            ));
            layers.push(([w, h], Some((anchor.grid.pixels_of(&grid), by))));
        }
        notes.extend(self.baseline_note(headers));
        Ok(StackPlan { finest: Header { bands, ..headers[finest].clone() }, layers })
    }

    /// How a file of bands from position `first` on is resampled.
    ///
    /// # Errors
    /// If some of its bands are of the rule `valid` and others are not.
    fn resampling(&self, path: &Path, first: usize, bands: usize) -> Result<Resampling, DataError> {
        let quality = (first..first + bands).filter(|at| self.valid.positions().contains(at)).count();
        match quality {
            0 => Ok(Resampling::Bilinear),
            all if all == bands => Ok(Resampling::Nearest),
            _ => {
                let reason = "is coarser than other files, so its bands must all be of `valid` or none, found both; give \
                              quality bands a file of their own";
                Err(DataError::file(path, reason))
            }
        }
    }

    /// Compares the dates of a scene; gives the first.
    pub(super) fn same_size(
        &self,
        stacks: &[StackPlan],
        images: &[Vec<PathBuf>],
        notes: &mut Vec<String>,
    ) -> Result<Header, DataError> {
        let first = &stacks[0].finest;
        let path = &images[0][0];
        let [width, height] = first.size;
        for (date, stack) in stacks.iter().zip(images) {
            let [w, h] = date.finest.size;
            if [w, h] != [width, height] {
                let found = format!(
                    "both dates must have one size, {width}x{height} like {}; found `{w}x{h}`",
                    path.display()
                );
                return Err(DataError::file(&stack[0], found));
            }
        }
        let anchor = Anchor { path, grid: first.grid() };
        for (date, stack) in stacks.iter().zip(images).skip(1) {
            anchor.check(&stack[0], &date.finest.grid(), Pair::Dates, notes)?;
        }
        Ok(first.clone())
    }
}

impl StackPlan {
    /// The whole stack of rasters in memory.
    pub(super) fn whole(self, rasters: Vec<Raster>) -> Raster {
        let Self { finest: Header { size: [width, height], bands, reference, baseline: _ }, layers } = self;
        let mut stacked = Raster { width, height, bands, data: Vec::new(), reference };
        for (raster, (_, covered)) in rasters.into_iter().zip(layers) {
            match covered {
                None => stacked.data.extend(raster.data),
                Some((covered, by)) => stacked.data.extend(raster.resampled(width, height, covered, by).data),
            }
        }
        stacked
    }

    /// A window of the stack: its first column and row, its width and height.
    pub(super) fn window(
        &self,
        readers: &mut [WindowReader],
        [left, top]: [usize; 2],
        [width, height]: [usize; 2],
    ) -> Result<Raster, DataError> {
        let mut data = Vec::with_capacity(self.finest.bands * width * height);
        for (reader, (size, covered)) in readers.iter_mut().zip(&self.layers) {
            match covered {
                None => data.extend(reader.window([left, top], [width, height])?),
                Some((covered, by)) => {
                    let window = [[left, top], [width, height]];
                    let read = |corner, size| reader.window(corner, size);
                    data.extend(resampled_window(*size, self.finest.size, *covered, *by, window, read)?);
                }
            }
        }
        Ok(Raster { width, height, bands: self.finest.bands, data, reference: None })
    }
}

/// Position of the raster with most pixels; of several, the first with a georeference.
fn finest(headers: &[Header]) -> usize {
    let rank = |at: &usize| {
        let Header { size: [width, height], reference, .. } = &headers[*at];
        (width * height, reference.is_some())
    };
    // `max_by` returns the last of several maxima, so the order is reversed.
    (0..headers.len()).rev().max_by_key(rank).unwrap_or_default()
}
