//! Line charts: one panel, or several over the same axis.

use std::ops::Range;
use std::path::Path;

use plotters::prelude::*;

use super::chart::{Area, Failure, SIZE, TITLE, distinct, draw, range, tick};
use super::{FONT, PlotError};

/// Height of each panel where there are several.
const PANEL: u32 = 380;
/// Most names in the legend; more would cover the lines.
const MAX_NAMES: usize = 12;
/// Most points of a line that are marked with a dot.
const MAX_DOTS: usize = 64;
/// Most numbers on the axis to the right.
const MAX_TICKS: f64 = 11.0;

/// One line of a chart.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its points in the order of x, in one piece or in several. A faint line leads from each piece to the next.
    pub pieces: Vec<Vec<(f64, f64)>>,
    /// How it stands out.
    pub emphasis: Emphasis,
}

/// How a line stands out from the others, as a mean of them does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Emphasis {
    /// It has a colour of its own.
    #[default]
    No,
    /// It is grey and thick.
    Grey,
    /// It is black and thick.
    Black,
}

impl Emphasis {
    /// The colour, where it is not one of its own.
    const fn colour(self) -> Option<RGBColor> {
        match self {
            Self::No => None,
            Self::Grey => Some(RGBColor(140, 140, 140)),
            Self::Black => Some(BLACK),
        }
    }
}

impl Series {
    /// A line in one piece.
    #[must_use]
    pub fn line(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), pieces: vec![points], emphasis: Emphasis::No }
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.pieces.iter().flatten().copied()
    }
}

/// Lines with one axis upwards.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// What the axis upwards has, with its unit.
    pub y: String,
    /// The lines. Those of the same name have the same colour in all panels.
    pub series: Vec<Series>,
}

/// What runs to the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Across<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether only whole numbers are written on it.
    pub whole: bool,
}

/// Writes a line chart: panels above one another, over the same range to the right.
///
/// # Errors
/// If a panel has no points, a value is not finite, or the file cannot be written.
pub fn line_chart(path: &Path, title: &str, across: Across<'_>, panels: &[Panel]) -> Result<(), PlotError> {
    let points = |panel: &'_ Panel| panel.series.iter().flat_map(Series::points).collect::<Vec<_>>();
    let all = panels.iter().flat_map(points).map(|point| point.0);
    let x_range = range(path, all, 0.0)?;
    let drawn = panels.iter().map(|panel| {
        let y_range = range(path, points(panel).into_iter().map(|point| point.1), 0.05)?;
        Ok((panel, y_range))
    });
    let drawn: Vec<_> = drawn.collect::<Result<_, PlotError>>()?;
    let styles = Styles::of(panels);
    let height = if panels.len() > 1 { PANEL * panels.len() as u32 } else { SIZE.1 };
    draw(path, (SIZE.0, height), |area| {
        let area = area.margin(12, 0, 0, 0).titled(title, (FONT, TITLE))?;
        for (part, (panel, y_range)) in area.split_evenly((drawn.len(), 1)).iter().zip(drawn) {
            draw_panel(part, across, panel, (x_range.clone(), y_range), &styles)?;
        }
        Ok(())
    })
}

/// The colours of lines by their names.
struct Styles(Vec<(String, RGBColor)>);

impl Styles {
    fn of(panels: &[Panel]) -> Self {
        let mut names: Vec<String> = Vec::new();
        let plain = |series: &&Series| series.emphasis == Emphasis::No;
        for series in panels.iter().flat_map(|panel| &panel.series).filter(plain) {
            if !names.contains(&series.name) {
                names.push(series.name.clone());
            }
        }
        let colours = distinct(names.len());
        Self(names.into_iter().zip(colours).collect())
    }

    fn colour(&self, series: &Series) -> RGBColor {
        let own = || self.0.iter().find(|(name, _)| *name == series.name).map(|(_, colour)| *colour);
        series.emphasis.colour().or_else(own).unwrap_or(BLACK)
    }
}

fn draw_panel(
    area: &Area<'_>,
    across: Across<'_>,
    panel: &Panel,
    (x_range, y_range): (Range<f64>, Range<f64>),
    styles: &Styles,
) -> Result<(), Failure> {
    let corner = emptier_corner(panel, &x_range, &y_range);
    let ticks = if across.whole { whole_ticks(&x_range) } else { MAX_TICKS as usize };
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(x_range, y_range)?;
    let mut mesh = chart.configure_mesh();
    mesh.x_desc(across.name).y_desc(&panel.y).label_style((FONT, 15)).axis_desc_style((FONT, 16));
    mesh.x_label_formatter(&tick).y_label_formatter(&tick).x_labels(ticks);
    mesh.light_line_style(WHITE.mix(0.0)).bold_line_style(BLACK.mix(0.08)).draw()?;
    for (at, series) in panel.series.iter().enumerate() {
        let colour = styles.colour(series);
        let style = colour.stroke_width(if series.emphasis == Emphasis::No { 2 } else { 3 });
        let ends = series.pieces.windows(2).filter_map(|two| Some([*two[0].last()?, *two[1].first()?]));
        chart.draw_series(ends.map(|ends| PathElement::new(ends, colour.mix(0.5))))?;
        for piece in &series.pieces {
            chart.draw_series(LineSeries::new(piece.iter().copied(), style))?;
        }
        let dots = series.points().count() <= MAX_DOTS;
        let dotted = series.pieces.iter().filter(|piece| dots || piece.len() == 1).flatten();
        let shown = chart.draw_series(dotted.map(|point| Circle::new(*point, 3, colour.filled())))?;
        let name = match panel.series.len() {
            all if at + 1 == MAX_NAMES && all > MAX_NAMES => format!("and {} more", all + 1 - MAX_NAMES),
            _ if at < MAX_NAMES => series.name.clone(),
            _ => continue,
        };
        shown.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], style));
    }
    let mut legend = chart.configure_series_labels();
    legend.position(corner).label_font((FONT, 15));
    legend.background_style(WHITE.mix(0.85)).border_style(BLACK.mix(0.15)).draw()?;
    Ok(())
}

