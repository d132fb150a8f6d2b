//! Rules and server steps compared with Flower's on the same inputs, and properties for any inputs.

use std::path::PathBuf;

use eosfed_common::files;
use eosfed_common::weights::write;
use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};
use proptest::strategy::Strategy as Draw;
use serde::Deserialize;
use tempfile::TempDir;

use eosfed_common::plan::{ServerPlan, Strategy};

use super::*;

/// A folder of weights files of one signature.
struct Bench {
    folder: TempDir,
    signature: Signature,
}

impl Bench {
    fn new(shapes: &[(&str, &[usize])]) -> Self {
        let tensors = shapes.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec())).collect();
        Self { folder: TempDir::new().unwrap(), signature: Signature(tensors) }
    }

    fn reader(&self, name: &str, tensors: &Tensors, signature: &Signature) -> WeightsReader {
        let path: PathBuf = self.folder.path().join(name);
        write(&path, signature, tensors).unwrap();
        WeightsReader::open(&path, signature).unwrap()
    }

    /// One aggregate of weights that start from `now`, each with its weight.
    fn aggregate(
        &self,
        (strategy, server): (Strategy, ServerPlan),
        now: &Tensors,
        updates: &[(Tensors, f64)],
        optimizer_state: Option<&Tensors>,
        step: u32,
    ) -> Aggregate {
        let name = |index: usize| format!("update-{index}");
        let files: Vec<_> = (updates.iter().enumerate())
            .map(|(index, (tensors, _))| self.reader(&name(index), tensors, &self.signature))
            .collect();
        let now = self.reader("now", now, &self.signature);
        let optimizer_state = optimizer_state.map(|optimizer_state| {
            let signature = Server::of(strategy, server).state_signature(&self.signature).unwrap();
            self.reader("optimizer_state", optimizer_state, &signature)
        });
        let updates: Vec<_> = (files.iter().zip(updates))
            .map(|(weights, (_, weight))| Update { weights, weight: *weight, base: None })
            .collect();
        let optimizer_state = optimizer_state.as_ref();
        let input = AggregationInput {
            strategy,
            server,
            signature: &self.signature,
            global_model: &now,
            optimizer_state,
            step,
        };
        aggregate(&input, &updates).unwrap()
    }

    /// What is aggregated in memory has the same bytes when it is aggregated into files.
    fn is_the_same_in_files(&self, input: &AggregationInput<'_>, updates: &[Update<'_>]) -> Aggregate {
        let made = aggregate(input, updates).unwrap();
        let path = |name: &str| self.folder.path().join(name);
        let state = Server::of(input.strategy, input.server).state_signature(&self.signature);
        let begin =
            |name: &str, signature: &Signature| WeightsWriter::create(&path(name), signature).unwrap();
        let weights = begin("next", &self.signature);
        let state_file = state.as_ref().map(|names| begin("state", names));
        aggregate_into(input, updates, &weights, state_file.as_ref()).unwrap();
        let same = |name: &str, signature: &Signature, tensors: &Tensors| {
            let expected = write(&path("expected"), signature, tensors).unwrap();
            assert_eq!(files::digest(&path(name)).unwrap(), expected, "{name} of {:?}", input.strategy);
        };
        same("next", &self.signature, &made.weights);
        assert_eq!(state.is_some(), made.optimizer_state.is_some());
        if let (Some(names), Some(tensors)) = (&state, &made.optimizer_state) {
            same("state", names, tensors);
        }
        made
    }
}

