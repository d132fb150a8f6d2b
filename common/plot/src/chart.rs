//! Line and bar charts.

use std::ops::Range;
use std::path::Path;

use plotters::prelude::*;

use super::{FONT, PlotError, palette, register_font, save};

pub(super) const SIZE: (u32, u32) = (960, 540);

/// One line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Points in the order of x.
    pub points: Vec<(f64, f64)>,
}

/// A number on an axis, without the digits that only binary fractions have.
fn tick(value: &f64) -> String {
    // Adding zero turns minus zero into zero.
    ((value * 1e6).round() / 1e6 + 0.0).to_string()
}

/// Writes a line chart.
///
/// # Errors
/// If there are no points, a value is not finite, or the file cannot be written.
pub fn line_chart(path: &Path, title: &str, x: &str, y: &str, series: &[Series]) -> Result<(), PlotError> {
    let points = || series.iter().flat_map(|line| line.points.iter());
    let x_range = range(path, points().map(|p| p.0), 0.0)?;
    let y_range = range(path, points().map(|p| p.1), 0.05)?;
    draw(path, |area| {
        let mut chart = ChartBuilder::on(area)
            .caption(title, (FONT, 24))
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(x_range, y_range)?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(x).y_desc(y).label_style((FONT, 15)).axis_desc_style((FONT, 16));
        mesh.x_label_formatter(&tick).y_label_formatter(&tick);
        mesh.light_line_style(WHITE.mix(0.0)).bold_line_style(BLACK.mix(0.08)).draw()?;
        for (line, [r, g, b]) in series.iter().zip(distinct(series.len())) {
            let style = RGBColor(r, g, b).stroke_width(2);
            chart
                .draw_series(LineSeries::new(line.points.iter().copied(), style))?
                .label(&line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], style));
        }
        let mut legend = chart.configure_series_labels();
        legend.position(SeriesLabelPosition::UpperRight).label_font((FONT, 15));
        legend.background_style(WHITE.mix(0.85)).border_style(BLACK.mix(0.15)).draw()?;
        Ok(())
    })
}

/// Writes a chart of horizontal bars, the first on top; an optional second number is drawn as a
/// whisker to either side.
///
/// # Errors
/// If there are no bars, a value is not finite, or the file cannot be written.
pub fn bar_chart(
    path: &Path,
    title: &str,
    x: &str,
    bars: &[(String, f64, Option<f64>)],
) -> Result<(), PlotError> {
    let reach =
        |bar: &(String, f64, Option<f64>)| [0.0, bar.1 - bar.2.unwrap_or(0.0), bar.1 + bar.2.unwrap_or(0.0)];
    let x_range = range(path, bars.iter().flat_map(reach), 0.05)?;
    let rows = bars.len() as i32;
    draw(path, |area| {
        let mut chart = ChartBuilder::on(area)
            .caption(title, (FONT, 24))
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(170)
            .build_cartesian_2d(x_range.clone(), (0..rows - 1).into_segmented())?;
        let name = |at: &SegmentValue<i32>| match at {
            SegmentValue::CenterOf(row) => {
                bars.get((rows - 1 - row) as usize).map_or_else(String::new, |b| b.0.clone())
            }
            SegmentValue::Exact(_) | SegmentValue::Last => String::new(),
        };
        let mut mesh = chart.configure_mesh();
        mesh.disable_y_mesh()
            .x_desc(x)
            .y_label_formatter(&name)
            .y_labels(bars.len())
            .x_label_formatter(&tick);
        mesh.label_style((FONT, 15))
            .light_line_style(WHITE.mix(0.0))
            .bold_line_style(BLACK.mix(0.08))
            .draw()?;
        let zero = 0.0_f64.max(x_range.start);
        for (index, (_, value, error)) in bars.iter().enumerate() {
            let row = rows - 1 - index as i32;
            let corners = [(zero, SegmentValue::Exact(row)), (*value, SegmentValue::Exact(row + 1))];
            let mut bar = Rectangle::new(corners, RGBColor(0, 114, 178).filled());
            bar.set_margin(6, 6, 0, 0);
            chart.draw_series([bar])?;
            if let Some(error) = error {
                let ends = [value - error, value + error].map(|x| (x, SegmentValue::CenterOf(row)));
                chart.draw_series([PathElement::new(ends, BLACK.stroke_width(2))])?;
            }
        }
        Ok(())
    })
}

pub(super) type Area<'a> = DrawingArea<BitMapBackend<'a>, plotters::coord::Shift>;
pub(super) type Failure = Box<dyn std::error::Error>;

pub(super) fn draw(
    path: &Path,
    content: impl FnOnce(&Area<'_>) -> Result<(), Failure>,
) -> Result<(), PlotError> {
    register_font();
    let mut pixels = vec![255; (SIZE.0 * SIZE.1 * 3) as usize];
    let drawn = (|| {
        let area = BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        content(&area)?;
        area.present()?;
        Ok::<_, Failure>(())
    })();
    drawn.map_err(|error| PlotError::Draw { path: path.to_owned(), reason: error.to_string() })?;
    save(path, SIZE, &pixels)
}

/// Colours of lines: the palette without its yellow, which is faint on white.
fn distinct(n: usize) -> Vec<[u8; 3]> {
    palette(n + 1).into_iter().filter(|colour| *colour != [240, 228, 66]).take(n).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: Vec<(f64, f64)>) -> Vec<Series> {
        vec![Series { name: "west".to_owned(), points }]
    }

    #[test]
    fn charts_are_written_and_not_blank() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("loss.png");
        line_chart(&path, "loss", "step", "loss", &series(vec![(0.0, 2.0), (10.0, 1.0)])).unwrap();
        let picture = image::open(&path).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), SIZE);
        assert!(picture.pixels().any(|pixel| pixel.0 == [213, 94, 0]), "the line is drawn");
        bar_chart(
            &path,
            "miou",
            "mIoU",
            &[("all".to_owned(), 0.3, Some(0.02)), ("rgb".to_owned(), 0.2, None)],
        )
        .unwrap();
        assert!(image::open(&path).unwrap().to_rgb8().pixels().any(|pixel| pixel.0 == [0, 114, 178]));
    }

    #[test]
    fn one_point_is_enough_and_none_or_nan_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("loss.png");
        line_chart(&path, "t", "x", "y", &series(vec![(1.0, 1.0)])).unwrap();
        for bad in [vec![], vec![(0.0, f64::NAN)]] {
            assert!(matches!(line_chart(&path, "t", "x", "y", &series(bad)), Err(PlotError::Input { .. })));
        }
    }
}
