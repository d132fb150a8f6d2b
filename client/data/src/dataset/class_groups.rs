//! The split by class of whole groups: samples of one group go to one part, and the parts get shares of all classes that are
//! as near as groups allow.
//!
//! Groups are taken in the order of their size, the largest first, and each goes to the part whose shares it brings nearest
//! to those that are asked for. Groups then move while that brings them nearer still. The idea is that of scikit-learn's
//! `StratifiedGroupKFold`; the measure here is the distance from the shares of unequal parts.

use std::collections::BTreeMap;

use crate::config::SplitConfig;
use crate::split::{Split, draw};

/// Most times that all groups are looked at again.
const MOST_PASSES: usize = 16;
/// A move has to bring the shares nearer by more than rounding can.
const LEAST_GAIN: f64 = 1e-12;

/// The parts of groups.
#[derive(Debug, PartialEq)]
pub(super) struct GroupParts {
    /// The part of each sample.
    pub(super) parts: Vec<Split>,
    /// Parts that have no group although they should have a share.
    pub(super) empty: Vec<Split>,
    /// How far the parts are from the shares that are asked for: of each class the largest difference of a share, and the mean
    /// over the classes.
    pub(super) deviation: f64,
}

/// Divides samples, each with the name of its group and the classes that it has.
pub(super) fn divide<'a, C: AsRef<[usize]>>(
    samples: impl ExactSizeIterator<Item = (&'a str, C)>,
    config: &SplitConfig,
) -> GroupParts {
    let (groups, of_sample) = grouped(samples);
    let order = in_order(&groups, config.seed);
    let mut division = Division::new(&groups, config);
    order.iter().for_each(|group| division.place(*group));
    division.fill_empty(&order);
    division.improve(&order);
    // Each group has a part, since one part or more has a share.
    let part = |group: &usize| division.wanted[division.of[*group].unwrap_or_default()].0;
    GroupParts {
        parts: of_sample.iter().map(part).collect(),
        empty: division.empty().map(|at| division.wanted[at].0).collect(),
        deviation: division.deviation(),
    }
}

/// The groups, and the place of the group of each sample.
fn grouped<'a, C: AsRef<[usize]>>(
    samples: impl ExactSizeIterator<Item = (&'a str, C)>,
) -> (Vec<Group<'a>>, Vec<usize>) {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut of_sample = Vec::with_capacity(samples.len());
    for (name, classes) in samples {
        let place = *places.entry(name).or_insert_with(|| {
            groups.push(Group { name, counts: BTreeMap::new() });
            groups.len() - 1
        });
        // That there is a sample counts as a class that all have, so that parts get their shares of all samples.
        for class in classes.as_ref().iter().map(|class| class + 1).chain([0]) {
            *groups[place].counts.entry(class).or_default() += 1.0;
        }
        of_sample.push(place);
    }
    (groups, of_sample)
}

/// The groups with the largest first. Among those whose sizes differ by less than a factor of two, the seed and the name
/// decide, so that the order of the files does not count.
fn in_order(groups: &[Group<'_>], seed: u64) -> Vec<usize> {
    let mut order: Vec<_> = groups
        .iter()
        .enumerate()
        .map(|(place, group)| (group.counts[&0].log2() as u32, draw(group.name, seed), group.name, place))
        .collect();
    order.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.total_cmp(&other.1)).then(one.2.cmp(other.2)));
    order.into_iter().map(|(.., place)| place).collect()
}

/// Samples that stay together.
#[derive(Debug)]
struct Group<'a> {
    name: &'a str,
    /// How many of its samples have each class; 0 is that there is one, and class `c` is `c + 1`.
    counts: BTreeMap<usize, f64>,
}

/// The parts as far as groups have one.
struct Division<'a> {
    groups: &'a [Group<'a>],
    /// The parts that should have a share, with it. There is one or more.
    wanted: Vec<(Split, f64)>,
    /// The place of each group in `wanted`.
    of: Vec<Option<usize>>,
    /// How many samples of each class there are.
    totals: BTreeMap<usize, f64>,
    /// How many each part has.
    have: Vec<BTreeMap<usize, f64>>,
    /// How many groups each part has.
    members: Vec<usize>,
}

