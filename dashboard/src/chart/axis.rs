//! Round numbers along an axis.

/// The range of an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    /// An axis that has room for these values, with about so many steps of 1, 2 or 5 times a power of ten.
    /// With `whole`, steps are whole numbers.
    pub(crate) fn over(values: impl Iterator<Item = f64>, steps: f64, whole: bool) -> Self {
        let (low, high) = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return Self { low: 0.0, high: 1.0, step: 1.0 };
        }
        let alone = if whole { 1.0 } else { low.abs().max(1.0) };
        let span = if high > low { high - low } else { alone };
        let rough = span / steps;
        let power = 10_f64.powf(rough.log10().floor());
        let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough).unwrap_or(10.0);
        let step = if whole { (factor * power).max(1.0) } else { factor * power };
        let low = (low / step).floor() * step;
        let high = (high / step).ceil() * step;
        let high = if high > low { high } else { low + step };
        if low.is_finite() && high.is_finite() && step > 0.0 {
            Self { low, high, step }
        } else {
            // Values near the largest float have no round numbers.
            Self { low: 0.0, high: 1.0, step: 1.0 }
        }
    }

    /// Where a value lies, from 0 to 1.
    pub(crate) fn place(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// The values that are marked, at most twenty.
    pub(crate) fn ticks(&self) -> Vec<f64> {
        let ticks = (0..20_u32).map(|place| self.low + f64::from(place) * self.step);
        ticks.take_while(|tick| *tick <= self.high + self.step * 1e-6).collect()
    }

    /// A marked value as text, with the digits that the step needs.
    pub(crate) fn label(&self, tick: f64) -> String {
        let tick = if tick.abs() < self.step * 1e-6 { 0.0 } else { tick };
        if tick.abs() >= 1e5 || self.step < 1e-5 {
            return format!("{tick:.1e}");
        }
        let digits = (0..6_usize).find(|digits| {
            let scaled = self.step * 10_f64.powi(i32::try_from(*digits).unwrap_or(0));
            (scaled - scaled.round()).abs() < 1e-6
        });
        format!("{tick:.*}", digits.unwrap_or(5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[f64], whole: bool) -> Vec<String> {
        let axis = Axis::over(values.iter().copied(), 5.0, whole);
        axis.ticks().into_iter().map(|tick| axis.label(tick)).collect()
    }

    #[test]
    fn marks_are_round_numbers() {
        assert_eq!(labels(&[0.0, 1.0], false), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&[1.0, 3.0], true), ["1", "2", "3"]);
        assert_eq!(labels(&[0.31, 0.33], false).first().unwrap(), "0.310");
        assert_eq!(labels(&[7.0], true), ["7", "8"]);
    }

    #[test]
    fn odd_values_make_an_axis_too() {
        for values in [&[][..], &[f64::MAX, -f64::MAX], &[1e-300, 2e-300], &[0.0], &[-5.0, -5.0]] {
            let axis = Axis::over(values.iter().copied(), 5.0, false);
            assert!(!axis.ticks().is_empty() && axis.ticks().len() <= 20, "{values:?}: {axis:?}");
            assert!(values.iter().all(|value| axis.place(*value).is_finite()), "{values:?}: {axis:?}");
        }
    }
}