/// Tensors of no value, of one piece, of several, and on both sides of their ends.
#[test]
fn an_aggregate_in_files_has_the_bytes_of_one_in_memory() {
    let bench =
        Bench::new(&[("a", &[0]), ("b", &[3, 4]), ("c", &[2, PIECE]), ("d", &[PIECE + 1]), ("e", &[])]);
    let values = |seed: f32| -> Tensors {
        let tensor = |(name, shape): (&String, &Vec<usize>)| {
            let count = shape.iter().product();
            (name.clone(), (0..count).map(|index: usize| (index as f32 * seed).sin()).collect())
        };
        bench.signature.0.iter().map(tensor).collect()
    };
    let now = bench.reader("now", &values(0.1), &bench.signature);
    let files = [0.3, 0.7, 1.9].map(|seed| bench.reader(&seed.to_string(), &values(seed), &bench.signature));
    let updates: Vec<_> = files.iter().map(|weights| Update { weights, weight: 2.0, base: None }).collect();
    let adam = Strategy::FedAdam { learning_rate: 0.1, beta_1: 0.9, beta_2: 0.99, tau: 1e-3 };
    for strategy in [Strategy::FedAvg, Strategy::Median, Strategy::FedAvgM { momentum: 0.9 }, adam] {
        let mut state: Option<WeightsReader> = None;
        for step in 0..2 {
            let input = AggregationInput {
                strategy,
                server: ServerPlan::default(),
                signature: &bench.signature,
                global_model: &now,
                optimizer_state: state.as_ref(),
                step,
            };
            let made = bench.is_the_same_in_files(&input, &updates);
            let names = Server::of(strategy, ServerPlan::default()).state_signature(&bench.signature);
            state = made.optimizer_state.map(|tensors| bench.reader("last", &tensors, &names.unwrap()));
        }
    }
}

/// A vector as the only tensor.
fn vector(values: &[f32]) -> Tensors {
    [("w".to_owned(), values.to_vec())].into()
}

fn combine(strategy: Strategy, now: &[f32], updates: &[(Vec<f32>, f64)]) -> Vec<f32> {
    let bench = Bench::new(&[("w", &[now.len()])]);
    let updates: Vec<_> = updates.iter().map(|(values, weight)| (vector(values), *weight)).collect();
    bench
        .aggregate((strategy, ServerPlan::default()), &vector(now), &updates, None, 0)
        .weights
        .remove("w")
        .unwrap()
}

/// Every strategy whose server step takes the combined weights as they are.
const RULES: [Strategy; 7] = [
    Strategy::FedAvg,
    Strategy::Median,
    Strategy::TrimmedMean { trim: 0.25 },
    Strategy::Krum { byzantine: 1 },
    Strategy::MultiKrum { byzantine: 1, keep: None },
    Strategy::GeometricMedian,
    Strategy::NormBoundedMean { bound: 1e32 },
];

#[derive(Deserialize)]
struct Goldens {
    initial: Tensors,
    steps: Vec<Vec<Tensors>>,
    samples: Vec<Vec<u64>>,
    strategies: std::collections::BTreeMap<String, Vec<Tensors>>,
}

#[test]
fn each_strategy_agrees_with_flower() {
    let goldens: Goldens = serde_json::from_str(include_str!("../goldens/flower.json")).unwrap();
    let bench = Bench::new(&[("a", &[3, 4]), ("b", &[5])]);
    assert_eq!(goldens.strategies.len(), 12);
    for (key, expected) in &goldens.strategies {
        let strategy: Strategy = serde_json::from_str(key).unwrap();
        let mut now = goldens.initial.clone();
        let mut optimizer_state = None;
        for (round, expected) in expected.iter().enumerate() {
            let add = |step: &Tensors| -> Tensors {
                let sum = |(name, values): (&String, &Vec<f32>)| {
                    let sums = values.iter().zip(&now[name]).map(|(step, now)| now + step);
                    (name.clone(), sums.collect())
                };
                step.iter().map(sum).collect()
            };
            let updates: Vec<_> = (goldens.steps[round].iter().zip(&goldens.samples[round]))
                .map(|(step, samples)| (add(step), *samples as f64))
                .collect();
            let server = ServerPlan::default();
            let made =
                bench.aggregate((strategy, server), &now, &updates, optimizer_state.as_ref(), round as u32);
            (now, optimizer_state) = (made.weights, made.optimizer_state);
            let mut squares = 0.0;
            let mut differences = 0.0;
            for (found, expected) in now.values().flatten().zip(expected.values().flatten()) {
                squares += f64::from(*expected).powi(2);
                differences += f64::from(found - expected).powi(2);
            }
            let relative = (differences / squares).sqrt();
            assert!(relative < 1e-6, "{key}, round {round}: {relative:e}");
        }
    }
}

