//! What becomes of a pixel: its class, its value, or the probability of each class.

use eosfed_common::head::HeadFile;
use eosfed_common::model::Task;
use eosfed_data::{MAP_TILE, MapKind};

use crate::metrics::PRESENT;

/// The class of pixels without data.
const NO_DATA: f32 = MapKind::NO_DATA as f32;
/// Stands for a class in previews where no class is true.
pub(super) const NONE: f32 = -1.0;
/// From so many percent on, a class is true where several can be.
pub(super) const THRESHOLD: u8 = (PRESENT * 100.0) as u8;

/// What a file of a scene shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// The class or value of each pixel.
    Single,
    /// The probability of its class.
    Confidence,
    /// The probability of each class in whole percent, rounded down: what reaches a threshold in the map does so in
    /// the head's output too.
    Percents,
}

/// How the outputs of a head decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// The most probable class.
    Class,
    /// The value.
    Value,
    /// Any of so many classes.
    Several(usize),
}

/// Pixels so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counts {
    /// Of each class.
    pub(super) classes: Vec<u64>,
    /// With data, and without a class that is true.
    pub(super) none: u64,
    /// Without data.
    pub(super) no_data: u64,
}

impl Counts {
    /// No pixel yet.
    pub(super) fn new(classes: usize) -> Self {
        Self { classes: vec![0; classes], none: 0, no_data: 0 }
    }
}

/// A row of decided pixels.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// The class or value of each pixel. Where several classes can be true, it is the most probable one of those that
    /// are, or [`NONE`].
    single: Vec<f32>,
    /// The probability of its class; NaN of values and where there is no data.
    confidence: Vec<f32>,
    /// `[width, classes]` where several can be true.
    percents: Vec<u8>,
}

impl Row {
    /// Number of pixels.
    pub(super) const fn width(&self) -> usize {
        self.single.len()
    }

    /// One class or value for each pixel.
    pub(super) fn single(&self) -> impl Iterator<Item = f32> {
        self.single.iter().copied()
    }
}

impl Decision {
    /// That of a head.
    pub(super) const fn of(head: &HeadFile) -> Self {
        match (&head.target, head.task) {
            (Some(_), _) => Self::Value,
            (None, Task::Multilabel) => Self::Several(head.classes.len()),
            (None, _) => Self::Class,
        }
    }

    /// What its map shows.
    pub(super) const fn shown(self) -> Shown {
        match self {
            Self::Class | Self::Value => Shown::Single,
            Self::Several(_) => Shown::Percents,
        }
    }

    /// Decides a row of pixels, each of `cells` numbers: the weighted sums of its outputs, and the sum of weights.
    pub(super) fn row(self, sums: &[f32], cells: usize, counts: &mut Counts) -> Row {
        let mut row = Row::default();
        for pixel in sums.chunks_exact(cells) {
            match pixel.split_last() {
                Some((weight, sums)) if *weight > 0.0 => self.decide(sums, *weight, &mut row, counts),
                _ => {
                    counts.no_data += 1;
                    row.single.push(if self == Self::Class { NO_DATA } else { f32::NAN });
                    row.confidence.push(f32::NAN);
                    if let Self::Several(classes) = self {
                        row.percents.extend(std::iter::repeat_n(MapKind::NO_DATA, classes));
                    }
                }
            }
        }
        row
    }

