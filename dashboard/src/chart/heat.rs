//! A heat map. It is a table whose cells have colours, so its numbers are read by everybody.

use maud::{Markup, Render, html};

use crate::format;

/// Shades of the scale.
const SHADES: f64 = 9.0;

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// A number.
    Value(f64),
    /// A word instead of a number.
    Word(String),
    /// Nothing is known.
    Empty,
}

/// A heat map.
#[derive(Debug)]
pub(crate) struct HeatMap {
    /// An id, unique on the page.
    pub(crate) id: &'static str,
    /// What it shows.
    pub(crate) title: String,
    /// What the rows are.
    pub(crate) rows_are: &'static str,
    /// The titles of the columns.
    pub(crate) columns: Vec<Markup>,
    /// The rows: titles and cells.
    pub(crate) rows: Vec<(Markup, Vec<Cell>)>,
    /// The values of the scale's ends.
    pub(crate) scale: (f64, f64),
    /// Whether smaller values are better.
    pub(crate) smaller_is_better: bool,
}

impl HeatMap {
    /// The name of a value's shade, the best being the strongest.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between 0 and 9")]
    fn shade(&self, value: f64) -> String {
        let (low, high) = self.scale;
        let place = if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 };
        let place = if self.smaller_is_better { 1.0 - place } else { place };
        format!("h{}", (place * SHADES).round() as u32)
    }

    fn cell(&self, cell: &Cell) -> Markup {
        match cell {
            Cell::Value(value) => {
                html! { td class={ "heat " (self.shade(*value)) } { (format::value(*value)) } }
            }
            Cell::Word(word) => html! { td.heat.word { (word) } },
            Cell::Empty => html! { td.heat.word { span aria-hidden="true" { "·" } span.unseen { "none" } } },
        }
    }
}

impl Render for HeatMap {
    fn render(&self) -> Markup {
        let (low, high) = self.scale;
        html! {
            figure.chart.wide id=(self.id) {
                figcaption { (self.title) }
                div.scroll tabindex="0" role="region" aria-label=(self.title) id={ (self.id) "-scroll" } {
                    table.heatmap {
                        caption.unseen { (self.title) }
                        thead { tr {
                            th scope="col" { (self.rows_are) }
                            @for column in &self.columns { th scope="col" { (column) } }
                        } }
                        tbody {
                            @for (title, cells) in &self.rows {
                                tr { th scope="row" { (title) } @for cell in cells { (self.cell(cell)) } }
                            }
                        }
                    }
                }
                p.scale {
                    span { (format::value(if self.smaller_is_better { high } else { low })) }
                    span.shades aria-hidden="true" { @for shade in 0..10 { i class={ "h" (shade) } {} } }
                    span { (format::value(if self.smaller_is_better { low } else { high })) }
                    span.of { "better to the right" }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_value_has_the_strongest_shade() {
        let map = |smaller_is_better| HeatMap {
            id: "scores",
            title: "Scores".to_owned(),
            rows_are: "specialist",
            columns: Vec::new(),
            rows: Vec::new(),
            scale: (0.0, 1.0),
            smaller_is_better,
        };
        assert_eq!([map(false).shade(1.0), map(false).shade(0.0), map(false).shade(7.0)], ["h9", "h0", "h9"]);
        assert_eq!([map(true).shade(1.0), map(true).shade(0.0)], ["h0", "h9"]);
        assert_eq!(HeatMap { scale: (2.0, 2.0), ..map(false) }.shade(2.0), "h5");
    }
}
