//! Specialists with equal weights in the head of a job, of which pruning keeps some: those without which the head is
//! worst, by an ablation that was handed in for its release.

use eosfed_common::digest::Digest;
use eosfed_common::finite::Finite;
use eosfed_common::head::{EQUAL_WEIGHTS, HeadFile, Strongest};
use eosfed_common::view::{AblationView, ReleaseView, WithoutView};

/// Factors of maps in an ablation and in a head are the same if they differ by less than this: the trainer computes in
/// 32 bits.
const SAME_FACTOR: f64 = 1e-4;

/// The encoders that are kept.
pub(super) struct Kept {
    /// Their positions, in ascending order.
    pub(super) places: Vec<usize>,
    /// What has decided between equal weights.
    pub(super) tie: Tie,
}

/// What has decided between equal weights.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tie {
    /// There were none at the limit.
    None,
    /// An ablation: what it was and what came of it.
    Ablation(String),
    /// The rest of the difference and the order in the head: why, and how to give an ablation.
    Order(String),
}

/// The encoders of a job's head that are kept, with these learned weights.
pub(super) fn kept(strongest: &Strongest, head: &HeadFile, learned: &[f32], release: &ReleaseView) -> Kept {
    if strongest.tied.is_empty() {
        return Kept { places: strongest.by_order(), tie: Tie::None };
    }
    let share = EQUAL_WEIGHTS * 100.0;
    let equal = format!(
        "the weights of {} are equal (they differ by at most {share} % of the largest weight)",
        names(head, strongest, |_| true)
    );
    let outcome = |places: &[usize]| {
        let kept = names(head, strongest, |at| places.contains(&at));
        format!("kept {kept}, left out {}", names(head, strongest, |at| !places.contains(&at)))
    };
    let found = ablation(head, learned, release).and_then(|ablation| {
        let cost = |at: usize| without(ablation, head, at).map_or(0.0, |one| one.gain.get());
        let reason = || format!("by the ablation of `{}` to leave them out costs the same", ablation.head);
        strongest.by_cost(cost).map(|places| (ablation, places)).ok_or_else(reason)
    });
    match found {
        Ok((ablation, places)) => {
            let AblationView { head, part, samples, recorded_by, .. } = ablation;
            let by = format!("`{head}` ({part} part, n = {samples}, handed in by {recorded_by})");
            let words = format!("{equal}; the ablation of {by} decided: {}", outcome(&places));
            Kept { places, tie: Tie::Ablation(words) }
        }
        Err(reason) => {
            let places = strongest.by_order();
            let number = head.release;
            let words = format!(
                "{equal}, and {reason}; so the larger weight decided, and then the order in the head: {}. To choose by what \
                 each contributes, fetch the head (`eosfed job head`), measure it (`eosfed-trainer ensemble ablate`), hand \
                 the result in (`eosfed release ablation {number} FILE`) and prune release {number} again",
                outcome(&places)
            );
            Kept { places, tie: Tie::Order(words) }
        }
    }
}

/// Names of the tied encoders at some places, in the order of the head.
fn names(head: &HeadFile, strongest: &Strongest, wanted: impl Fn(usize) -> bool) -> String {
    let mut places: Vec<usize> = strongest.tied.iter().copied().filter(|at| wanted(*at)).collect();
    places.sort_unstable();
    places.iter().map(|at| head.encoders[*at].name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The ablation of this very head, or why there is none.
fn ablation<'a>(
    head: &HeadFile,
    learned: &[f32],
    release: &'a ReleaseView,
) -> Result<&'a AblationView, String> {
    let (name, number) = (&head.name, head.release);
    let Some(found) = release.ablations.iter().find(|one| one.head == *name) else {
        return Err(format!("no ablation of the head `{name}` was handed in for release {number}"));
    };
    let factors = head.factors(learned);
    for (at, encoder) in head.encoders.iter().enumerate() {
        let named = &encoder.name;
        let Some(one) = without(found, head, at) else {
            return Err(format!("the ablation of `{name}` is of another head: it is not about `{named}`"));
        };
        // An encoder that takes several groups of bands is left out as a whole, with its largest factor.
        let same = |(other, _): &(usize, &f32)| head.encoders[*other].weights == encoder.weights;
        let largest =
            factors.iter().enumerate().filter(same).map(|(_, factor)| *factor).max_by(f32::total_cmp);
        let factor = f64::from(largest.unwrap_or_default());
        let said = one.selection.map(Finite::get);
        if said.is_none_or(|said| (said - factor).abs() > SAME_FACTOR * factor.abs().max(1.0)) {
            let said = said.map_or_else(|| "none".to_owned(), |said| format!("{said:.4}"));
            return Err(format!(
                "the ablation of `{name}` is of another head: its weight of `{named}` is {said} there and {factor:.4} here"
            ));
        }
    }
    Ok(found)
}

