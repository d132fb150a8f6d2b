//! The split by class: each class is divided for itself, so that parts have the same shares of classes. Where samples have
//! groups, these stay whole.

use std::collections::BTreeMap;

use super::class_groups::{GroupParts, divide};
use super::{Dataset, Item, Label};
use crate::config::SplitConfig;
use crate::split::{Split, draw};

impl Dataset {
    /// Gives samples their parts by their classes, where they have groups with the whole group. Returns notes.
    pub(super) fn split_by_class(&self, items: &mut [Item]) -> Vec<String> {
        if self.config.groups() {
            return self.split_groups(items);
        }
        let strata = strata(items, self.config.classes.len());
        let keys: Vec<&str> = items.iter().map(|item| item.key.as_str()).collect();
        let parts = divided(&strata, &keys, &self.config.split);
        items.iter_mut().zip(parts).for_each(|(item, part)| item.part = part);
        Vec::new()
    }

    fn split_groups(&self, items: &mut [Item]) -> Vec<String> {
        let group = |item: &'_ Item| item.group.as_deref().unwrap_or(&item.key).to_owned();
        let groups: Vec<String> = items.iter().map(group).collect();
        let classes = items.iter().map(|item| classes(&item.label));
        let samples: Vec<_> = groups.iter().map(String::as_str).zip(classes).collect();
        let GroupParts { parts, empty, deviation: _ } = divide(samples.into_iter(), &self.config.split);
        items.iter_mut().zip(parts).for_each(|(item, part)| item.part = part);
        let note = |part: &Split| {
            format!(
                "the {} part is empty: there are too few groups to set one aside for it; add samples of another group, or set \
                 its share under `[split]` to 0",
                part.name()
            )
        };
        empty.iter().map(note).collect()
    }
}

/// The classes that a label has.
pub(super) fn classes(label: &Label) -> Vec<usize> {
    present(label).collect()
}

/// The class by which each sample is divided: its own, or of several the rarest in the data set. Samples without any are one
/// more.
fn strata(items: &[Item], classes: usize) -> Vec<usize> {
    let mut counts = vec![0_usize; classes];
    for item in items {
        present(&item.label).for_each(|class| counts[class] += 1);
    }
    items
        .iter()
        .map(|item| present(&item.label).min_by_key(|class| counts[*class]).unwrap_or(classes))
        .collect()
}

fn present(label: &Label) -> Box<dyn Iterator<Item = usize> + '_> {
    match label {
        Label::Class(class) => Box::new(std::iter::once(*class)),
        Label::Classes(all) => {
            Box::new(all.iter().enumerate().filter(|(_, has)| **has).map(|(class, _)| class))
        }
        Label::Raster(_) | Label::Polygons(_) => Box::new(std::iter::empty()),
    }
}

/// The parts that samples are set aside for.
const HELD_BACK: [Split; 2] = [Split::Test, Split::Validation];

