//! Bar charts of gains and losses.

use std::path::Path;

use plotters::prelude::*;

use super::chart::{SIZE, TITLE, draw, range, tick};
use super::legend::{Legend, shortened};
use super::{FONT, PlotError};

/// Height of a bar with its margins; where there are many, the picture is higher.
const ROW: u32 = 24;
/// What is above and below the bars.
const AROUND: u32 = 150;
/// Title and legend.
const HEAD: u32 = 76;
/// Width of the names.
const NAMES: u32 = 200;
const TEXT: u32 = 15;

/// What a bar tells. Each has its colour; blue and vermilion differ for colour-blind readers too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// A gain.
    Good,
    /// A loss.
    Bad,
    /// Neither.
    None,
}

impl Effect {
    /// All, in the order of the legend.
    const ALL: [Self; 3] = [Self::Good, Self::Bad, Self::None];

    const fn colour(self) -> RGBColor {
        match self {
            Self::Good => RGBColor(0, 114, 178),
            Self::Bad => RGBColor(213, 94, 0),
            Self::None => RGBColor(110, 110, 110),
        }
    }
}

/// A bar that begins at zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// Its name.
    pub name: String,
    /// Its length; below zero it lies to the left.
    pub value: f64,
    /// What it tells.
    pub effect: Effect,
}

/// What the chart says in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BarWords<'a> {
    /// The title.
    pub title: &'a str,
    /// What the lengths are, with their unit.
    pub x: &'a str,
    /// What each effect means, in the order good, bad, none.
    pub effects: [&'a str; 3],
}

/// Writes a chart of horizontal bars, the first on top, to both sides of a line at zero. The colours tell effects; the
/// legend names those that occur.
///
/// # Errors
/// If there are no bars, a value is not finite, or the file cannot be written.
pub fn bar_chart(path: &Path, words: BarWords<'_>, bars: &[Bar]) -> Result<(), PlotError> {
    if bars.is_empty() {
        let reason = "there are no bars".to_owned();
        return Err(PlotError::Input { path: path.to_owned(), reason });
    }
    let x_range = match range(path, bars.iter().flat_map(|bar| [0.0, bar.value]), 0.05)? {
        // Nothing but zeros have no scale.
        _ if bars.iter().all(|bar| bar.value == 0.0) => -1.0..1.0,
        found => found,
    };
    // The axis has no name for the row of a single bar; a row below it stays empty.
    let rows = bars.len().max(2) as i32;
    let height = SIZE.1.max(AROUND + ROW * bars.len() as u32);
    draw(path, (SIZE.0, height), |area| {
        let (head, body) = area.split_vertically(HEAD);
        head.margin(12, 0, 0, 0).titled(words.title, (FONT, TITLE))?;
        let width = SIZE.0 - NAMES;
        legend(&words, bars).draw(area, (NAMES, HEAD - 26), width)?;
        let mut chart = ChartBuilder::on(&body)
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(NAMES)
            .build_cartesian_2d(x_range, (0..rows - 1).into_segmented())?;
        let name = |at: &SegmentValue<i32>| match at {
            SegmentValue::CenterOf(row) => bars
                .get((rows - 1 - row) as usize)
                .map_or_else(String::new, |bar| shortened(&bar.name, TEXT, NAMES - 20)),
            SegmentValue::Exact(_) | SegmentValue::Last => String::new(),
        };
        let mut mesh = chart.configure_mesh();
        mesh.disable_y_mesh()
            .x_desc(words.x)
            .y_label_formatter(&name)
            .y_labels(rows as usize)
            .x_label_formatter(&tick);
        mesh.label_style((FONT, TEXT))
            .axis_desc_style((FONT, 16))
            .light_line_style(WHITE.mix(0.0))
            .bold_line_style(BLACK.mix(0.08))
            .draw()?;
        let rectangles = bars.iter().enumerate().map(|(at, bar)| rectangle(rows - 1 - at as i32, bar));
        chart.draw_series(rectangles)?;
        // On top of the bars, so that it is seen between those that begin there.
        let zero = [(0.0, SegmentValue::Exact(0)), (0.0, SegmentValue::Exact(rows))];
        chart.draw_series([PathElement::new(zero, BLACK.stroke_width(2))])?;
        Ok(())
    })
}