/// What an ablation says of the encoder at a place.
fn without<'a>(ablation: &'a AblationView, head: &HeadFile, at: usize) -> Option<&'a WithoutView> {
    let digest: Digest = head.encoders[at].weights?;
    ablation.without.iter().find(|one| one.weights == digest)
}

#[cfg(test)]
mod tests {
    use eosfed_common::head::HeadEncoder;
    use eosfed_common::model::{Composition, Selection};
    use eosfed_common::scoring::ScoredPart;
    use eosfed_testkit::releases;

    use super::*;

    const NAMES: [&str; 3] = ["west", "east", "shared"];

    fn head() -> HeadFile {
        let over = releases::head();
        let encoder = |name: &&str| HeadEncoder {
            name: (*name).to_owned(),
            weights: Some(Digest::of(name.as_bytes())),
            ..over.head.encoders[0].clone()
        };
        let selection = Selection::Smooth { penalty: 0.1, scale: true };
        let composition = Composition { selection, ..over.head.composition };
        HeadFile { encoders: NAMES.iter().map(encoder).collect(), composition, ..over.head }
    }

    /// A release with an ablation of [`head`] with these weights.
    fn release(learned: &[f32], gains: [f64; 3]) -> ReleaseView {
        let head = head();
        let entry = |((name, factor), gain): ((&&str, &f32), f64)| WithoutView {
            specialist: format!("{name}@1"),
            weights: Digest::of(name.as_bytes()),
            selection: Finite::new(f64::from(*factor)),
            score: Finite::literal(0.5),
            gain: Finite::literal(gain),
        };
        let ablation = AblationView {
            head: head.name.clone(),
            task: head.task,
            part: ScoredPart::Test,
            samples: 40,
            metric: "macro_f1".to_owned(),
            unit: String::new(),
            larger_is_better: true,
            all: Finite::literal(0.8),
            without: NAMES.iter().zip(learned).zip(gains).map(entry).collect(),
            recorded_at: eosfed_common::clock::Timestamp(1),
            recorded_by: "ada".parse().unwrap(),
        };
        ReleaseView { manifest: releases::release(), ablations: vec![ablation] }
    }

    fn pruned(learned: [f32; 3], keep: usize, release: &ReleaseView) -> Kept {
        let head = head();
        let strongest = head.strongest(Some(&learned), keep).unwrap();
        kept(&strongest, &head, &learned, release)
    }

    #[test]
    fn an_ablation_of_this_head_decides_between_equal_weights() {
        let learned = [1.0, 1.0, 0.999];
        let helps = release(&learned, [-0.02, 0.1, 0.2]);
        let Kept { places, tie } = pruned(learned, 2, &helps);
        assert_eq!(places, [1, 2], "the first makes the head worse");
        let Tie::Ablation(words) = tie else { panic!("{tie:?}") };
        assert!(
            words.contains("kept east, shared, left out west") && words.contains("test part, n = 40"),
            "{words}"
        );
        assert!(words.contains("at most 1 % of the largest"), "{words}");
        assert_eq!(pruned([1.0, 0.2, 0.9], 2, &helps).tie, Tie::None, "weights that differ decide");
    }

    #[test]
    fn without_an_ablation_of_this_head_the_order_decides_and_is_said() {
        let learned = [1.0, 1.0, 0.999];
        let good = release(&learned, [-0.02, 0.1, 0.2]);
        type Break = fn(&mut AblationView);
        let broken: [(&str, Break); 5] = [
            ("no ablation of the head", |one| one.head = "another".to_owned()),
            ("is of another head: it is not about `shared`", |one| drop(one.without.pop())),
            ("its weight of `east` is 0.7000 there and 1.0000 here", |one| {
                one.without[1].selection = Some(Finite::literal(0.7));
            }),
            ("is none there", |one| one.without[0].selection = None),
            ("costs the same", |one| one.without.iter_mut().for_each(|one| one.gain = Finite::ZERO)),
        ];
        for (reason, change) in broken {
            let mut release = good.clone();
            change(&mut release.ablations[0]);
            let Kept { places, tie } = pruned(learned, 2, &release);
            assert_eq!(places, [0, 1], "{reason}");
            let Tie::Order(words) = tie else { panic!("{tie:?}") };
            assert!(words.contains(reason), "{words}");
            assert!(words.contains("kept west, east, left out shared"), "{words}");
            assert!(words.contains("eosfed release ablation"), "{words}");
        }
    }
}