impl<'a> Division<'a> {
    fn new(groups: &'a [Group<'a>], config: &SplitConfig) -> Self {
        let share = |part: Split| {
            let interval = part.interval(config);
            (part, interval.end - interval.start)
        };
        let wanted: Vec<_> = Split::ALL.into_iter().map(share).filter(|(_, share)| *share > 0.0).collect();
        let mut totals: BTreeMap<usize, f64> = BTreeMap::new();
        for (class, count) in groups.iter().flat_map(|group| &group.counts) {
            *totals.entry(*class).or_default() += count;
        }
        let have = vec![BTreeMap::new(); wanted.len()];
        let members = vec![0; wanted.len()];
        Self { groups, of: vec![None; groups.len()], totals, have, members, wanted }
    }

    /// By how much the squared distance from the wanted shares grows if a part gets a group (`sign` 1) or gives it away (-1).
    fn cost(&self, part: usize, group: usize, sign: f64) -> f64 {
        let of = |(class, count): (&usize, &f64)| {
            let total = self.totals[class];
            let off = self.have[part].get(class).unwrap_or(&0.0) / total - self.wanted[part].1;
            let step = sign * count / total;
            // The sizes of the parts count as much as all classes together.
            let weight = if *class == 0 { self.totals.len() as f64 } else { 1.0 };
            weight * step * (2.0 * off + step)
        };
        self.groups[group].counts.iter().map(of).sum()
    }

    fn put(&mut self, group: usize, part: usize) {
        if let Some(before) = self.of[group].replace(part) {
            self.add(before, group, -1.0);
            self.members[before] -= 1;
        }
        self.add(part, group, 1.0);
        self.members[part] += 1;
    }

    fn add(&mut self, part: usize, group: usize, sign: f64) {
        for (class, count) in &self.groups[group].counts {
            *self.have[part].entry(*class).or_default() += sign * count;
        }
    }

    /// Gives a group to the part that it brings nearest to its shares.
    fn place(&mut self, group: usize) {
        let parts = 0..self.wanted.len();
        let nearest =
            parts.min_by(|one, other| self.cost(*one, group, 1.0).total_cmp(&self.cost(*other, group, 1.0)));
        if let Some(part) = nearest {
            self.put(group, part);
        }
    }

    fn empty(&self) -> impl Iterator<Item = usize> {
        (0..self.members.len()).filter(|part| self.members[*part] == 0)
    }

    /// What moving a group to a part costs; nothing where its own part has no other.
    fn move_cost(&self, group: usize, part: usize) -> Option<f64> {
        let own = self.of[group].filter(|own| *own != part && self.members[*own] > 1)?;
        Some(self.cost(own, group, -1.0) + self.cost(part, group, 1.0))
    }

    /// Gives each part without a group the one that is missed least, of those whose part has others.
    fn fill_empty(&mut self, order: &[usize]) {
        for part in self.empty().collect::<Vec<_>>() {
            let costs = order.iter().filter_map(|group| Some((*group, self.move_cost(*group, part)?)));
            if let Some((group, _)) = costs.min_by(|one, other| one.1.total_cmp(&other.1)) {
                self.put(group, part);
            }
        }
    }

    /// Moves groups while that brings the shares nearer.
    fn improve(&mut self, order: &[usize]) {
        for _ in 0..MOST_PASSES {
            let mut moved = false;
            for group in order {
                let moves =
                    (0..self.wanted.len()).filter_map(|part| Some((part, self.move_cost(*group, part)?)));
                let best = moves.min_by(|one, other| one.1.total_cmp(&other.1));
                if let Some((part, _)) = best.filter(|(_, cost)| *cost < -LEAST_GAIN) {
                    self.put(*group, part);
                    moved = true;
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn deviation(&self) -> f64 {
        let classes: Vec<_> = self.totals.iter().filter(|(class, _)| **class > 0).collect();
        let off = |(class, total): &(&usize, &f64)| {
            let of = |(have, (_, share)): (&BTreeMap<usize, f64>, &(Split, f64))| {
                (have.get(class).unwrap_or(&0.0) / **total - share).abs()
            };
            self.have.iter().zip(&self.wanted).map(of).fold(0.0, f64::max)
        };
        classes.iter().map(off).sum::<f64>() / classes.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> SplitConfig {
        SplitConfig { validation: 0.2, test: 0.2, ..SplitConfig::default() }
    }

    /// Samples of groups: the name of each, and how many of each class it has.
    fn samples<'a>(groups: &'a [(String, Vec<usize>)]) -> Vec<(&'a str, Vec<usize>)> {
        let of = |(name, counts): &'a (String, Vec<usize>)| {
            let each =
                counts.iter().enumerate().flat_map(|(class, count)| std::iter::repeat_n(class, *count));
            each.map(|class| (name.as_str(), vec![class])).collect::<Vec<_>>()
        };
        groups.iter().flat_map(of).collect()
    }

    /// Fifty places of very different sizes: most have one class, and a rare class lies in every fifth of them.
    fn skewed() -> Vec<(String, Vec<usize>)> {
        let place = |at: usize| {
            let mut counts = vec![0; 4];
            counts[at % 3] = 3 + (at * 37) % 90;
            counts[3] = if at.is_multiple_of(5) { 1 + at % 4 } else { 0 };
            (format!("place-{at}"), counts)
        };
        (0..50).map(place).collect()
    }

    /// The largest difference of a share of a class, by hand.
    fn worst(samples: &[(&str, Vec<usize>)], parts: &[Split], config: &SplitConfig) -> f64 {
        let share = |class: usize, part: Split| {
            let of = samples.iter().zip(parts).filter(|(sample, _)| sample.1 == [class]);
            let (all, own) = of.fold((0.0, 0.0), |(all, own), (_, found)| {
                (all + 1.0, own + f64::from(u8::from(*found == part)))
            });
            own / all
        };
        let wanted = |part: Split| part.interval(config).end - part.interval(config).start;
        let off = |class| Split::ALL.map(|part| (share(class, part) - wanted(part)).abs());
        (0..4).flat_map(off).fold(0.0, f64::max)
    }

    #[test]
    fn groups_are_whole_and_classes_nearer_to_their_shares_than_without_them() {
        let groups = skewed();
        let samples = samples(&groups);
        for seed in 0..10 {
            let config = SplitConfig { seed, ..config() };
            let found = divide(samples.iter().cloned(), &config);
            let mut part_of: BTreeMap<&str, Split> = BTreeMap::new();
            for ((name, _), part) in samples.iter().zip(&found.parts) {
                assert_eq!(part_of.entry(*name).or_insert(*part), part, "{name} lies in two parts");
            }
            let plain: Vec<Split> = samples.iter().map(|(name, _)| Split::of(name, &config)).collect();
            let [own, without] = [&found.parts, &plain].map(|parts| worst(&samples, parts, &config));
            assert!(own < 0.08 && own < without / 2.0, "seed {seed}: {own} and {without}");
            assert!(found.deviation <= own && found.empty.is_empty(), "{} {own}", found.deviation);
        }
    }

    #[test]
    fn the_seed_and_the_names_decide_and_the_order_of_files_does_not() {
        let groups = skewed();
        let samples = samples(&groups);
        let first = divide(samples.iter().cloned(), &config()).parts;
        assert_eq!(first, divide(samples.iter().cloned(), &config()).parts);
        let mut turned = divide(samples.iter().rev().cloned(), &config()).parts;
        turned.reverse();
        assert_eq!(first, turned);
        let other = SplitConfig { seed: 1, ..config() };
        assert_ne!(first, divide(samples.iter().cloned(), &other).parts);
    }

    #[test]
    fn every_part_gets_a_group_while_there_are_enough() {
        let group = |at: usize| (at.to_string(), vec![10]);
        for count in 0..6 {
            let groups: Vec<_> = (0..count).map(group).collect();
            let found = divide(samples(&groups).into_iter(), &config());
            assert_eq!(
                (found.parts.len(), found.empty.len()),
                (10 * count, 3_usize.saturating_sub(count)),
                "{count}"
            );
        }
        let all = SplitConfig { validation: 0.0, test: 1.0, ..SplitConfig::default() };
        let parts = divide(samples(&[group(0), group(1)]).into_iter(), &all).parts;
        assert!(parts.iter().all(|part| *part == Split::Test), "{parts:?}");
    }

    #[test]
    fn a_group_that_has_all_of_a_class_takes_it_along() {
        let mut groups = skewed();
        groups.iter_mut().for_each(|(_, counts)| counts[3] = 0);
        groups[7].1[3] = 12;
        let samples = samples(&groups);
        let found = divide(samples.iter().cloned(), &config());
        let parts =
            samples.iter().zip(&found.parts).filter(|(sample, _)| sample.1 == [3]).map(|(_, part)| part);
        assert_eq!(parts.collect::<Vec<_>>(), vec![&Split::Train; 12], "the largest part is nearest");
    }

    #[test]
    fn samples_without_a_class_and_with_several_count_too() {
        let names: Vec<String> = (0..300).map(|at| (at % 60).to_string()).collect();
        let classes = |at: usize| {
            (0..5).filter(|class| at.is_multiple_of(class + 2) && at > 100).collect::<Vec<usize>>()
        };
        let found =
            divide(names.iter().enumerate().map(|(at, name)| (name.as_str(), classes(at))), &config());
        let held = found.parts.iter().filter(|part| **part != Split::Train).count();
        assert!((held as f64 / 300.0 - 0.4).abs() < 0.05, "{held}");
    }

    #[test]
    fn many_groups_of_many_classes_take_no_longer_than_their_labels() {
        let names: Vec<String> = (0..50_000).map(|at| at.to_string()).collect();
        // A table of classes for each group would have 10^9 numbers, and 10^18 with the largest index.
        for (classes, far) in [(2500, 1), (50_000, usize::MAX / 100_000)] {
            let samples = names.iter().enumerate();
            let found =
                divide(samples.map(|(at, name)| (name.as_str(), vec![at % classes * far])), &config());
            let trained = found.parts.iter().filter(|part| **part == Split::Train).count();
            assert!(classes > 2500 || trained.abs_diff(30_000) < 100, "{trained}");
            assert!(found.empty.is_empty());
        }
    }
}