/// The effects that occur, in words.
fn legend(words: &BarWords<'_>, bars: &[Bar]) -> Legend {
    let named = Effect::ALL.into_iter().zip(words.effects);
    let occurs = named.filter(|(effect, _)| bars.iter().any(|bar| bar.effect == *effect));
    let entry = |(effect, words): (Effect, &str)| {
        let RGBColor(r, g, b) = effect.colour();
        (words.to_owned(), [r, g, b])
    };
    Legend::Classes(occurs.map(entry).collect())
}

/// A bar in a row.
fn rectangle(row: i32, bar: &Bar) -> Rectangle<(f64, SegmentValue<i32>)> {
    let corners = [(0.0, SegmentValue::Exact(row)), (bar.value, SegmentValue::Exact(row + 1))];
    let mut drawn = Rectangle::new(corners, bar.effect.colour().filled());
    drawn.set_margin(5, 5, 0, 0);
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: BarWords<'_> = BarWords {
        title: "without each specialist",
        x: "mIoU",
        effects: ["helps", "better without", "no difference"],
    };

    fn bar(name: &str, value: f64, effect: Effect) -> Bar {
        Bar { name: name.to_owned(), value, effect }
    }

    /// The number of pixels of a colour, and the mean of their columns.
    fn found(bars: &[Bar], colour: RGBColor) -> (usize, f64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bars.png");
        bar_chart(&path, WORDS, bars).unwrap();
        let picture = image::open(&path).unwrap().to_rgb8();
        let RGBColor(r, g, b) = colour;
        let columns: Vec<f64> = picture
            .enumerate_pixels()
            .filter(|(_, _, pixel)| pixel.0 == [r, g, b])
            .map(|(x, _, _)| f64::from(x))
            .collect();
        (columns.len(), columns.iter().sum::<f64>() / columns.len().max(1) as f64)
    }

    #[test]
    fn gains_and_losses_have_other_colours_on_both_sides_of_zero() {
        let bars = [
            bar("west-rgb@1", -0.05, Effect::Good),
            bar("east@2", 0.04, Effect::Bad),
            bar("shared@1", 0.0, Effect::None),
        ];
        let [good, bad] = [Effect::Good, Effect::Bad].map(|effect| found(&bars, effect.colour()));
        assert!(good.0 > 5_000 && bad.0 > 5_000, "{good:?} {bad:?}");
        assert!(good.1 + 100.0 < bad.1, "{good:?} {bad:?}");
        let (black, at) = found(&bars, BLACK);
        assert!(black > 500 && good.1 < at && at < bad.1, "a line at zero lies between: {at}");
        // A colour that does not occur is not in the legend either.
        assert_eq!(found(&bars[..1], Effect::Bad.colour()).0, 0);
        assert!(found(&bars[2..], Effect::None.colour()).0 > 50, "its meaning is in the legend");
    }

    #[test]
    fn many_bars_make_the_picture_higher_and_none_or_nan_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bars.png");
        let many: Vec<Bar> =
            (0..256).map(|at| bar(&"specialist".repeat(20), f64::from(at), Effect::Good)).collect();
        bar_chart(&path, WORDS, &many).unwrap();
        assert_eq!(image::image_dimensions(&path).unwrap(), (SIZE.0, AROUND + 256 * ROW));
        bar_chart(&path, WORDS, &[bar("one", 0.0, Effect::None)]).unwrap();
        for bad in
            [vec![], vec![bar("a", f64::NAN, Effect::Good)], vec![bar("a", f64::INFINITY, Effect::Bad)]]
        {
            let refused = bar_chart(&path, WORDS, &bad);
            assert!(matches!(refused, Err(PlotError::Input { .. })), "{bad:?}");
        }
    }
}
