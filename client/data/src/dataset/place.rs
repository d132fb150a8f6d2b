//! The split by location of samples that have a place: the ground is divided into square cells, and all samples
//! whose centres lie in a cell go to one part.
//!
//! Cells are as large as the shares of the parts allow: with few large cells, a part would get far more or far
//! less than its share, or nothing. Samples at the border of a cell may still touch some of the next cell.

use std::collections::BTreeMap;

use super::class_groups::{self, GroupParts};
use crate::config::SplitConfig;
use crate::split::{Split, draw};

/// How far the share of a part may be from the one that is asked for, as a factor, before smaller cells are tried.
const TOLERANCE: f64 = 2.0;

/// By how much the share of a class may be off, in the mean over the classes, before smaller cells are tried.
const NEAR: f64 = 0.1;

/// The centre of a sample.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spot {
    /// The reference system. Coordinates of different ones cannot be compared.
    pub system: String,
    /// Coordinates.
    pub at: [f64; 2],
}

/// The part of each sample, and how it was found.
#[derive(Debug, PartialEq)]
pub(super) struct Division {
    pub parts: Vec<Split>,
    /// Side of the cells.
    pub side: f64,
    /// Parts that have no sample although they should have a share.
    pub empty: Vec<Split>,
}

type Cell<'a> = (&'a str, i64, i64);

/// Divides samples by their places into cells of one of the `sides`, largest first.
pub(super) fn divide(spots: &[Spot], sides: &[f64], config: &SplitConfig) -> Division {
    let mut last = Division { parts: Vec::new(), side: 0.0, empty: Vec::new() };
    for side in sides {
        let cells: Vec<Cell<'_>> = spots.iter().map(|spot| cell(spot, *side)).collect();
        let mut drawn: BTreeMap<Cell<'_>, (f64, Split)> = BTreeMap::new();
        for (system, column, row) in &cells {
            drawn.entry((*system, *column, *row)).or_insert_with(|| {
                let draw = draw(&format!("{system}#{column},{row}"), config.seed);
                (draw, Split::at(draw, config))
            });
        }
        fill_empty(&mut drawn, config);
        let parts: Vec<Split> = cells.iter().map(|cell| drawn[cell].1).collect();
        let empty: Vec<Split> = wanted(config).filter(|part| !parts.contains(part)).collect();
        let fits = empty.is_empty() && wanted(config).all(|part| near_share(&parts, part, config));
        last = Division { parts, side: *side, empty };
        if fits {
            break;
        }
    }
    last
}

/// Divides samples by their places and their classes: into cells as [`divide`] does, which are assigned so that the parts get
/// shares of each class. The cells are the largest with which these are near, or else those with which they are nearest.
pub(super) fn divide_by_class(
    spots: &[Spot],
    classes: &[Vec<usize>],
    sides: &[f64],
    config: &SplitConfig,
) -> Division {
    let mut nearest = (Division { parts: Vec::new(), side: 0.0, empty: Vec::new() }, usize::MAX, f64::MAX);
    for side in sides {
        let name = |spot: &Spot| {
            let (system, column, row) = cell(spot, *side);
            format!("{system}#{column},{row}")
        };
        let names: Vec<String> = spots.iter().map(name).collect();
        let samples = names.iter().map(String::as_str).zip(classes);
        let GroupParts { parts, empty, deviation } = class_groups::divide(samples, config);
        if (empty.len(), deviation) < (nearest.1, nearest.2) {
            nearest = (Division { parts, side: *side, empty: empty.clone() }, empty.len(), deviation);
        }
        if empty.is_empty() && deviation <= NEAR {
            break;
        }
    }
    nearest.0
}

fn cell<'a>(spot: &'a Spot, side: f64) -> Cell<'a> {
    let [column, row] = spot.at.map(|coordinate| (coordinate / side).floor() as i64);
    (&spot.system, column, row)
}

fn wanted(config: &SplitConfig) -> impl Iterator<Item = Split> {
    Split::ALL.into_iter().filter(|part| !part.interval(config).is_empty())
}

/// Gives each part without a cell the one whose draw is nearest to its share, of those whose part has others.
fn fill_empty(drawn: &mut BTreeMap<Cell<'_>, (f64, Split)>, config: &SplitConfig) {
    for part in wanted(config).collect::<Vec<_>>() {
        if drawn.values().any(|(_, other)| *other == part) {
            continue;
        }
        let interval = part.interval(config);
        let distance = |draw: f64| (interval.start - draw).max(draw - interval.end);
        let owners: Vec<Split> = drawn.values().map(|(_, owner)| *owner).collect();
        let spare = |owner: Split| owners.iter().filter(|other| **other == owner).count() > 1;
        let nearest = drawn
            .values_mut()
            .filter(|(_, owner)| spare(*owner))
            .min_by(|a, b| distance(a.0).total_cmp(&distance(b.0)));
        if let Some((_, owner)) = nearest {
            *owner = part;
        }
    }
}

