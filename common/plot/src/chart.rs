//! What line charts and bar charts share: the canvas, axes and colours.

use std::ops::Range;
use std::path::Path;

use plotters::prelude::*;

use super::{PlotError, palette, register_font, save};

pub(super) const SIZE: (u32, u32) = (960, 540);
/// Size of titles.
pub(super) const TITLE: u32 = 24;

/// A number on an axis, without the digits that only binary fractions have.
pub(super) fn tick(value: &f64) -> String {
    // Adding zero turns minus zero into zero.
    ((value * 1e6).round() / 1e6 + 0.0).to_string()
}

pub(super) type Area<'a> = DrawingArea<BitMapBackend<'a>, plotters::coord::Shift>;
pub(super) type Failure = Box<dyn std::error::Error>;

/// Draws a picture of a size on white, and writes it.
pub(super) fn draw(
    path: &Path,
    size: (u32, u32),
    content: impl FnOnce(&Area<'_>) -> Result<(), Failure>,
) -> Result<(), PlotError> {
    register_font();
    let mut pixels = vec![255; (size.0 * size.1 * 3) as usize];
    let drawn = (|| {
        let area = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
        area.fill(&WHITE)?;
        content(&area)?;
        area.present()?;
        Ok::<_, Failure>(())
    })();
    drawn.map_err(|error| PlotError::Draw { path: path.to_owned(), reason: error.to_string() })?;
    save(path, size, &pixels)
}

/// Colours of lines: the palette without its yellow, which is faint on white.
pub(super) fn distinct(n: usize) -> Vec<RGBColor> {
    let seen = palette(n + 1).into_iter().filter(|colour| *colour != [240, 228, 66]);
    seen.take(n).map(|[r, g, b]| RGBColor(r, g, b)).collect()
}

/// The range of all values with a margin; never empty.
pub(super) fn range(
    path: &Path,
    values: impl Iterator<Item = f64>,
    margin: f64,
) -> Result<Range<f64>, PlotError> {
    let fail = |reason: String| PlotError::Input { path: path.to_owned(), reason };
    let mut low = f64::INFINITY;
    let mut high = f64::NEG_INFINITY;
    for value in values {
        if !value.is_finite() {
            return Err(fail(format!("`{value}` is not a finite number")));
        }
        (low, high) = (low.min(value), high.max(value));
    }
    if low > high {
        return Err(fail("there are no points".to_owned()));
    }
    let pad = (high - low).max(1e-9 * high.abs()).max(1e-12) * margin.max(1e-6);
    Ok(low - pad..high + pad)
}