#[test]
fn a_mean_is_the_documented_sum_to_the_bit() {
    let values: Vec<(Vec<f32>, f64)> = (1..=5)
        .map(|site| {
            ((0..40_000).map(|i| ((i * 37 + site * 101) % 1009) as f32 / 7.0).collect(), f64::from(site * 13))
        })
        .collect();
    let found = combine(Strategy::FedAvg, &vec![0.0; 40_000], &values);
    let total: f64 = values.iter().map(|(_, weight)| weight).sum();
    for (index, found) in found.iter().enumerate() {
        let mut sum = 0.0_f64;
        for (values, weight) in &values {
            sum += weight * f64::from(values[index]);
        }
        assert_eq!(((sum / total) as f32).to_bits(), found.to_bits(), "{index}");
    }
}

/// Values of several updates that look random, with both zeros, equal ones and very different sizes.
fn scattered(updates: usize, length: usize) -> Vec<Vec<f32>> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match state >> 60 {
            0 => 0.0,
            1 => -0.0,
            2 => 1.5,
            size => ((state >> 20) as i32 as f32) * 10.0_f32.powi(size as i32 - 12),
        }
    };
    (0..updates).map(|_| (0..length).map(|_| next()).collect()).collect()
}

#[test]
fn a_median_and_a_trimmed_mean_are_the_documented_sums_to_the_bit() {
    for (count, length) in [(1, 100), (4, 20_000), (9, 4_097), (33, 65)] {
        let values = scattered(count, length);
        let updates: Vec<_> = values.iter().map(|values| (values.clone(), 1.0)).collect();
        for (rule, cut) in [
            (Strategy::Median, (count - 1) / 2),
            (Strategy::TrimmedMean { trim: 0.2 }, (0.2 * count as f64) as usize),
        ] {
            let found = combine(rule, &vec![0.0; length], &updates);
            for (index, found) in found.iter().enumerate() {
                let mut column: Vec<f32> = values.iter().map(|values| values[index]).collect();
                column.sort_unstable_by(f32::total_cmp);
                let kept = &column[cut..count - cut];
                let mean = kept.iter().map(|value| f64::from(*value)).sum::<f64>() / kept.len() as f64;
                assert_eq!((mean as f32).to_bits(), found.to_bits(), "{rule:?} of {count}, element {index}");
            }
        }
    }
}

#[test]
fn a_distance_is_the_documented_sum_to_the_bit() {
    let length = PIECE + 1_003;
    let bench = Bench::new(&[("v", &[3]), ("w", &[length])]);
    let all = scattered(6, length + 3);
    let files: Vec<_> = (all.iter().enumerate())
        .map(|(index, values)| {
            let (v, w) = values.split_at(3);
            let tensors = [("v".to_owned(), v.to_vec()), ("w".to_owned(), w.to_vec())].into();
            bench.reader(&index.to_string(), &tensors, &bench.signature)
        })
        .collect();
    let readers: Vec<_> = files.iter().collect();
    let found = distances::squares(&bench.signature, &readers).unwrap();
    for (a, left) in all.iter().enumerate() {
        for (b, right) in all.iter().enumerate().filter(|(b, _)| *b != a) {
            let piece = |range: std::ops::Range<usize>| {
                let square = |index: usize| (f64::from(left[index]) - f64::from(right[index])).powi(2);
                let whole = range.start + range.len() / 8 * 8;
                let mut sums = [0.0_f64; 8];
                for index in range.start..whole {
                    sums[(index - range.start) % 8] += square(index);
                }
                sums.iter().sum::<f64>() + (whole..range.end).map(square).sum::<f64>()
            };
            let expected = piece(0..3) + piece(3..3 + PIECE) + piece(3 + PIECE..3 + length);
            assert_eq!(found.of(a, b).to_bits(), expected.to_bits(), "{a}, {b}");
            let alone = distance(&bench.signature, readers[a], readers[b]).unwrap();
            assert_eq!(alone.to_bits(), expected.sqrt().to_bits(), "{a}, {b} alone");
            let path = bench.folder.path().join(b.to_string());
            let (_, checked) = check_from(&path, &bench.signature, readers[a]).unwrap();
            assert_eq!(checked.unwrap().to_bits(), alone.to_bits(), "{a}, {b} where it is checked");
        }
    }
}

