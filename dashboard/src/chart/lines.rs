//! Curves.

use std::fmt::Write as _;

use maud::{Markup, Render, html};

use super::axis::Axis;
use crate::format;
use crate::parts::{none, said};

/// Most curves in one chart: more cannot be told apart.
pub(crate) const MAX_SERIES: usize = 8;
/// Most points of a curve that are drawn.
const MAX_POINTS: usize = 200;
/// Most rows of the table of numbers.
const MAX_ROWS: usize = 50;
/// Most points that are marked with a dot.
const MAX_DOTS: usize = 30;
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 210.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 36.0;

/// A curve.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// Its name.
    pub(crate) name: String,
    /// Its points, in the order of their first coordinate.
    pub(crate) points: Vec<(f64, f64)>,
}

/// A chart of curves.
#[derive(Debug)]
pub(crate) struct LineChart {
    /// An id, unique on the page.
    pub(crate) id: String,
    /// The title.
    pub(crate) title: String,
    /// What runs to the right; its values are whole numbers.
    pub(crate) across: &'static str,
    /// The curves. Those beyond [`MAX_SERIES`] are only counted.
    pub(crate) series: Vec<Series>,
}

/// At most `most` of the points, evenly spread, with the last.
fn thinned<T: Copy>(points: &[T], most: usize) -> Vec<T> {
    let stride = points.len().div_ceil(most).max(1);
    let last = points.last().filter(|_| !(points.len().max(1) - 1).is_multiple_of(stride));
    points.iter().step_by(stride).chain(last).copied().collect()
}

impl LineChart {
    fn drawn(&self) -> &[Series] {
        &self.series[..self.series.len().min(MAX_SERIES)]
    }

    fn svg(&self) -> Markup {
        let points = || self.drawn().iter().flat_map(|series| &series.points);
        let across = Axis::over(points().map(|point| point.0), 6.0, true);
        let up = Axis::over(points().map(|point| point.1), 4.0, false);
        let x = |value: f64| LEFT + across.place(value) * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| HEIGHT - BOTTOM - up.place(value) * (HEIGHT - TOP - BOTTOM);
        let title = format!("{}-title", self.id);
        html! {
            svg.lines viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-labelledby=(title) {
                title id=(title) { (self.title) " by " (self.across) "; the numbers are in the table below" }
                g.grid {
                    @for tick in up.ticks() {
                        line x1=(LEFT) x2=(WIDTH - RIGHT) y1=(rounded(y(tick))) y2=(rounded(y(tick))) {}
                    }
                }
                g.marks {
                    @for tick in up.ticks() {
                        text.end x=(LEFT - 6.0) y=(rounded(y(tick) + 4.0)) { (up.label(tick)) }
                    }
                    @for tick in across.ticks() {
                        text.middle x=(rounded(x(tick))) y=(HEIGHT - BOTTOM + 16.0) { (across.label(tick)) }
                    }
                    text.middle.axis x=(LEFT + (WIDTH - LEFT - RIGHT) / 2.0) y=(HEIGHT - 4.0) { (self.across) }
                }
                @for (place, series) in self.drawn().iter().enumerate() {
                    g class={ "series s" (place) } { (curve(&series.points, x, y)) }
                }
            }
        }
    }

