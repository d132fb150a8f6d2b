//! The common properties of samples: their size in pixels and their ground sampling distance.

use eosfed_common::head::Imagery;

/// Sizes and ground sampling distances of the samples that have been read.
#[derive(Debug, Default)]
pub(crate) struct ImageryRange {
    size: Common<[usize; 2]>,
    /// Least and greatest.
    distance: Option<[f64; 2]>,
    without_distance: bool,
}

/// A value that all samples so far share.
#[derive(Debug, Default)]
enum Common<T> {
    #[default]
    Unknown,
    Is(T),
    Differs,
}

impl ImageryRange {
    /// Adds a sample of this height and width.
    pub(crate) fn add(&mut self, size: [usize; 2], ground_sampling_distance: Option<f64>) {
        self.size = match self.size {
            Common::Unknown => Common::Is(size),
            Common::Is(known) if known == size => Common::Is(known),
            Common::Is(_) | Common::Differs => Common::Differs,
        };
        match (ground_sampling_distance, self.distance) {
            (Some(metres), Some([low, high])) => self.distance = Some([low.min(metres), high.max(metres)]),
            (Some(metres), None) => self.distance = Some([metres; 2]),
            (None, _) => self.without_distance = true,
        }
    }

    /// The common properties of all samples.
    pub(crate) fn imagery(&self) -> Imagery {
        let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
        Imagery {
            tile: match self.size {
                Common::Is(size) => Some(size.map(side)),
                Common::Unknown | Common::Differs => None,
            },
            ground_sampling_distance: match self.distance {
                Some([low, high]) if !self.without_distance && high <= low * Imagery::ALIKE => {
                    Some((low * high).sqrt())
                }
                _ => None,
            },
        }
    }

    /// A note about samples that differ.
    pub(crate) fn note(&self) -> Option<String> {
        let [low, high] = self.distance?;
        (high > low * Imagery::ALIKE).then(|| {
            format!(
                "images have ground sampling distances from {low:.1} to {high:.1} m; models learn best at one"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(samples: &[([usize; 2], Option<f64>)]) -> ImageryRange {
        let mut range = ImageryRange::default();
        samples.iter().for_each(|(size, distance)| range.add(*size, *distance));
        range
    }

    fn imagery(tile: Option<[u32; 2]>, ground_sampling_distance: Option<f64>) -> Imagery {
        Imagery { tile, ground_sampling_distance }
    }

    #[test]
    fn properties_of_all_samples_are_known() {
        let alike = range(&[([32, 64], Some(10.0)), ([32, 64], Some(10.0))]);
        assert_eq!((alike.imagery(), alike.note()), (imagery(Some([32, 64]), Some(10.0)), None));
        let near = range(&[([32, 32], Some(10.0)), ([32, 32], Some(10.4))]).imagery();
        assert!(near.ground_sampling_distance.is_some_and(|metres| (10.0..10.4).contains(&metres)));
        assert_eq!(range(&[]).imagery(), Imagery::default());
    }

    #[test]
    fn differing_or_missing_properties_are_unknown() {
        let sizes = range(&[([32, 64], Some(10.0)), ([64, 32], Some(10.0)), ([32, 64], Some(10.0))]);
        assert_eq!(sizes.imagery(), imagery(None, Some(10.0)));
        let distances = range(&[([32, 32], Some(10.0)), ([32, 32], Some(30.0))]);
        assert_eq!(distances.imagery(), imagery(Some([32, 32]), None));
        assert!(distances.note().is_some_and(|note| note.contains("from 10.0 to 30.0 m")));
        let silent = range(&[([32, 32], Some(10.0)), ([32, 32], None)]);
        assert_eq!((silent.imagery(), silent.note()), (imagery(Some([32, 32]), None), None));
    }
}