/// Whose file is damaged is told apart: an update is refused, and the weights of a round are the coordinator's own.
#[test]
fn an_update_is_checked_whatever_is_wrong_with_the_weights_that_it_steps_from() {
    let bench = Bench::new(&[("w", &[5_000])]);
    let [base, _] =
        ["base", "update"].map(|name| bench.reader(name, &vector(&[1.0; 5_000]), &bench.signature));
    let spoil = |name: &str, value: f32| {
        let path = bench.folder.path().join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.len() - 4;
        bytes[at..].copy_from_slice(&value.to_le_bytes());
        std::fs::write(&path, bytes).unwrap();
    };
    let path = bench.folder.path().join("update");
    let check = || check_from(&path, &bench.signature, &base);
    assert_eq!(check().unwrap().1.unwrap(), 0.0);
    spoil("base", f32::INFINITY);
    let error = check().unwrap().1.unwrap_err().to_string();
    assert!(error.ends_with("/base: tensor `w` holds inf at position 4999"), "{error}");
    spoil("update", f32::NAN);
    let error = check().unwrap_err().to_string();
    assert!(error.ends_with("/update: tensor `w` holds NaN at position 4999"), "{error}");
}

#[test]
fn what_a_disk_has_damaged_is_refused_where_it_is_read() {
    let bench = Bench::new(&[("w", &[5_000])]);
    let files: Vec<_> = (0..3)
        .map(|index| bench.reader(&index.to_string(), &vector(&vec![index as f32; 5_000]), &bench.signature))
        .collect();
    let path = bench.folder.path().join("1");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() - 4 * 10;
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    let updates: Vec<_> = files.iter().map(|weights| Update { weights, weight: 1.0, base: None }).collect();
    for strategy in RULES {
        let server = ServerPlan::default();
        let signature = &bench.signature;
        let global_model = &files[0];
        let input =
            AggregationInput { strategy, server, signature, global_model, optimizer_state: None, step: 0 };
        let error = aggregate(&input, &updates).unwrap_err().to_string();
        assert!(error.ends_with("/1: tensor `w` holds NaN at position 4990"), "{strategy:?}: {error}");
    }
}

#[test]
fn moments_that_do_not_fit_and_updates_without_weight_are_refused_by_their_names() {
    let bench = Bench::new(&[("w", &[1])]);
    let now = bench.reader("now", &vector(&[0.0]), &bench.signature);
    let update = bench.reader("update", &vector(&[1e29]), &bench.signature);
    let refused = |strategy, weight| {
        let server = ServerPlan::default();
        let signature = &bench.signature;
        let input = AggregationInput {
            strategy,
            server,
            signature,
            global_model: &now,
            optimizer_state: None,
            step: 0,
        };
        aggregate(&input, &[Update { weights: &update, weight, base: None }]).unwrap_err().to_string()
    };
    for strategy in [
        Strategy::FedAdam { learning_rate: 0.1, beta_1: 0.9, beta_2: 0.99, tau: 1e-3 },
        Strategy::FedYogi { learning_rate: 0.1, beta_1: 0.9, beta_2: 0.99, tau: 1e-3 },
        Strategy::FedAdagrad { learning_rate: 0.1, tau: 1e-3 },
    ] {
        let found = refused(strategy, 1.0);
        assert!(found.contains("second moment of tensor `w` would hold inf"), "{strategy:?}: {found}");
    }
    for weight in [0.0, f64::NAN, f64::INFINITY] {
        let found = refused(Strategy::FedAvg, weight);
        assert!(found.contains("total weight above 0"), "{weight}: {found}");
    }
}

#[test]
fn updates_with_other_starting_weights_count_by_their_steps() {
    let bench = Bench::new(&[("w", &[2])]);
    let [now, old, fresh, stale] =
        [[1.0, 1.0], [0.0, 0.0], [2.0, 1.0], [4.0, 0.0]].map(|values: [f32; 2]| vector(&values));
    let file = |name: &str, tensors: &Tensors| bench.reader(name, tensors, &bench.signature);
    let now = file("n", &now);
    let old = file("o", &old);
    let fresh = file("f", &fresh);
    let stale = file("s", &stale);
    let updates = [
        Update { weights: &fresh, weight: 1.0, base: None },
        Update { weights: &stale, weight: 0.5, base: Some(&old) },
    ];
    let strategy = Strategy::FedAvg;
    let server = ServerPlan::default();
    let signature = &bench.signature;
    let input =
        AggregationInput { strategy, server, signature, global_model: &now, optimizer_state: None, step: 0 };
    // now + (1 * (1, 0) + 0.5 * (4, 0)) / 1.5
    assert_eq!(aggregate(&input, &updates).unwrap().weights["w"], [3.0, 1.0]);
}

