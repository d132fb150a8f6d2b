//! Values of masks that `mask_values` does not list. Their pixels have no label, which is a loss where it was not meant.

use std::collections::BTreeMap;

use crate::raster::whole_number;
use crate::sample::IGNORE;

/// Most values that are told apart; the rest counts together.
const MOST: usize = 256;

/// The pixels of each value that is not listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unlisted {
    values: BTreeMap<i64, u64>,
    /// Pixels of other values: no whole numbers, or too many different ones.
    others: u64,
    /// Pixels of the usual number of no label, which is meant for that and counts for itself.
    usual: u64,
}

impl Unlisted {
    /// Adds a pixel. Those without data say nothing.
    pub(super) fn add(&mut self, value: f32) {
        if value == f32::from(IGNORE) {
            self.usual = self.usual.saturating_add(1);
        } else if value.is_finite() {
            self.put(whole_number(value), 1);
        }
    }

    /// Adds those of another sample.
    pub(crate) fn merge(&mut self, other: &Self) {
        other.values.iter().for_each(|(value, pixels)| self.put(Some(*value), *pixels));
        self.put(None, other.others);
        self.usual = self.usual.saturating_add(other.usual);
    }

    fn put(&mut self, value: Option<i64>, pixels: u64) {
        let value = value.filter(|value| self.values.len() < MOST || self.values.contains_key(value));
        let count = value.map_or(&mut self.others, |value| self.values.entry(value).or_default());
        *count = count.saturating_add(pixels);
    }

    /// The pixels of the usual number of no label, 255.
    pub(crate) const fn usual(&self) -> u64 {
        self.usual
    }

    /// The pixels of each other value, in the order of values, and of all others under `others`.
    pub(crate) fn pixels(&self) -> Vec<(String, u64)> {
        let named = self.values.iter().map(|(value, pixels)| (value.to_string(), *pixels));
        named.chain((self.others > 0).then(|| ("others".to_owned(), self.others))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_without_data_or_label_do_not_count_and_values_are_few() {
        let mut found = Unlisted::default();
        [f32::NAN, f32::INFINITY, 255.0].into_iter().for_each(|value| found.add(value));
        assert_eq!((found.pixels(), found.usual()), (vec![], 1));
        [3.0, -1.0, 3.0, 0.5, 1e30].into_iter().for_each(|value| found.add(value));
        let said =
            |found: &Unlisted| found.pixels().iter().map(|(v, n)| format!("{v}:{n}")).collect::<Vec<_>>();
        assert_eq!(said(&found), ["-1:1", "3:2", "others:2"]);
        let mut all = found.clone();
        all.merge(&found);
        assert_eq!((said(&all).join(" "), all.usual()), ("-1:2 3:4 others:4".to_owned(), 2));
        (1000..2000).for_each(|value| all.add(value as f32));
        assert_eq!(all.pixels().len(), MOST + 1);
        assert_eq!(all.pixels().iter().map(|(_, pixels)| pixels).sum::<u64>(), 1010);
    }
}