fn near_share(parts: &[Split], part: Split, config: &SplitConfig) -> bool {
    let interval = part.interval(config);
    let wanted = interval.end - interval.start;
    let found = parts.iter().filter(|other| **other == part).count() as f64 / parts.len().max(1) as f64;
    (wanted / TOLERANCE..=wanted * TOLERANCE).contains(&found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDES: [f64; 3] = [16.0, 4.0, 1.0];

    fn config() -> SplitConfig {
        SplitConfig { validation: 0.2, test: 0.2, ..SplitConfig::default() }
    }

    /// Samples at the points of a square lattice.
    fn lattice(side: usize, distance: f64) -> Vec<Spot> {
        let spot = |at: usize| {
            let [x, y] = [at % side, at / side].map(|step| step as f64 * distance + 0.5);
            Spot { system: String::new(), at: [x, y] }
        };
        (0..side * side).map(spot).collect()
    }

    #[test]
    fn neighbours_share_a_part_and_shares_are_kept() {
        let spots = lattice(100, 1.0);
        let division = divide(&spots, &SIDES, &config());
        assert!(division.side > 1.0 && division.empty.is_empty(), "{}", division.side);
        assert_eq!(division, divide(&spots, &SIDES, &config()), "the seed decides");
        for (spot, part) in spots.iter().zip(&division.parts) {
            for (other, its) in spots.iter().zip(&division.parts) {
                if cell(spot, division.side) == cell(other, division.side) {
                    assert_eq!(part, its);
                }
            }
        }
        let other = SplitConfig { seed: 5, ..config() };
        assert_ne!(division.parts, divide(&spots, &SIDES, &other).parts);
    }

    #[test]
    fn few_samples_get_smaller_cells_and_every_part_one() {
        for seed in 0..20 {
            let division = divide(&lattice(3, 1.0), &SIDES, &SplitConfig { seed, ..config() });
            assert!(division.empty.is_empty(), "{seed}: {division:?}");
        }
        // All samples are of one place: it is not divided.
        let one = vec![Spot { system: String::new(), at: [7.0, 7.0] }; 12];
        let division = divide(&one, &SIDES, &config());
        assert_eq!(division.empty.len(), 2, "{division:?}");
        assert!(division.parts.iter().all(|part| *part == division.parts[0]));
    }

    #[test]
    fn classes_get_their_shares_of_cells_that_stay_whole() {
        let spots = lattice(100, 1.0);
        // Stripes of a common class, and a rare one in one corner of each 20th square.
        let class = |spot: &Spot| {
            let [x, y] = spot.at.map(|at| at as usize);
            vec![if x % 20 < 4 && y % 20 < 4 { 2 } else { usize::from(y % 50 < 13) }]
        };
        let classes: Vec<Vec<usize>> = spots.iter().map(class).collect();
        let off = |parts: &[Split], class: usize| {
            let own = |part: Option<Split>| {
                let of = parts
                    .iter()
                    .zip(&classes)
                    .filter(|(found, has)| has[0] == class && part.is_none_or(|part| part == **found));
                of.count() as f64
            };
            (own(Some(Split::Test)) / own(None) - 0.2).abs()
        };
        for seed in 0..5 {
            let config = SplitConfig { seed, ..config() };
            let division = divide_by_class(&spots, &classes, &SIDES, &config);
            assert!(division.side > 1.0 && division.empty.is_empty(), "{}", division.side);
            let plain = divide(&spots, &[division.side], &config);
            let [near, far] = [&division.parts, &plain.parts]
                .map(|parts| (0..3).map(|class| off(parts, class)).fold(0.0, f64::max));
            assert!(near < 0.1 && near < far, "seed {seed}: {near} and {far}");
            let mut part_of: BTreeMap<Cell<'_>, Split> = BTreeMap::new();
            for (spot, part) in spots.iter().zip(&division.parts) {
                assert_eq!(part_of.entry(cell(spot, division.side)).or_insert(*part), part);
            }
            assert_eq!(division, divide_by_class(&spots, &classes, &SIDES, &config), "the seed decides");
        }
        // All samples are of one place: it is not divided.
        let one = vec![Spot { system: String::new(), at: [7.0, 7.0] }; 12];
        let division = divide_by_class(&one, &vec![vec![0]; 12], &SIDES, &config());
        assert_eq!((division.parts.len(), division.empty.len()), (12, 2), "{division:?}");
        assert_eq!(divide_by_class(&[], &[], &SIDES, &config()).parts, []);
    }

    #[test]
    fn places_in_different_reference_systems_are_different() {
        let spot = |system: &str| Spot { system: system.to_owned(), at: [7.0, 7.0] };
        let spots: Vec<Spot> = (0..40).map(|zone| spot(&zone.to_string())).collect();
        let parts = divide(&spots, &SIDES, &config()).parts;
        assert!(Split::ALL.iter().all(|part| parts.contains(part)), "{parts:?}");
    }
}