#[test]
fn a_result_that_is_not_finite_is_refused_by_name() {
    let bench = Bench::new(&[("w", &[1])]);
    let now = bench.reader("now", &vector(&[-3e38]), &bench.signature);
    let update = bench.reader("update", &vector(&[3e38]), &bench.signature);
    let strategy = Strategy::FedAvg;
    let signature = &bench.signature;
    let server = ServerPlan { learning_rate: 10.0, momentum: 0.0 };
    let input =
        AggregationInput { strategy, server, signature, global_model: &now, optimizer_state: None, step: 0 };
    let error = aggregate(&input, &[Update { weights: &update, weight: 1.0, base: None }]).unwrap_err();
    assert!(error.to_string().contains("`w`") && error.to_string().contains("inf"), "{error}");
}

#[test]
fn outliers_change_a_robust_rule_within_its_bound() {
    let honest = [0.9_f32, 1.0, 1.1, 1.0, 0.95, 1.05];
    let mut updates: Vec<_> = honest.iter().map(|value| (vec![*value], 1.0)).collect();
    updates.push((vec![1e9], 1.0));
    for rule in &RULES[1..6] {
        let found = combine(*rule, &[0.0], &updates)[0];
        assert!((0.8..1.2).contains(&found), "{rule:?}: {found}");
    }
    let found = combine(Strategy::NormBoundedMean { bound: 1.0 }, &[0.0], &updates)[0];
    assert!((0.8..=1.0).contains(&found), "{found}");
    assert!(
        combine(Strategy::FedAvg, &[0.0], &updates)[0] > 1e8,
        "a mean is not robust, and does not pretend"
    );
}

fn vectors() -> impl Draw<Value = Vec<(Vec<f32>, f64)>> {
    let one = (proptest::collection::vec(-100.0..100.0_f32, 3), 1..1000_u32);
    proptest::collection::vec(one.prop_map(|(values, weight)| (values, f64::from(weight))), 5..9)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_order_of_updates_changes_rounding_only(updates in vectors()) {
        let mut reversed = updates.clone();
        reversed.reverse();
        for rule in RULES {
            let one = combine(rule, &[0.0; 3], &updates);
            let other = combine(rule, &[0.0; 3], &reversed);
            for (one, other) in one.iter().zip(&other) {
                prop_assert!((one - other).abs() <= 1e-3, "{rule:?}: {one} {other}");
            }
        }
    }

    #[test]
    fn equal_updates_combine_to_themselves(values in proptest::collection::vec(-1e30..1e30_f32, 3), count in 5..9_usize) {
        for rule in RULES {
            let updates = vec![(values.clone(), 3.0); count];
            prop_assert_eq!(&combine(rule, &[0.0; 3], &updates), &values, "{:?}", rule);
        }
    }

    #[test]
    fn results_are_between_the_smallest_and_the_largest_value(updates in vectors()) {
        for rule in RULES {
            for (index, found) in combine(rule, &[0.0; 3], &updates).into_iter().enumerate() {
                let column = updates.iter().map(|(values, _)| values[index]);
                let least = column.clone().fold(f32::MAX, f32::min);
                let most = column.fold(f32::MIN, f32::max);
                prop_assert!(least - 1e-4 <= found && found <= most + 1e-4, "{rule:?}: {least} {found} {most}");
            }
        }
    }

    #[test]
    fn a_translation_of_all_weights_translates_the_result(updates in vectors(), by in -50..50_i32) {
        let by = by as f32;
        let moved: Vec<_> = updates.iter()
            .map(|(values, weight)| (values.iter().map(|value| value + by).collect(), *weight)).collect();
        for rule in RULES {
            let one = combine(rule, &[0.0; 3], &updates);
            let other = combine(rule, &[by; 3], &moved);
            for (one, other) in one.iter().zip(&other) {
                prop_assert!((one + by - other).abs() <= 1e-2, "{rule:?}: {one} {other}");
            }
        }
    }
}

