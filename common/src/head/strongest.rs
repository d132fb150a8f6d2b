//! Which encoders of a head a smaller ensemble keeps: those with the largest learned weights. Weights that are equal
//! decide nothing; then an ablation does, where there is one.

use super::HeadFile;
use crate::model::Selection;

/// Two learned weights are equal if they differ by at most this share of the largest weight of the head.
pub const EQUAL_WEIGHTS: f32 = 0.01;

/// The encoders with the largest weights, as far as the weights decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strongest {
    /// Positions of those that are kept in any case, in ascending order.
    pub sure: Vec<usize>,
    /// Positions of those whose weights are equal and of which only some can be kept, the largest weight first, and
    /// of the same weight the first in the head. Empty if the weights decide.
    pub tied: Vec<usize>,
    /// How many of those are kept.
    pub places: usize,
}

impl Strongest {
    /// Those that are kept if the rest of the difference between equal weights decides, and then the order in the head:
    /// positions in ascending order.
    #[must_use]
    pub fn by_order(&self) -> Vec<usize> {
        self.kept(self.tied.clone())
    }

    /// Those that are kept if an ablation decides: of equal weights, the encoders without which the score is worst.
    /// `cost` is how much worse it is without the encoder at a position; below zero, it is better. Positions in ascending
    /// order. `None` if it does not decide: the last that would be kept and the first that would not have the same cost,
    /// or a cost is not a finite number.
    #[must_use]
    pub fn by_cost(&self, cost: impl Fn(usize) -> f64) -> Option<Vec<usize>> {
        let mut tied: Vec<(usize, f64)> = self.tied.iter().map(|at| (*at, cost(*at))).collect();
        if tied.iter().any(|(_, cost)| !cost.is_finite()) {
            return None;
        }
        tied.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mut neighbours = tied.windows(2);
        let decides = neighbours.nth(self.places.saturating_sub(1)).is_some_and(|two| two[0].1 > two[1].1);
        decides.then(|| self.kept(tied.into_iter().map(|(at, _)| at).collect()))
    }

    fn kept(&self, mut tied: Vec<usize>) -> Vec<usize> {
        tied.truncate(self.places);
        tied.extend(&self.sure);
        tied.sort_unstable();
        tied
    }
}

impl HeadFile {
    /// The `keep` encoders with the largest learned weights, and those among which the weights do not decide: those
    /// equal to the smallest that is kept, by [`EQUAL_WEIGHTS`].
    ///
    /// # Errors
    /// If the head has no learned selection, another number of weights than of encoders, or fewer encoders than `keep`.
    /// A sentence with the rule and the value found.
    pub fn strongest(&self, learned: Option<&[f32]>, keep: usize) -> Result<Strongest, String> {
        let Some(learned) = learned else {
            return Err(
                "the head has no learned selection; train one with `--select smooth` or `--select top-K` \
                        (in plans: `head.composition.selection`)"
                    .to_owned(),
            );
        };
        let count = self.encoders.len();
        if learned.len() != count {
            return Err(format!("the head must have {count} learned weights, found `{}`", learned.len()));
        }
        if !(1..=count).contains(&keep) {
            return Err(format!(
                "the number of encoders to keep must be between 1 and {count}, found `{keep}`"
            ));
        }
        let strength = self.strengths(learned);
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|a, b| strength[*b].total_cmp(&strength[*a]));
        let last = strength[order[keep - 1]];
        let largest = strength.iter().fold(0.0_f32, |largest, one| largest.max(one.abs()));
        let equal = |at: &usize| (strength[*at] - last).abs() <= EQUAL_WEIGHTS * largest;
        if !order[keep..].iter().any(equal) {
            let mut sure = order[..keep].to_vec();
            sure.sort_unstable();
            return Ok(Strongest { sure, tied: Vec::new(), places: 0 });
        }
        let tied: Vec<usize> = order.iter().copied().filter(equal).collect();
        let mut sure: Vec<usize> = order[..keep].iter().copied().filter(|at| !equal(at)).collect();
        sure.sort_unstable();
        Ok(Strongest { places: keep - sure.len(), sure, tied })
    }

    /// The weight of an encoder that has learned this number.
    pub(super) fn weight(&self, learned: f32) -> f32 {
        match self.composition.selection {
            Selection::Smooth { scale: false, .. } => sigmoid(learned),
            Selection::All | Selection::TopK { .. } | Selection::Smooth { scale: true, .. } => learned,
        }
    }

    /// How much each encoder counts. A factor of maps counts by its magnitude.
    fn strengths(&self, learned: &[f32]) -> Vec<f32> {
        let scaled = matches!(self.composition.selection, Selection::Smooth { scale: true, .. });
        let weights = learned.iter().map(|learned| self.weight(*learned));
        weights.map(|weight| if scaled { weight.abs() } else { weight }).collect()
    }

    /// The factor of each encoder's maps when the head is used. There are none for another number of weights than
    /// encoders.
    #[must_use]
    pub fn factors(&self, learned: &[f32]) -> Vec<f32> {
        let count = self.encoders.len();
        if learned.len() != count {
            return Vec::new();
        }
        match self.composition.selection {
            Selection::All => vec![1.0; count],
            Selection::Smooth { .. } => learned.iter().map(|learned| self.weight(*learned)).collect(),
            Selection::TopK { k, scale } => {
                let mut order: Vec<usize> = (0..count).collect();
                order.sort_by(|a, b| learned[*b].total_cmp(&learned[*a]));
                let chosen = &order[..k.min(count)];
                let factor = |at| if scale { learned[at] } else { 1.0 };
                (0..count).map(|at| if chosen.contains(&at) { factor(at) } else { 0.0 }).collect()
            }
        }
    }
}