    fn decide(self, sums: &[f32], weight: f32, row: &mut Row, counts: &mut Counts) {
        let best = (0..sums.len()).max_by(|a, b| sums[*a].total_cmp(&sums[*b])).unwrap_or_default();
        let (single, confidence) = match self {
            Self::Value => (sums[0] / weight, f32::NAN),
            Self::Class => {
                counts.classes[best] += 1;
                (best as f32, sums[best] / weight)
            }
            Self::Several(_) => {
                // Rounding of the blended sum can pass 1.
                let percent = |sum: &f32| (100.0 * (sum / weight)).clamp(0.0, 100.0) as u8;
                let from = row.percents.len();
                row.percents.extend(sums.iter().map(percent));
                let found = &row.percents[from..];
                let present = |(_, percent): &(&mut u64, &u8)| **percent >= THRESHOLD;
                counts.classes.iter_mut().zip(found).filter(present).for_each(|(count, _)| *count += 1);
                let is_none = found[best] < THRESHOLD;
                counts.none += u64::from(is_none);
                (if is_none { NONE } else { best as f32 }, f32::NAN)
            }
        };
        row.single.push(single);
        row.confidence.push(confidence);
    }

    /// A tile `[bands, MAP_TILE, MAP_TILE]` of a file, from rows of a panel and from a column of it on.
    pub(super) fn tile(self, shown: Shown, rows: &[Row], left: usize) -> Vec<f32> {
        let (bands, empty) = match (shown, self) {
            (Shown::Percents, Self::Several(classes)) => (classes, NO_DATA),
            (Shown::Single, Self::Class) => (1, NO_DATA),
            (Shown::Single | Shown::Confidence | Shown::Percents, _) => (1, f32::NAN),
        };
        let mut tile = vec![empty; bands * MAP_TILE * MAP_TILE];
        for (band, plane) in tile.chunks_exact_mut(MAP_TILE * MAP_TILE).enumerate() {
            for (line, cells) in rows.iter().zip(plane.chunks_exact_mut(MAP_TILE)) {
                for (cell, x) in cells.iter_mut().zip(left..line.width()) {
                    *cell = match shown {
                        Shown::Single => line.single[x],
                        Shown::Confidence => line.confidence[x],
                        Shown::Percents => f32::from(line.percents[x * bands + band]),
                    };
                }
            }
        }
        tile
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_classes_of_a_pixel_can_be_true_and_reach_the_threshold_as_they_do_in_the_map() {
        let mut counts = Counts::new(3);
        // Weights of 2: probabilities are half of the sums. The last pixel has no data.
        let sums =
            [1.8, 1.0, 0.0, 2.0, 0.999_99, 0.93, 0.11, 2.0, 2.000_001, 2.0, 2.0, 2.0, 0.0, 0.0, 0.0, 0.0];
        let row = Decision::Several(3).row(&sums, 4, &mut counts);
        assert_eq!(row.percents, [90, 50, 0, 49, 46, 5, 100, 100, 100, 255, 255, 255]);
        assert_eq!(counts, Counts { classes: vec![2, 2, 1], none: 1, no_data: 1 });
        let shown: Vec<f32> = row.single().collect();
        assert!(shown[..3] == [0.0, NONE, 0.0] && shown[3].is_nan(), "{shown:?}");
        let tile = Decision::Several(3).tile(Shown::Percents, &[row], 1);
        let at = |band: usize, x: usize| tile[band * MAP_TILE * MAP_TILE + x];
        assert_eq!(
            [at(0, 0), at(1, 0), at(2, 0), at(2, 1), at(0, 2), at(0, 3)],
            [49.0, 46.0, 5.0, 100.0, 255.0, 255.0]
        );
        assert_eq!(tile[MAP_TILE], 255.0, "below the last row");
    }

    #[test]
    fn a_pixel_has_its_most_probable_class_or_its_value() {
        let mut counts = Counts::new(2);
        let sums = [0.2, 0.6, 0.8, 0.0, 0.0, 0.0];
        let row = Decision::Class.row(&sums, 3, &mut counts);
        assert_eq!((&row.single[..], row.confidence[0]), (&[1.0, 255.0][..], 0.75));
        assert_eq!(counts, Counts { classes: vec![0, 1], none: 0, no_data: 1 });
        let row = Decision::Value.row(&[3.0, 2.0, 1.0, 0.0], 2, &mut counts);
        assert!(row.single[0] == 1.5 && row.single[1].is_nan() && row.confidence[0].is_nan());
    }
}
