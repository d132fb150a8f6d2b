//! The pixels of one directory, window by window. A bounded number of decoded strips or tiles is kept for the next
//! window.

use std::collections::VecDeque;

use super::complex::Complex;
use super::decode::Layout;
use super::nodata::Nodata;
use super::refused::Refused;
use super::source::Source;
use super::values::{Rows, Values};
use crate::error::DataError;

/// The pixels of a directory.
pub(super) struct Pixels {
    pub(super) layout: Layout,
    /// The value of missing data that a catalogue states, where the file has none.
    pub(super) stated_nodata: Option<Nodata>,
    /// The bands that are read, in this order, if not all.
    pub(super) chosen: Option<Vec<usize>>,
    kept: VecDeque<(usize, Values)>,
    /// Bytes of what is kept, and most of them.
    size: usize,
    pub(super) most: usize,
}

/// Refuses a file with a number that 32-bit floats cannot hold.
pub(crate) fn unheld(value: &str) -> Refused {
    let sentence = format!(
        "pixel values must be numbers that 32-bit floats hold exactly, or at all if they are floats, found `{value}` (if it \
         marks missing data, add `-a_nodata {value}`); in a mask, give the classes smaller numbers, since the command rounds to \
         the nearest such number and makes one class of several; numbers that are measured may be rounded"
    );
    Refused::new(sentence, "-ot Float32")
}

/// A part of an image: its left and top pixel, width and height.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Pixels {
    pub(super) const fn new(layout: Layout, most: usize) -> Self {
        Self { layout, stated_nodata: None, chosen: None, kept: VecDeque::new(), size: 0, most }
    }

    /// The bands that are read.
    fn bands(&self) -> Vec<usize> {
        self.chosen.clone().unwrap_or_else(|| (0..self.layout.accepted.samples).collect())
    }

    /// The values inside a window, in the order band, row, column. Pixels outside the image, and those with the
    /// file's value of missing data, are NaN.
    ///
    /// # Errors
    /// If the file is damaged there, or has numbers that 32-bit floats cannot hold.
    pub(super) fn window(&mut self, source: &Source, window: Window) -> Result<Vec<f32>, DataError> {
        let chunks = &self.layout.chunks;
        let Window { left, top, width, height } = window;
        let bands = self.bands();
        let mut data = vec![f32::NAN; bands.len() * width * height];
        let right = left.saturating_add(width).min(chunks.width);
        let bottom = top.saturating_add(height).min(chunks.height);
        if left >= right || top >= bottom {
            return Ok(data);
        }
        let [chunk_width, chunk_height] = chunks.size;
        let [across, _] = chunks.across_and_down();
        let in_plane = chunks.in_plane();
        // A strip or tile holds one band, or all bands of its pixels.
        let together = [0];
        let (planes, in_chunk) = if self.layout.accepted.planar {
            (&bands[..], &together[..])
        } else {
            (&together[..], &bands[..])
        };
        for (at, plane) in planes.iter().enumerate() {
            for row in top / chunk_height..=(bottom - 1) / chunk_height {
                for column in left / chunk_width..=(right - 1) / chunk_width {
                    let first = [column * chunk_width, row * chunk_height];
                    let from = [left.max(first[0]), top.max(first[1])];
                    let to = [right.min(first[0] + chunk_width), bottom.min(first[1] + chunk_height)];
                    let mut rows = Rows {
                        samples: self.layout.accepted.samples_in_chunk(),
                        bands: in_chunk,
                        stride: chunk_width,
                        from: [from[0] - first[0], from[1] - first[1]],
                        size: [to[0] - from[0], to[1] - from[1]],
                        target: &mut data,
                        start: (at * height + from[1] - top) * width + from[0] - left,
                        target_stride: width,
                        target_band: width * height,
                    };
                    self.copy(source, plane * in_plane + row * across + column, &mut rows)?;
                }
            }
        }
        Ok(data)
    }

    /// Copies a part of a strip or tile, which is decoded if it is not kept.
    fn copy(&mut self, source: &Source, at: usize, rows: &mut Rows<'_>) -> Result<(), DataError> {
        let own = self.layout.accepted.nodata;
        let complex = self.layout.accepted.complex.unwrap_or(Complex::Amplitude);
        let nodata = own.or(self.stated_nodata);
        let values = match self.kept.iter().position(|(kept, _)| *kept == at) {
            Some(place) => &self.kept[place].1,
            None => match self.layout.decode(source, at)? {
                Some(values) => self.keep(at, values),
                None => {
                    let fill = self.layout.accepted.kind.left_out(own);
                    let missing = self.stated_nodata.is_some_and(|stated| stated.is_f32(fill));
                    let fill = if missing { f32::NAN } else { fill };
                    let value = self.layout.accepted.complex.map(|complex| complex.of(fill.into(), 0.0));
                    rows.set(value.and_then(Result::ok).unwrap_or(fill));
                    return Ok(());
                }
            },
        };
        values.floats(nodata, complex, rows).map_err(|value| {
            let path = source.path();
            DataError::file(path, unheld(&value).about(path))
        })
    }

    /// Keeps a decoded strip or tile, and drops the oldest ones if there are too many.
    fn keep(&mut self, at: usize, values: Values) -> &Values {
        self.size += values.size();
        self.kept.push_back((at, values));
        while self.size > self.most && self.kept.len() > 1 {
            let dropped = self.kept.pop_front();
            self.size -= dropped.map_or(0, |(_, values)| values.size());
        }
        &self.kept[self.kept.len() - 1].1
    }
}
