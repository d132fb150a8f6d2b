//! A small picture of a map, collected while the map is made.

use eosfed_plot::{Legend, Picture, ramp};

use super::decision::NONE;

/// The colour of pixels without data.
const EMPTY: [u8; 3] = [230; 3];
/// The colour of pixels of which no class is true.
pub(super) const NO_CLASS: [u8; 3] = [255; 3];

/// Every n-th pixel of every n-th row of the map.
pub(super) struct Preview {
    every: usize,
    rows: Vec<Vec<f32>>,
}

impl Preview {
    /// A picture with every `every`-th pixel.
    pub(super) const fn new(every: usize) -> Self {
        Self { every, rows: Vec::new() }
    }

    /// Adds its share of a complete row of a panel.
    pub(super) fn add(&mut self, row: usize, left: usize, values: impl Iterator<Item = f32>) {
        if !row.is_multiple_of(self.every) {
            return;
        }
        let at = row / self.every;
        if self.rows.len() <= at {
            self.rows.resize(at + 1, Vec::new());
        }
        let first = left.div_ceil(self.every) * self.every - left;
        self.rows[at].extend(values.skip(first).step_by(self.every));
    }

    /// The smallest and the largest value; `None` without values.
    fn range(&self) -> Option<(f32, f32)> {
        let finite = self.rows.iter().flatten().copied().filter(|value| value.is_finite());
        let wider = |(low, high): (f32, f32), value: f32| (low.min(value), high.max(value));
        finite.fold(None, |range, value| Some(wider(range.unwrap_or((value, value)), value)))
    }

    /// The ends of the range of values with their colours.
    pub(super) fn ends(&self) -> Legend {
        let named =
            |(low, high): (f32, f32)| vec![(format!("{low}"), ramp(0.0)), (format!("{high}"), ramp(1.0))];
        self.range().map(named).unwrap_or_default()
    }

    /// The picture, in the colours of classes, or with values from dark to light.
    pub(super) fn picture(&self, colours: Option<&[[u8; 3]]>) -> Picture {
        let (low, high) = self.range().unwrap_or_default();
        let colour = |value: f32| match colours {
            _ if value.is_nan() => EMPTY,
            Some(_) if value == NONE => NO_CLASS,
            Some(colours) => colours.get(value as usize).copied().unwrap_or(EMPTY),
            None => ramp(f64::from((value - low) / (high - low).max(f32::MIN_POSITIVE))),
        };
        Picture {
            width: self.rows.first().map_or(0, Vec::len) as u32,
            height: self.rows.len() as u32,
            pixels: self.rows.iter().flatten().copied().map(colour).collect(),
        }
    }
}