    /// The numbers, with a column for each curve.
    fn numbers(&self) -> Markup {
        let mut places: Vec<f64> =
            self.drawn().iter().flat_map(|one| &one.points).map(|point| point.0).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        let shown = thinned(&places, MAX_ROWS);
        let at = |series: &Series, place: f64| {
            series.points.iter().find(|point| point.0 == place).map(|point| format::value(point.1))
        };
        html! {
            details id={ (self.id) "-numbers" } {
                summary { "Numbers" @if shown.len() < places.len() { " (" (shown.len()) " of " (places.len()) ")" } }
                div.scroll tabindex="0" role="region" aria-label={ (self.title) ", numbers" } id={ (self.id) "-scroll" } {
                    table.plain {
                        caption.unseen { (self.title) }
                        thead { tr {
                            th scope="col" { (self.across) }
                            @for series in self.drawn() { th.number scope="col" { (said(&series.name)) } }
                        } }
                        tbody {
                            @for place in shown {
                                tr {
                                    th scope="row" { (place) }
                                    @for series in self.drawn() {
                                        td.number { @match at(series, place) { Some(value) => (value), None => (none()) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn curve(points: &[(f64, f64)], x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) -> Markup {
    let points = thinned(points, MAX_POINTS);
    let mut path = String::new();
    for (place, point) in points.iter().enumerate() {
        let step = if place == 0 { 'M' } else { 'L' };
        // Writing into a text does not fail.
        let _ = write!(path, "{step}{} {}", rounded(x(point.0)), rounded(y(point.1)));
    }
    html! {
        path d=(path) {}
        @if points.len() <= MAX_DOTS {
            @for point in &points { circle cx=(rounded(x(point.0))) cy=(rounded(y(point.1))) r="2.5" {} }
        }
    }
}

impl Render for LineChart {
    fn render(&self) -> Markup {
        let hidden = self.series.len() - self.drawn().len();
        html! {
            figure.chart id=(self.id) {
                figcaption { (self.title) }
                @if self.series.iter().all(|series| series.points.is_empty()) {
                    p.quiet { "No points yet." }
                } @else {
                    (self.svg())
                    ul.legend {
                        @for (place, series) in self.drawn().iter().enumerate() {
                            li class={ "s" (place) } { (said(&series.name)) }
                        }
                        @if hidden > 0 { li.more { "and " (hidden) " more that are not drawn" } }
                    }
                    (self.numbers())
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_is_thinned_and_keeps_its_end() {
        let points: Vec<u32> = (0..1000).collect();
        let thin = thinned(&points, 200);
        assert!(thin.len() <= 201, "{}", thin.len());
        assert_eq!((thin.first(), thin.last()), (Some(&0), Some(&999)));
        assert_eq!(thinned(&[1, 2, 3], 200), [1, 2, 3]);
        assert!(thinned::<u32>(&[], 200).is_empty());
    }

    #[test]
    fn a_chart_of_many_curves_is_bounded_and_says_what_is_missing() {
        let points: Vec<_> = (0..1000_u32).map(|step| (f64::from(step), 1.0 / f64::from(step + 1))).collect();
        let series = |place: u32| Series { name: format!("site-{place}"), points: points.clone() };
        let chart = LineChart {
            id: "loss".to_owned(),
            title: "Loss".to_owned(),
            across: "step",
            series: (0..200).map(series).collect(),
        };
        let html = chart.render().into_string();
        assert!(html.len() < 60_000, "{}", html.len());
        assert!(html.contains("and 192 more that are not drawn"), "{html}");
        assert!(!html.contains("NaN") && !html.contains("inf"));
    }

    #[test]
    fn each_curve_is_drawn_where_its_numbers_say_and_named() {
        let series =
            |name: &str, points: &[(f64, f64)]| Series { name: name.to_owned(), points: points.to_vec() };
        let chart = LineChart {
            id: "two".to_owned(),
            title: "Two".to_owned(),
            across: "round",
            series: vec![
                series("own", &[(1.0, 0.0), (3.0, 1.0)]),
                series("average", &[(1.0, 0.5), (2.0, 0.5)]),
            ],
        };
        let html = chart.render().into_string();
        let (left, right, middle) = (LEFT, WIDTH - RIGHT, f64::midpoint(LEFT, WIDTH - RIGHT));
        let (top, bottom, half) = (TOP, HEIGHT - BOTTOM, f64::midpoint(TOP, HEIGHT - BOTTOM));
        for path in [format!("M{left} {bottom}L{right} {top}"), format!("M{left} {half}L{middle} {half}")] {
            assert!(html.contains(&format!("d=\"{path}\"")), "{path}: {html}");
        }
        for (place, number) in [(left, 1), (middle, 2), (right, 3)] {
            let below = bottom + 16.0;
            let tick = format!("<text class=\"middle\" x=\"{place}\" y=\"{below}\">{number}</text>");
            assert!(html.contains(&tick), "{tick}: {html}");
        }
        assert!(html.contains(">round</text>"), "what runs to the right: {html}");
        let (_, legend) = html.split_once("class=\"legend\"").unwrap();
        assert!(legend.contains(">own</bdi></li>") && legend.contains(">average</bdi></li>"), "{legend}");
    }

    #[test]
    fn a_chart_without_points_says_so() {
        let chart =
            LineChart { id: "a".to_owned(), title: "A".to_owned(), across: "round", series: Vec::new() };
        assert!(chart.render().into_string().contains("No points yet."));
    }
}
