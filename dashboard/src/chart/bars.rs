//! Bars to both sides of a line, one in each row of a table.

use maud::{Markup, html};

/// Width and height of the drawing; it is stretched to its column.
const WIDTH: f64 = 200.0;
const HEIGHT: f64 = 10.0;

/// The common scale of bars that begin at zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bars {
    low: f64,
    high: f64,
}

impl Bars {
    /// The scale of these values.
    pub(crate) fn over(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) =
            values.fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        Self { low, high }
    }

    /// Where a value lies, from 0 to [`WIDTH`].
    fn place(&self, value: f64) -> f64 {
        if self.high <= self.low {
            return 0.0;
        }
        ((value - self.low) / (self.high - self.low) * WIDTH * 10.0).round() / 10.0
    }

    /// The bar of a value. A gain is full, a loss is an outline on the other side of the line, so that they
    /// differ without colours. The value itself is said beside it.
    pub(crate) fn bar(&self, value: f64) -> Markup {
        let (zero, end) = (self.place(0.0), self.place(value));
        let class = if value < 0.0 { "loss" } else { "gain" };
        html! {
            svg.bar viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" aria-hidden="true" focusable="false" {
                rect class=(class) x=(zero.min(end)) y="1" width=((end - zero).abs()) height=(HEIGHT - 2.0) {}
                line x1=(zero) x2=(zero) y1="0" y2=(HEIGHT) {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_begin_at_a_common_line_and_losses_lie_on_the_other_side() {
        let bars = Bars::over([0.3, -0.1, 0.0].into_iter());
        let gain = bars.bar(0.3).into_string();
        assert!(gain.contains("class=\"gain\" x=\"50\"") && gain.contains("width=\"150\""), "{gain}");
        let loss = bars.bar(-0.1).into_string();
        assert!(loss.contains("class=\"loss\" x=\"0\"") && loss.contains("width=\"50\""), "{loss}");
        for one in [gain, loss] {
            assert!(one.contains("x1=\"50\" x2=\"50\""), "{one}");
        }
    }

    #[test]
    fn bars_of_nothing_and_of_large_numbers_can_be_drawn() {
        for values in [vec![], vec![0.0, 0.0], vec![2e30, -2e30]] {
            let bars = Bars::over(values.iter().copied());
            for value in values {
                let drawn = bars.bar(value).into_string();
                assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
            }
        }
    }
}
