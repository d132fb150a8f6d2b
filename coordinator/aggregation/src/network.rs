//! Sorting networks: Batcher's merge exchange for any number of values (Knuth, The Art of Computer
//! Programming, volume 3, section 5.2.2, algorithm M).

use std::ops::Range;

use crate::vectorised::with_vectors;

/// Coordinates that are sorted side by side. A hundred updates of them fit into a first-level cache.
pub(crate) const WIDTH: usize = 64;

/// One value of each of [`WIDTH`] coordinates, as integers in the order of [`f32::total_cmp`].
pub(crate) type Lanes = [i32; WIDTH];

/// Comparisons, in order: the smaller value goes to the first place, the larger one to the second.
pub(crate) struct Network(Vec<(usize, usize)>);

impl Network {
    /// The network for `count` values of which the places `needed` are looked at: comparisons that
    /// cannot change these are left out.
    pub(crate) fn of(count: usize, needed: Range<usize>) -> Self {
        let mut matters = vec![false; count];
        matters[needed].fill(true);
        let mut kept: Vec<_> = (merge_exchange(count).into_iter().rev())
            .filter(|(first, second)| {
                let used = matters[*first] || matters[*second];
                matters[*first] |= used;
                matters[*second] |= used;
                used
            })
            .collect();
        kept.reverse();
        Self(kept)
    }

    /// Sorts every lane.
    pub(crate) fn sort(&self, lanes: &mut [Lanes]) {
        with_vectors!({
            for (first, second) in &self.0 {
                let (below, above) = lanes.split_at_mut(*second);
                for (a, b) in below[*first].iter_mut().zip(&mut above[0]) {
                    (*a, *b) = ((*a).min(*b), (*a).max(*b));
                }
            }
        });
    }
}

/// All comparisons that sort `count` values.
fn merge_exchange(count: usize) -> Vec<(usize, usize)> {
    let mut comparisons = Vec::new();
    let top = count.next_power_of_two() / 2;
    let mut span = top;
    while span > 0 {
        let mut reach = top;
        let mut phase = 0;
        let mut distance = span;
        loop {
            let pairs = (0..count.saturating_sub(distance)).filter(|index| index & span == phase);
            comparisons.extend(pairs.map(|index| (index, index + distance)));
            if reach == span {
                break;
            }
            distance = reach - span;
            reach /= 2;
            phase = span;
        }
        span /= 2;
    }
    comparisons
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random, the same each time.
    fn numbers(count: usize, mut state: u64) -> Vec<i32> {
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as i32 - (1 << 23)
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    fn sorted_by(network: &Network, column: &[i32]) -> Vec<i32> {
        let mut lanes: Vec<Lanes> = column.iter().map(|value| [*value; WIDTH]).collect();
        network.sort(&mut lanes);
        lanes.iter().map(|lanes| lanes[WIDTH - 1]).collect()
    }

    #[test]
    fn a_network_sorts_every_sequence_of_zeros_and_ones() {
        // So it sorts everything (Knuth 5.3.4, theorem Z).
        for count in 0..=12 {
            let network = Network::of(count, 0..count);
            for bits in 0..1_u32 << count {
                let column: Vec<i32> = (0..count).map(|index| (bits >> index & 1) as i32).collect();
                let mut expected = column.clone();
                expected.sort_unstable();
                assert_eq!(sorted_by(&network, &column), expected, "{count}: {bits:b}");
            }
        }
    }

    #[test]
    fn what_is_left_out_changes_no_place_that_is_needed() {
        for count in 1..=130 {
            for cut in [0, count / 10, (count - 1) / 2] {
                let network = Network::of(count, cut..count - cut);
                let column = numbers(count, (count * 1000 + cut) as u64);
                let mut expected = column.clone();
                expected.sort_unstable();
                let found = sorted_by(&network, &column);
                assert_eq!(found[cut..count - cut], expected[cut..count - cut], "{count}, {cut}");
            }
        }
    }

    #[test]
    fn a_median_needs_fewer_comparisons_than_a_sort() {
        let comparisons = |needed: Range<usize>| Network::of(100, needed).0.len();
        assert!(comparisons(49..51) < comparisons(0..100), "{}", comparisons(0..100));
    }
}