/// The part of each sample. Of each stratum, each part has its share, rounded to whole samples; what rounding takes from a
/// part in one stratum it gets in the next, so that the shares of all samples are kept too. One sample of a stratum is left
/// for training.
fn divided(strata: &[usize], keys: &[&str], config: &SplitConfig) -> Vec<Split> {
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    strata.iter().enumerate().for_each(|(sample, stratum)| members.entry(*stratum).or_default().push(sample));
    let share = |part: Split| {
        let interval = part.interval(config);
        interval.end - interval.start
    };
    let trained = share(Split::Train) > 0.0;
    let rest = if trained { Split::Train } else { HELD_BACK[usize::from(config.validation > 0.0)] };
    let mut parts = vec![rest; keys.len()];
    let mut owed = [0.0; HELD_BACK.len()];
    for samples in members.values_mut() {
        let order = |sample: &usize| (draw(keys[*sample], config.seed), keys[*sample]);
        samples.sort_by(|one, other| {
            let (one, other) = (order(one), order(other));
            one.0.total_cmp(&other.0).then(one.1.cmp(other.1))
        });
        let mut left = &samples[..samples.len() - usize::from(trained)];
        for (part, owed) in HELD_BACK.into_iter().zip(&mut owed) {
            let wanted = samples.len() as f64 * share(part) + *owed;
            let taken = (wanted.round().max(0.0) as usize).min(left.len());
            // What a stratum is too small for is not taken from others.
            *owed = (wanted - taken as f64).clamp(-0.5, 0.5);
            let (own, others) = left.split_at(taken);
            own.iter().for_each(|sample| parts[*sample] = part);
            left = others;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(count: usize) -> Vec<String> {
        (0..count).map(|at| format!("sample-{at}")).collect()
    }

    fn parts(strata: &[usize], config: &SplitConfig) -> Vec<Split> {
        let keys = keys(strata.len());
        divided(strata, &keys.iter().map(String::as_str).collect::<Vec<_>>(), config)
    }

    fn config(validation: f64, test: f64) -> SplitConfig {
        SplitConfig { validation, test, ..SplitConfig::default() }
    }

    #[test]
    fn each_class_keeps_the_shares_to_within_one_sample_and_so_do_all() {
        // Classes of 1 to 400 samples.
        let sizes = [400, 97, 31, 10, 7, 5, 3, 2, 2, 2, 2, 2, 1, 1];
        let strata: Vec<usize> =
            sizes.iter().enumerate().flat_map(|(class, size)| std::iter::repeat_n(class, *size)).collect();
        for (validation, test) in [(0.2, 0.1), (0.15, 0.0), (0.0, 0.5), (0.25, 0.25)] {
            for seed in 0..5 {
                let config = SplitConfig { seed, ..config(validation, test) };
                let parts = parts(&strata, &config);
                for (part, share) in [(Split::Validation, validation), (Split::Test, test)] {
                    for (class, size) in sizes.iter().enumerate() {
                        let found =
                            parts.iter().zip(&strata).filter(|(p, c)| **p == part && **c == class).count();
                        let wanted = *size as f64 * share;
                        assert!((found as f64 - wanted).abs() <= 1.0, "{part:?} {share} of {size}: {found}");
                    }
                    let all = parts.iter().filter(|p| **p == part).count() as f64;
                    let wanted = strata.len() as f64 * share;
                    assert!((all - wanted).abs() <= 2.0, "{part:?}: {all} of {wanted}");
                }
                let trained =
                    |class: usize| parts.iter().zip(&strata).any(|(p, c)| *p == Split::Train && *c == class);
                assert!((0..sizes.len()).all(trained), "a class without a training sample");
            }
        }
    }

    #[test]
    fn the_seed_and_the_keys_decide_and_the_order_of_files_does_not() {
        let strata: Vec<usize> = (0..300).map(|at| at % 7).collect();
        let config = config(0.2, 0.2);
        let first = parts(&strata, &config);
        assert_eq!(first, parts(&strata, &config));
        assert_ne!(first, parts(&strata, &SplitConfig { seed: 1, ..config }));
        let keys = keys(300);
        let backwards: Vec<&str> = keys.iter().rev().map(String::as_str).collect();
        let mut turned = divided(&strata.iter().rev().copied().collect::<Vec<_>>(), &backwards, &config);
        turned.reverse();
        assert_eq!(first, turned);
    }

    #[test]
    fn without_a_training_part_all_samples_are_held_back() {
        for (validation, test, rest) in [(0.0, 1.0, Split::Test), (0.5, 0.5, Split::Validation)] {
            let parts = parts(&[0, 0, 0, 1, 1, 2], &config(validation, test));
            assert!(!parts.contains(&Split::Train) && parts.contains(&rest), "{parts:?}");
        }
        assert_eq!(parts(&[], &config(0.2, 0.2)), []);
    }

    #[test]
    fn the_rarest_class_of_a_sample_counts() {
        let item = |at: usize, classes: [bool; 3]| Item {
            key: at.to_string(),
            group: None,
            part: Split::Train,
            position: None,
            images: Vec::new(),
            label: Label::Classes(classes.to_vec()),
        };
        let all =
            [[true, false, false], [true, true, false], [true, true, false], [true, true, true], [false; 3]];
        let items: Vec<Item> = all.into_iter().enumerate().map(|(at, classes)| item(at, classes)).collect();
        assert_eq!(strata(&items, 3), [0, 1, 1, 2, 3]);
    }
}