/// Whatever the encoding, spans give what decoding the whole file gives, and a rule over steps gives the same bits
/// as over the weights that follow from them.
#[test]
fn encoded_steps_are_aggregated_as_the_weights_that_follow() {
    use eosfed_common::weights::{Encoding, moved, residual, write_step};

    let shape: &[usize] = &[3, PIECE + 77];
    let bench = Bench::new(&[("a.weight", shape), ("b.var", &[40]), ("c", &[1])]);
    let values = |seed: f64| -> Tensors {
        let tensor = |(name, shape): (&String, &Vec<usize>)| {
            let length: usize = shape.iter().product();
            (name.clone(), (0..length).map(|i| (i as f64 * seed).sin() as f32).collect())
        };
        bench.signature.0.iter().map(tensor).collect()
    };
    let mut base = values(0.61);
    base.get_mut("b.var").unwrap().iter_mut().for_each(|value| *value = value.abs());
    let start = bench.reader("base", &base, &bench.signature);
    for encoding in Encoding::ALL {
        let Some(code) = encoding.code(0.01) else { continue };
        let mut encoded = Vec::new();
        let mut plain = Vec::new();
        for seed in [0.3, 0.7, 1.9] {
            let steps = values(seed);
            let step = |name: &str| steps[name].iter().map(|value| f64::from(*value)).collect::<Vec<f64>>();
            let path = bench.folder.path().join(format!("{encoding}-{seed}"));
            write_step(&path, &bench.signature, code, step).unwrap();
            let base_path = bench.folder.path().join("base");
            let (reader, _) = WeightsReader::check_step(&path, &bench.signature, code, &base_path).unwrap();
            drop(reader);
            encoded.push(WeightsReader::open_step(&path, &bench.signature, code, &start).unwrap());
            let follows = base.iter().map(|(name, base)| {
                let step = step(name);
                let lost = residual(code, &step);
                let one =
                    |((base, step), lost): ((&f32, &f64), f32)| moved(*base, step - f64::from(lost), name);
                (name.clone(), base.iter().zip(&step).zip(lost).map(one).collect())
            });
            let follows: Tensors = follows.collect();
            plain.push(bench.reader(&format!("plain-{encoding}-{seed}"), &follows, &bench.signature));
        }
        let aggregated = |files: &[WeightsReader], strategy| {
            let input = AggregationInput {
                strategy,
                server: ServerPlan::default(),
                signature: &bench.signature,
                global_model: &start,
                optimizer_state: None,
                step: 0,
            };
            let updates: Vec<_> =
                files.iter().map(|weights| Update { weights, weight: 2.0, base: None }).collect();
            aggregate(&input, &updates).unwrap().weights
        };
        for strategy in [Strategy::FedAvg, Strategy::Median, Strategy::GeometricMedian] {
            let (a, b) = (aggregated(&encoded, strategy), aggregated(&plain, strategy));
            let apart = a.iter().flat_map(|(name, values)| values.iter().zip(&b[name]));
            let most = apart.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(most < 1e-6, "{encoding} {}: {most}", strategy.name());
        }
        let far = distance(&bench.signature, &start, &encoded[0]).unwrap();
        assert!(
            far > 1.0 && (far / distance(&bench.signature, &start, &plain[0]).unwrap() - 1.0).abs() < 1e-6
        );
    }
}

/// Values are read by the counts of a mask, so one that the disk has damaged since admission is refused.
#[test]
fn a_damaged_mask_is_refused() {
    use eosfed_common::weights::{StepCode, write_step};

    let bench = Bench::new(&[("a.weight", &[3])]);
    let base = Tensors::from([("a.weight".to_owned(), vec![0.5; 3])]);
    let start = bench.reader("base", &base, &bench.signature);
    let code = StepCode::TopKBf16 { share: 0.5 };
    let path = bench.folder.path().join("step");
    write_step(&path, &bench.signature, code, |_| vec![1.0, 2.0, 3.0]).unwrap();
    WeightsReader::open_step(&path, &bench.signature, code, &start).unwrap();
    let sound = std::fs::read(&path).unwrap();
    for (mask, expected) in [(0b111, "must have 2 bits, found 3"), (0b1010, "no bits beyond position 2")] {
        let mut bytes = sound.clone();
        *bytes.last_mut().unwrap() = mask;
        std::fs::write(&path, &bytes).unwrap();
        let error = WeightsReader::open_step(&path, &bench.signature, code, &start).unwrap_err().to_string();
        assert!(error.contains("`a.weight`") && error.contains(expected), "{error}");
    }
}
