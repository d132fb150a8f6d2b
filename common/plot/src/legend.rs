//! What the colours of a picture mean: names of classes, or a bar of values.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{FONT, ramp, register_font};

/// Height of a line.
const ROW: u32 = 24;
/// Side of a swatch.
const SWATCH: i32 = 14;
/// From the left of a swatch to its name.
const INDENT: u32 = 20;
/// Between the end of a name and the next swatch.
const SPACE: u32 = 18;
/// Widest name in pixels; longer ones are cut and end with dots.
const WIDEST: u32 = 420;
/// More names than this get two columns, if each is at least as wide as [`HALF`].
const MANY: usize = 8;
const HALF: u32 = 300;
/// Width of the bar of values.
const BAR: u32 = 240;
const TEXT: u32 = 15;

/// What the colours of a picture mean.
#[derive(Debug, Clone, PartialEq)]
pub enum Legend {
    /// Names and colours of classes.
    Classes(Vec<(String, [u8; 3])>),
    /// Values in the colours of [`ramp`].
    Values(ValueRange),
}

/// The values of a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueRange {
    /// What they are, with their unit.
    pub name: String,
    /// The value of the darkest colour.
    pub low: f64,
    /// The value of the lightest colour.
    pub high: f64,
    /// Whether the ends stand for all values beyond them too.
    pub open: bool,
    /// The colour of places without a value, if there are some, with a name.
    pub without: Option<(String, [u8; 3])>,
}

type Area<'a, 'b> = &'a DrawingArea<BitMapBackend<'b>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Width of a text in pixels.
pub(super) fn text_width(text: &str, size: u32) -> u32 {
    register_font();
    (FONT, size).into_font().box_size(text).map_or_else(|_| text.len() as u32 * size / 2, |(width, _)| width)
}

/// A text that is at most so wide: cut, with dots at its end, where it is longer.
pub(super) fn shortened(text: &str, size: u32, most: u32) -> String {
    if text_width(text, size) <= most {
        return text.to_owned();
    }
    let letters: Vec<char> = text.chars().collect();
    let cut = |count: usize| letters[..count].iter().collect::<String>().trim_end().to_owned() + "…";
    let fits = (0..letters.len())
        .collect::<Vec<_>>()
        .partition_point(|count| text_width(&cut(*count), size) <= most);
    cut(fits.saturating_sub(1))
}

/// A number with as many digits as its range needs.
fn number(value: f64, range: f64) -> String {
    let decimals = (2.0 - range.abs().max(f64::MIN_POSITIVE).log10().floor()).clamp(0.0, 8.0) as usize;
    // Adding zero turns minus zero into zero.
    format!("{:.decimals$}", value + 0.0)
}

impl Legend {
    /// The width in pixels that it needs.
    pub(super) fn width(&self) -> u32 {
        match self {
            Self::Classes(_) => self.column(0),
            Self::Values(range) => BAR.max(text_width(&range.name, TEXT).min(WIDEST)) + 2 * SPACE,
        }
    }

    /// Its height in pixels, where it may be so wide.
    pub(super) fn height(&self, width: u32) -> u32 {
        match self {
            Self::Classes(classes) => (classes.len() as u32).div_ceil(self.columns(width)) * ROW,
            Self::Values(range) => ROW * (3 + u32::from(range.without.is_some())),
        }
    }

    /// Widest name in pixels, where the whole may be so wide. One long name does not take the place of a second column
    /// of many.
    fn widest(&self, width: u32) -> u32 {
        match self {
            Self::Classes(classes) if classes.len() > MANY && width >= 2 * HALF => {
                (width / 2 - INDENT - SPACE).min(WIDEST)
            }
            Self::Classes(_) | Self::Values(_) => WIDEST,
        }
    }

    /// Width of a column of names.
    fn column(&self, width: u32) -> u32 {
        let Self::Classes(classes) = self else { return 0 };
        let most = self.widest(width);
        let widest = classes.iter().map(|(name, _)| text_width(name, TEXT).min(most)).max();
        INDENT + widest.unwrap_or_default() + SPACE
    }

    fn columns(&self, width: u32) -> u32 {
        // Nothing is beside the last column.
        ((width + SPACE) / self.column(width).max(1)).max(1)
    }