/// The corner to the right where the lines of a panel are not: losses end below, and scores above.
fn emptier_corner(panel: &Panel, x_range: &Range<f64>, y_range: &Range<f64>) -> SeriesLabelPosition {
    let middle = |range: &Range<f64>| f64::midpoint(range.start, range.end);
    let (right, half) = (middle(x_range), middle(y_range));
    let ends = || panel.series.iter().flat_map(Series::points).filter(|point| point.0 >= right);
    let above = ends().filter(|point| point.1 > half).count();
    if 2 * above > ends().count() { SeriesLabelPosition::LowerRight } else { SeriesLabelPosition::UpperRight }
}

/// So many numbers on an axis that all of them are whole.
fn whole_ticks(range: &Range<f64>) -> usize {
    (range.end - range.start + 1.0).clamp(2.0, MAX_TICKS) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: Across<'_> = Across { name: "step", whole: false };

    fn panel(points: Vec<(f64, f64)>) -> Panel {
        Panel { y: "loss".to_owned(), series: vec![Series::line("west", points)] }
    }

    fn picture(panels: &[Panel]) -> image::RgbImage {
        titled("loss", STEPS, panels)
    }

    fn titled(title: &str, across: Across<'_>, panels: &[Panel]) -> image::RgbImage {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines.png");
        line_chart(&path, title, across, panels).unwrap();
        image::open(&path).unwrap().to_rgb8()
    }

    fn pixels(picture: &image::RgbImage, colour: [u8; 3]) -> usize {
        picture.pixels().filter(|pixel| pixel.0 == colour).count()
    }

    #[test]
    fn charts_are_written_and_not_blank() {
        let one = picture(&[panel(vec![(0.0, 2.0), (10.0, 1.0)])]);
        assert_eq!(one.dimensions(), SIZE);
        assert!(pixels(&one, [213, 94, 0]) > 500, "the line is drawn");
    }

    /// The columns and the rows of the left two thirds of a picture that have this colour. The legend is to the right.
    fn extent(picture: &image::RgbImage, colour: [u8; 3]) -> [(u32, u32); 2] {
        let found =
            picture.enumerate_pixels().filter(|(x, _, pixel)| *x < SIZE.0 * 2 / 3 && pixel.0 == colour);
        let least_and_most =
            |places: Vec<u32>| (*places.iter().min().unwrap(), *places.iter().max().unwrap());
        let (columns, rows): (Vec<_>, Vec<_>) = found.map(|(x, y, _)| (x, y)).unzip();
        [columns, rows].map(least_and_most)
    }

    #[test]
    fn points_and_lines_are_where_their_numbers_say() {
        let mut three = panel(vec![(0.0, 0.0)]);
        three.series.push(Series::line("line", vec![(2.0, 0.5), (4.0, 0.5)]));
        three.series.push(Series::line("end", vec![(10.0, 1.0)]));
        let drawn = picture(&[three]);
        // From the left, a margin of 16 pixels and 64 for the numbers of the axis; dots reach over the ends.
        let place = |x: f64| 80.0 + f64::from(SIZE.0 - 16 - 80) * x / 10.0;
        let [first, line] = [[213, 94, 0], [0, 158, 115]].map(|colour| extent(&drawn, colour));
        for (found, x) in [(first[0].1, 0.0), (line[0].0, 2.0), (line[0].1, 4.0)] {
            assert!((f64::from(found) - place(x)).abs() < 6.0, "{found} for {x}, not {}", place(x));
        }
        assert!(
            line[1].1 - line[1].0 < 10 && line[1].1 + 100 < first[1].0,
            "0.5 is above 0: {line:?}, {first:?}"
        );
    }

    #[test]
    fn titles_axes_and_names_are_written() {
        let plain = picture(&[panel(vec![(0.0, 2.0), (10.0, 1.0)])]);
        let of = |change: fn(&mut Panel), title: &str, across: Across<'_>| {
            let mut panel = panel(vec![(0.0, 2.0), (10.0, 1.0)]);
            change(&mut panel);
            titled(title, across, &[panel])
        };
        let same = |_: &mut Panel| ();
        assert!(of(same, "loss", STEPS) == plain, "the same numbers make the same picture");
        let others = [
            ("the title", of(same, "another", STEPS)),
            ("what runs to the right", of(same, "loss", Across { name: "rounds", ..STEPS })),
            ("what runs upwards, with its unit", of(|panel| panel.y.push_str(" (m)"), "loss", STEPS)),
            ("a name in the legend", of(|panel| panel.series[0].name = "east".to_owned(), "loss", STEPS)),
        ];
        for (what, other) in others {
            assert!(other != plain, "{what} is not written");
        }
    }

    #[test]
    fn panels_are_above_one_another_and_lines_of_one_name_have_one_colour() {
        let mut below = panel(vec![(0.0, 0.2), (10.0, 0.4)]);
        below.series.push(Series {
            emphasis: Emphasis::Black,
            ..Series::line("mean", vec![(0.0, 0.3), (10.0, 0.3)])
        });
        below.series.push(Series {
            emphasis: Emphasis::Grey,
            ..Series::line("other mean", vec![(0.0, 0.25), (10.0, 0.25)])
        });
        let both = picture(&[panel(vec![(0.0, 2.0), (10.0, 1.0)]), below.clone()]);
        assert!(pixels(&both, [140, 140, 140]) > 500, "two means are told apart");
        let without = |name: &str| {
            let mut below = below.clone();
            below.series.retain(|series| series.name != name);
            picture(&[panel(vec![(0.0, 2.0), (10.0, 1.0)]), below])
        };
        let black = |picture: &image::RgbImage| pixels(picture, [0, 0, 0]);
        assert!(black(&both) > black(&without("mean")) + 500, "texts and axes are black too");
        assert_eq!(both.dimensions(), (SIZE.0, 2 * PANEL));
        let half = |below: bool| {
            let rows = both.enumerate_pixels().filter(move |(_, y, _)| (*y > PANEL) == below);
            rows.filter(|(_, _, pixel)| pixel.0 == [213, 94, 0]).count()
        };
        assert!(half(false) > 500 && half(true) > 500, "{} {}", half(false), half(true));
        assert_eq!(pixels(&both, [0, 158, 115]), 0, "the mean has no colour of the others");
    }

    #[test]
    fn pieces_are_not_joined_by_a_whole_line_and_a_single_point_is_seen() {
        let joined = panel(vec![(0.0, 1.0), (1.0, 1.0), (9.0, 1.0), (10.0, 1.0)]);
        let mut broken = joined.clone();
        broken.series[0].pieces = vec![vec![(0.0, 1.0), (1.0, 1.0)], vec![(9.0, 1.0), (10.0, 1.0)]];
        let [joined, broken] = [joined, broken].map(|panel| pixels(&picture(&[panel]), [213, 94, 0]));
        assert!(broken * 2 < joined, "{broken} of {joined}");
        let mut dots = panel(Vec::new());
        dots.series[0].pieces = vec![vec![(1.0, 1.0)], Vec::new(), vec![(2.0, 2.0)]];
        assert!(pixels(&picture(&[dots]), [213, 94, 0]) > 20);
    }

    #[test]
    fn one_point_is_enough_and_none_or_nan_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("loss.png");
        line_chart(&path, "t", STEPS, &[panel(vec![(1.0, 1.0)])]).unwrap();
        let good = panel(vec![(0.0, 1.0)]);
        for bad in [vec![], vec![(0.0, f64::NAN)], vec![(f64::INFINITY, 0.0)]] {
            for panels in [vec![panel(bad.clone())], vec![good.clone(), panel(bad.clone())]] {
                let refused = line_chart(&path, "t", STEPS, &panels);
                assert!(matches!(refused, Err(PlotError::Input { .. })), "{bad:?}");
            }
        }
        assert!(matches!(line_chart(&path, "t", STEPS, &[]), Err(PlotError::Input { .. })));
    }

    #[test]
    fn an_axis_of_whole_numbers_has_as_many_as_it_is_long() {
        assert_eq!([0.0..1.0, 0.0..4.0, 2.0..3.0, 0.0..500.0].map(|one| whole_ticks(&one)), [2, 5, 2, 11]);
    }

    #[test]
    fn the_legend_is_where_the_lines_do_not_end() {
        let corner = |points: Vec<(f64, f64)>| {
            let lower = emptier_corner(&panel(points), &(0.0..10.0), &(0.0..1.0));
            matches!(lower, SeriesLabelPosition::LowerRight)
        };
        assert!(corner(vec![(0.0, 0.0), (10.0, 1.0)]) && !corner(vec![(0.0, 1.0), (10.0, 0.0)]));
        assert!(!corner(Vec::new()));
    }

    #[test]
    fn the_legend_of_many_lines_does_not_cover_the_chart() {
        let series =
            |at: u32| Series::line(format!("institution-{at}"), vec![(0.0, 1.0), (1.0, f64::from(at))]);
        let many = Panel { y: "loss".to_owned(), series: (0..200).map(series).collect() };
        picture(&[many]);
    }
}