/// The factor of a smooth selection without scaling.
fn sigmoid(learned: f32) -> f32 {
    1.0 / (1.0 + (-learned).exp())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::head;
    use super::*;

    const SMOOTH: &str = r#"{"kind":"smooth","penalty":0.1,"scale":false}"#;
    const SCALED: &str = r#"{"kind":"smooth","penalty":0.1,"scale":true}"#;
    const TOP: &str = r#"{"kind":"top_k","k":1,"scale":false}"#;

    fn strongest(selection: &str, learned: [f32; 3], keep: usize) -> Strongest {
        head(selection).strongest(Some(&learned), keep).unwrap()
    }

    fn decided(sure: &[usize]) -> Strongest {
        Strongest { sure: sure.to_vec(), tied: Vec::new(), places: 0 }
    }

    #[test]
    fn the_strongest_encoders_have_the_largest_weights() {
        let learned = [-3.0, 0.5, 1.0];
        assert_eq!(strongest(SMOOTH, learned, 2), decided(&[1, 2]));
        assert_eq!(strongest(SCALED, learned, 2), decided(&[0, 2]), "a factor counts by its magnitude");
        assert_eq!(strongest(TOP, learned, 1), decided(&[2]));
        assert_eq!(
            strongest(TOP, [1.0; 3], 3),
            decided(&[0, 1, 2]),
            "where all are kept, nothing is to decide"
        );
        assert_eq!(strongest(SMOOTH, learned, 2).by_cost(|at| -(at as f64)), None, "nor can a cost");
    }

    #[test]
    fn what_cannot_be_chosen_is_refused_with_the_value_found() {
        let smooth = head(SMOOTH);
        let refused = |learned: Option<&[f32]>, keep| smooth.strongest(learned, keep).unwrap_err();
        for keep in [0, 4, usize::MAX] {
            assert!(refused(Some(&[1.0; 3]), keep).contains(&format!("found `{keep}`")));
        }
        assert!(refused(None, 1).contains("no learned selection"));
        for other in [&[1.0; 2][..], &[1.0; 4], &[]] {
            assert!(refused(Some(other), 1).contains(&format!("found `{}`", other.len())));
        }
    }

    #[test]
    fn of_equal_weights_the_costs_decide_and_without_them_the_order() {
        let tie = strongest(TOP, [1.0, 1.0, 1.0], 1);
        assert_eq!((&tie.sure[..], &tie.tied[..], tie.places), (&[][..], &[0, 1, 2][..], 1));
        assert_eq!(tie.by_order(), [0]);
        // The first makes the score better when it is gone; the last makes it worst.
        let costs = [-0.03, 0.01, 0.2];
        assert_eq!(tie.by_cost(|at| costs[at]), Some(vec![2]));
        let two = strongest(TOP, [1.0, 1.0, 1.0], 2);
        assert_eq!(two.by_cost(|at| costs[at]), Some(vec![1, 2]), "what harms is not kept over what helps");
        assert_eq!((two.by_cost(|_| 0.0), two.by_order()), (None, vec![0, 1]));
        assert_eq!(tie.by_cost(|at| [0.2, 0.2, 0.0][at]), None, "of the two best, none is better");
        assert_eq!(two.by_cost(|at| [0.2, 0.2, 0.0][at]), Some(vec![0, 1]));
    }

    #[test]
    fn weights_are_equal_within_a_share_of_the_largest() {
        // 1.995 and 2.005 are within 1 % of 2.005; 1.9 is not.
        let tie = strongest(TOP, [1.995, 2.005, 1.9], 1);
        assert_eq!(
            (tie.tied.clone(), tie.by_order()),
            (vec![1, 0], vec![1]),
            "the larger of the two comes first"
        );
        assert_eq!(
            tie.by_cost(|at| [0.5, 0.1, 9.0][at]),
            Some(vec![0]),
            "a cost does not outweigh a smaller weight"
        );
        assert_eq!(strongest(TOP, [1.9, 2.0, 1.0], 1), decided(&[1]));
        // The largest is kept in any case, and the others compete for the second place.
        let second = strongest(SCALED, [0.5, -0.501, 2.0], 2);
        assert_eq!((second.sure.clone(), second.tied.clone(), second.places), (vec![2], vec![1, 0], 1));
        assert_eq!(second.by_cost(|at| [0.1, -0.1, 0.0][at]), Some(vec![0, 2]));
        // Sigmoids of large weights are equal, and so are those of very negative ones.
        assert_eq!(strongest(SMOOTH, [9.0, 20.0, 90.0], 1).tied.len(), 3);
        assert_eq!(strongest(SMOOTH, [5.0, -9.0, -99.0], 2).tied, [1, 2]);
    }

    #[test]
    fn weights_that_are_zero_or_no_numbers_do_no_harm() {
        let odd = strongest(TOP, [f32::NAN, 1.0, f32::NEG_INFINITY], 2);
        assert_eq!((odd.by_order().len(), odd.by_cost(|_| f64::NAN)), (2, None));
        let equal = strongest(TOP, [1.0, 1.0, 1.0], 1);
        for cost in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(equal.by_cost(|at| [0.5, 0.1, cost][at]), None, "{cost}");
        }
        let zero = strongest(TOP, [0.0, -0.0, 0.0], 1);
        assert_eq!(zero.tied.len(), 3, "nothing was learned");
    }

    #[test]
    fn factors_are_those_of_the_head_in_use() {
        let learned = [0.5, -1.0, 0.5];
        let of = |selection: &str| head(selection).factors(&learned);
        assert_eq!(of(r#"{"kind":"all"}"#), [1.0; 3]);
        assert_eq!((of(SCALED), of(SMOOTH)[1]), (learned.to_vec(), sigmoid(-1.0)));
        assert_eq!(of(TOP), [1.0, 0.0, 0.0], "of equal weights the first, as the trainer selects");
        assert_eq!(of(r#"{"kind":"top_k","k":2,"scale":true}"#), [0.5, 0.0, 0.5]);
        assert!(head(TOP).factors(&learned[1..]).is_empty());
    }

    proptest! {
        #[test]
        fn as_many_are_kept_as_asked_and_none_that_is_clearly_weaker(
            learned: [i8; 3], costs: [i8; 3], keep in 1_usize..=3,
        ) {
            let learned = learned.map(|one| f32::from(one) / 100.0);
            let chosen = strongest(SCALED, learned, keep);
            let largest = learned.iter().fold(0.0_f32, |most, one| most.max(one.abs()));
            let by_cost = chosen.by_cost(|at| f64::from(costs[at]));
            for kept in by_cost.into_iter().chain([chosen.by_order()]) {
                prop_assert_eq!(kept.len(), keep);
                prop_assert!(kept.windows(2).all(|two| two[0] < two[1]));
                for (inside, outside) in kept.iter().flat_map(|a| (0..3).map(move |b| (*a, b))) {
                    let clear = learned[outside].abs() - learned[inside].abs() > 2.1 * EQUAL_WEIGHTS * largest;
                    prop_assert!(kept.contains(&outside) || !clear);
                }
            }
        }
    }
}
