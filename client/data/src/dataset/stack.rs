//! Several files whose bands are stacked: the finest of their grids counts, and coarser files are resampled to it.

use std::path::{Path, PathBuf};

use eosfed_common::counted::counted;

use super::Dataset;
use super::choice::{Refusal, Taken, places, taken};
use super::grids::{Anchor, Header, Pair};
use super::notes::Note;
use super::readers::WindowReader;
use crate::error::DataError;
use crate::geotiff::BandName;
use crate::raster::{Raster, Resampling, resampled_window};

/// One of the files of a stack.
#[derive(Debug, Clone)]
struct Layer {
    /// Width and height in pixels.
    size: [usize; 2],
    /// If it is coarser, how many of its pixels the stack covers.
    covered: Option<([f64; 2], Resampling)>,
    /// The bands that are taken, if not all.
    chosen: Option<Vec<usize>>,
}

/// How the files of a stack become one raster.
#[derive(Debug, Clone)]
pub(super) struct StackPlan {
    /// The finest file.
    pub(super) finest: Header,
    layers: Vec<Layer>,
    /// Where each band is among those that the files give one after the other, if not in their order.
    order: Option<Vec<usize>>,
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
        notes: &mut Vec<Note>,
    ) -> Result<StackPlan, DataError> {
        let taken = self.taken(paths, headers)?;
        let finest = finest(headers);
        let [width, height] = headers[finest].size;
        let anchor = Anchor { path: &paths[finest], grid: headers[finest].grid() };
        let mut layers = Vec::with_capacity(headers.len());
        let places = places(&taken);
        for ((header, path), Taken { bands, chosen }) in headers.iter().zip(paths).zip(taken) {
            let grid = header.grid();
            let [w, h] = header.size;
            // Images of another shape show another area, not another resolution.
            if (w * height).abs_diff(width * h) > width.max(height) {
                let found = format!("must have the shape of {width}x{height} pixels, found `{w}x{h}`");
                return Err(DataError::file(path, found));
            }
            anchor.check(path, &grid, Pair::Bands, notes)?;
            if [w, h] == [width, height] {
                layers.push(Layer { size: [w, h], covered: None, chosen });
                continue;
            }
            let by = self.resampling(path, &bands)?;
            let way = if by == Resampling::Nearest { "nearest pixel" } else { "bilinear" };
            let text =
                format!("images of {w}x{h} pixels were resampled to the finest, {width}x{height} ({way})");
            notes.push(text.into());
            layers.push(Layer { size: [w, h], covered: Some((anchor.grid.pixels_of(&grid), by)), chosen });
        }
        notes.extend(self.baseline_note(paths, headers)?.map(Note::from));
        // The names of hundreds of bands are not kept for each of many scenes.
        let finest = Header { bands: places.len(), names: Vec::new(), ..headers[finest].clone() };
        let order = (!places.is_sorted()).then_some(places);
        Ok(StackPlan { finest, layers, order })
    }

    /// Which bands of the stack each file has, and what they are in it.
    ///
    /// # Errors
    /// If the number of bands is not the declared one, or `file_bands` asks for others than there are.
    fn taken(&self, paths: &[PathBuf], headers: &[Header]) -> Result<Vec<Taken>, DataError> {
        let all: usize = headers.iter().map(|header| header.bands).sum();
        let declared = self.config.bands.len();
        if self.config.file_bands.is_empty() {
            if all != declared {
                let each: Vec<_> = headers.iter().map(|header| header.bands.to_string()).collect();
                let found = format!(
                    "the data set declares {}, found `{}`; name all, or take some of them by `file_bands`",
                    counted(declared, "band"),
                    each.join(" + ")
                );
                return Err(DataError::file(&paths[0], found));
            }
            let mut stacked = 0;
            let whole = |header: &Header| {
                let first = stacked;
                stacked += header.bands;
                Taken { bands: (first..stacked).collect(), chosen: None }
            };
            return Ok(headers.iter().map(whole).collect());
        }
        let names: Vec<Vec<BandName>> = headers.iter().map(Header::name_of_each_band).collect();
        taken(&self.config.file_bands, &names).map_err(|refusal| match refusal {
            Refusal::Band(reason) => DataError::file(&paths[0], format!("{reason} (dataset.toml)")),
            Refusal::Unused(at) => {
                let reason = "`file_bands` must take a band of each file of a sample, found none of this one; leave such files \
                              out of `layout`";
                DataError::file(&paths[at], reason)
            }
        })
    }

    /// How a file with these bands of the stack is resampled.
    ///
    /// # Errors
    /// If some of its bands are of the rule `valid` and others are not.
    fn resampling(&self, path: &Path, bands: &[usize]) -> Result<Resampling, DataError> {
        let quality = bands.iter().filter(|band| self.valid.positions().contains(band)).count();
        match quality {
            0 => Ok(Resampling::Bilinear),
            all if all == bands.len() => Ok(Resampling::Nearest),
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
        notes: &mut Vec<Note>,
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
    /// Lets each reader of a file of the stack read the bands that are taken of it.
    pub(super) fn choose<'a>(&self, readers: impl IntoIterator<Item = &'a mut WindowReader>) {
        for (reader, layer) in readers.into_iter().zip(&self.layers) {
            if let Some(chosen) = &layer.chosen {
                reader.choose(chosen);
            }
        }
    }

    /// Brings bands of so many pixels each, as the files give them, into the order of the stack.
    fn ordered(order: Option<&Vec<usize>>, data: Vec<f32>, pixels: usize) -> Vec<f32> {
        let Some(order) = order else { return data };
        order.iter().flat_map(|band| &data[band * pixels..][..pixels]).copied().collect()
    }

    /// The whole stack of rasters in memory.
    pub(super) fn whole(self, rasters: Vec<Raster>) -> Raster {
        let Self { finest, layers, order } = self;
        let Header { size: [width, height], bands, reference, .. } = finest;
        let mut stacked = Raster { width, height, bands, data: Vec::new(), reference };
        for (raster, Layer { covered, .. }) in rasters.into_iter().zip(layers) {
            match covered {
                None => stacked.data.extend(raster.data),
                Some((covered, by)) => stacked.data.extend(raster.resampled(width, height, covered, by).data),
            }
        }
        stacked.data = Self::ordered(order.as_ref(), stacked.data, width * height);
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
        for (reader, Layer { size, covered, .. }) in readers.iter_mut().zip(&self.layers) {
            match covered {
                None => data.extend(reader.window([left, top], [width, height])?),
                Some((covered, by)) => {
                    let window = [[left, top], [width, height]];
                    let read = |corner, size| reader.window(corner, size);
                    data.extend(resampled_window(*size, self.finest.size, *covered, *by, window, read)?);
                }
            }
        }
        let data = Self::ordered(self.order.as_ref(), data, width * height);
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