    /// Draws it with its upper left corner at a place, so wide.
    pub(super) fn draw(&self, area: Area<'_, '_>, (left, top): (u32, u32), width: u32) -> Drawn {
        match self {
            Self::Classes(classes) => {
                let (column, columns) = (self.column(width), self.columns(width));
                let widest = self.widest(width);
                for (index, (name, colour)) in (0..).zip(classes) {
                    let place = (left + index % columns * column, top + index / columns * ROW);
                    entry(area, place, (name, widest), *colour)?;
                }
                Ok(())
            }
            Self::Values(range) => range.draw(area, (left, top)),
        }
    }
}

/// A colour and its name, at most so wide.
fn entry(
    area: Area<'_, '_>,
    (left, top): (u32, u32),
    (name, widest): (&str, u32),
    [r, g, b]: [u8; 3],
) -> Drawn {
    let (x, y) = (left as i32, top as i32);
    let swatch = [(x, y), (x + SWATCH, y + SWATCH)];
    area.draw(&Rectangle::new(swatch, RGBColor(r, g, b).filled()))?;
    // White and near white are seen by their frame.
    area.draw(&Rectangle::new(swatch, BLACK.mix(0.4)))?;
    let text = (FONT, TEXT).into_font().color(&BLACK);
    area.draw_text(&shortened(name, TEXT, widest), &text, (x + INDENT as i32, y + 3))?;
    Ok(())
}

impl ValueRange {
    fn draw(&self, area: Area<'_, '_>, (left, top): (u32, u32)) -> Drawn {
        let Self { name, low, high, open, without } = self;
        let (x, y, row) = (left as i32, top as i32, ROW as i32);
        let text = (FONT, TEXT).into_font().color(&BLACK);
        area.draw_text(&shortened(name, TEXT, WIDEST), &text, (x, y))?;
        let bar = y + row - 2;
        for step in 0..BAR as i32 {
            let [r, g, b] = ramp(f64::from(step) / f64::from(BAR - 1));
            let line = [(x + step, bar), (x + step, bar + SWATCH)];
            area.draw(&PathElement::new(line, RGBColor(r, g, b)))?;
        }
        let (least, most) = if *open { ("≤ ", "≥ ") } else { ("", "") };
        let number = |value: f64| number(value, high - low);
        let labels = [
            (0, HPos::Left, format!("{least}{}", number(*low))),
            (BAR as i32 / 2, HPos::Center, number(f64::midpoint(*low, *high))),
            (BAR as i32, HPos::Right, format!("{most}{}", number(*high))),
        ];
        for (at, anchor, label) in labels {
            let style = text.pos(Pos::new(anchor, VPos::Top));
            area.draw_text(&label, &style, (x + at, bar + SWATCH + 4))?;
        }
        match without {
            Some((name, colour)) => entry(area, (left, top + 3 * ROW), (name, WIDEST), *colour),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_to_their_width_and_short_ones_are_not() {
        assert_eq!(shortened("forest", TEXT, 200), "forest");
        let long = "Land principally occupied by agriculture, with significant areas of natural vegetation";
        let cut = shortened(long, TEXT, 200);
        assert!(cut.ends_with('…') && long.starts_with(cut.trim_end_matches('…')), "{cut}");
        let width = text_width(&cut, TEXT);
        assert!((150..=200).contains(&width), "{width}");
        // No name is wider than a column.
        let legend = Legend::Classes(vec![(long.to_owned(), [0; 3]), ("a".to_owned(), [1; 3])]);
        assert_eq!((legend.columns(100), legend.height(100)), (1, 2 * ROW));
        assert!(legend.column(1000) <= INDENT + WIDEST + SPACE);
        let many = Legend::Classes((0..19).map(|at| (format!("{long} {at}"), [0; 3])).collect());
        assert_eq!((many.columns(700), many.columns(500), many.height(700)), (2, 1, 10 * ROW));
        let short = Legend::Classes((0..30).map(|at| (format!("c{at}"), [0; 3])).collect());
        assert!(short.columns(1000) > 10 && short.height(1000) <= 3 * ROW);
    }

    #[test]
    fn numbers_have_the_digits_that_their_range_needs() {
        let said = |value: f64, range: f64| number(value, range);
        assert_eq!(
            [said(2.0, 96.0), said(0.123_456, 0.01), said(12_345.6, 20_000.0)],
            ["2.0", "0.1235", "12346"]
        );
        assert_eq!((said(-0.0, 1.0), said(5.0, 0.0)), ("0.00".to_owned(), "5.00000000".to_owned()));
    }
}
