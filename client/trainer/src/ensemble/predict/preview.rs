//! A small picture of a map, collected while the map is made.

use eosfed_plot::{Legend, Picture, ValueRange, ramp};

use super::decision::{NONE, THRESHOLD};

/// The colour of pixels without data: that of the sheet.
const EMPTY: [u8; 3] = [255; 3];
/// The colour of pixels of which no class is true.
const NO_CLASS: [u8; 3] = [205; 3];

fn no_data() -> (String, [u8; 3]) {
    ("no data".to_owned(), EMPTY)
}

/// Whether a pixel of a map of so many classes has no data.
fn is_empty(class: f32, classes: usize) -> bool {
    class.is_nan() || class >= classes as f32
}

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

    /// Between which values almost all are: the 2nd and the 98th percentile, since one wild value would take the colours
    /// of all others. 0 without values.
    fn range(&self) -> [f32; 2] {
        let mut finite: Vec<f32> = self.values().filter(|value| value.is_finite()).collect();
        finite.sort_by(f32::total_cmp);
        let last = finite.len().saturating_sub(1);
        [2, 98].map(|percent| finite.get(last * percent / 100).copied().unwrap_or_default())
    }

    fn values(&self) -> impl Iterator<Item = f32> {
        self.rows.iter().flatten().copied()
    }

    /// What the colours of values mean, which are so named.
    pub(super) fn of_values(&self, name: String) -> Legend {
        let [low, high] = self.range().map(f64::from);
        let without = self.values().any(f32::is_nan).then(no_data);
        Legend::Values(ValueRange { name, low, high, open: true, without })
    }

    /// What the colours of classes mean. Where several can be true, some places have no class.
    pub(super) fn of_classes(&self, classes: Vec<(String, [u8; 3])>) -> Legend {
        let none = self.values().any(|value| value == NONE);
        let none = none.then(|| (format!("no class of {THRESHOLD} % or more"), NO_CLASS));
        let empty = self.values().any(|value| is_empty(value, classes.len())).then(no_data);
        Legend::Classes(classes.into_iter().chain(none).chain(empty).collect())
    }

    /// The picture, in the colours of classes, or with values from dark to light.
    pub(super) fn picture(&self, colours: Option<&[[u8; 3]]>) -> Picture {
        let [low, high] = self.range();
        let colour = |value: f32| match colours {
            Some(_) if value == NONE => NO_CLASS,
            Some(colours) if is_empty(value, colours.len()) => EMPTY,
            Some(colours) => colours[value as usize],
            None if value.is_nan() => EMPTY,
            None => ramp(f64::from((value - low) / (high - low).max(f32::MIN_POSITIVE))),
        };
        Picture {
            width: self.rows.first().map_or(0, Vec::len) as u32,
            height: self.rows.len() as u32,
            pixels: self.values().map(colour).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preview(values: &[f32]) -> Preview {
        let mut preview = Preview::new(1);
        preview.add(0, 0, values.iter().copied());
        preview
    }

    #[test]
    fn the_legend_has_what_the_picture_has() {
        let water = || vec![("water".to_owned(), [0, 0, 200])];
        let names = |values: &[f32]| match preview(values).of_classes(water()) {
            Legend::Classes(classes) => classes.into_iter().map(|(name, _)| name).collect::<Vec<_>>(),
            Legend::Values(_) => panic!("of classes"),
        };
        assert_eq!(names(&[0.0, 0.0]), ["water"]);
        assert_eq!(names(&[0.0, 255.0]), ["water", "no data"]);
        assert_eq!(names(&[NONE, f32::NAN]), ["water", "no class of 50 % or more", "no data"]);
        let picture = preview(&[0.0, NONE, f32::NAN, 255.0]).picture(Some(&[[0, 0, 200]]));
        assert_eq!(picture.pixels, [[0, 0, 200], NO_CLASS, EMPTY, EMPTY]);
    }

    #[test]
    fn one_wild_value_does_not_take_the_colours_of_the_others() {
        let values: Vec<f32> = (0..100).map(|at| at as f32).chain([1e6, f32::NAN]).collect();
        let preview = preview(&values);
        let Legend::Values(range) = preview.of_values("biomass (t/ha)".to_owned()) else {
            panic!("of values")
        };
        assert_eq!((range.low, range.high, range.open), (2.0, 98.0, true));
        assert_eq!(range.without, Some(("no data".to_owned(), EMPTY)));
        let pixels = preview.picture(None).pixels;
        assert_eq!((pixels[0], pixels[100], pixels[101]), (ramp(0.0), ramp(1.0), EMPTY));
    }
}
