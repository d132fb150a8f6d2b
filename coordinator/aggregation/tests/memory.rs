//! A hundred updates of ConvNeXtV2-Atto's size, of 13.6 MB each, do not need the memory of a hundred updates, nor their
//! mean that of one.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use eosfed_aggregation::{AggregationInput, Server, Update, WeightsReader, aggregate_into};
use eosfed_common::plan::{ServerPlan, Strategy};
use eosfed_common::weights::{Signature, Tensors, WeightsWriter, write};

const UPDATES: usize = 100;
/// The largest tensors of the network, and one for all the rest: 3.39 million numbers.
const SHAPES: [(&str, &[usize]); 4] =
    [("a", &[320, 1280]), ("b", &[1280, 320]), ("c", &[1280, 320]), ("rest", &[2_161_200])];

/// Resident memory of this process in bytes, mapped files included.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// The largest additional memory of `work`, measured each millisecond.
fn growth(work: impl FnOnce()) -> u64 {
    let before = resident();
    let most = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                most.fetch_max(resident(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        work();
        done.store(true, Ordering::Relaxed);
    });
    most.load(Ordering::Relaxed).saturating_sub(before)
}

fn updates(folder: &Path, signature: &Signature) -> Vec<std::path::PathBuf> {
    let make = |index: usize| {
        let tensor = |(name, shape): (&String, &Vec<usize>)| {
            let length = shape.iter().product::<usize>();
            let value = |i: usize| (((i * 31 + index * 7919) % 10_007) as f32 - 5000.0) / 1e5;
            (name.clone(), (0..length).map(value).collect())
        };
        let tensors: Tensors = signature.0.iter().map(tensor).collect();
        let path = folder.join(index.to_string());
        write(&path, signature, &tensors).unwrap();
        path
    };
    (0..UPDATES).map(make).collect()
}

#[test]
fn memory_does_not_grow_with_the_number_of_institutions() {
    let signature =
        Signature(SHAPES.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec())).collect());
    assert_eq!(signature.parameters(), 3_390_000);
    let folder = tempfile::tempdir().unwrap();
    let paths = updates(folder.path(), &signature);
    for (strategy, most) in [
        (Strategy::FedAvg, 12),
        (Strategy::FedAvgM { momentum: 0.9 }, 12),
        (Strategy::FedAdam { learning_rate: 0.1, beta_1: 0.9, beta_2: 0.99, tau: 1e-3 }, 12),
        (Strategy::NormBoundedMean { bound: 1.0 }, 12),
        (Strategy::Median, 64),
        (Strategy::TrimmedMean { trim: 0.1 }, 64),
        (Strategy::MultiKrum { byzantine: 10, keep: None }, 64),
        (Strategy::GeometricMedian, 64),
    ] {
        let started = Instant::now();
        let grown = growth(|| {
            let open = |path: &std::path::PathBuf| WeightsReader::open(path, &signature).unwrap();
            let readers: Vec<_> = paths.iter().map(open).collect();
            let now = WeightsReader::open(&paths[0], &signature).unwrap();
            let updates: Vec<_> =
                readers.iter().map(|weights| Update { weights, weight: 1.0, base: None }).collect();
            let server = ServerPlan::default();
            let input = AggregationInput {
                strategy,
                server,
                signature: &signature,
                global_model: &now,
                optimizer_state: None,
                step: 0,
            };
            let begin = |name: &str, names: &Signature| {
                WeightsWriter::create(&folder.path().join(name), names).unwrap()
            };
            let state = Server::of(strategy, server).state_signature(&signature);
            let (weights, state) = (begin("next", &signature), state.map(|names| begin("state", &names)));
            aggregate_into(&input, &updates, &weights, state.as_ref()).unwrap();
        });
        let mib = grown / (1 << 20);
        let name = strategy.name();
        println!("{name}: {mib} MiB more for {UPDATES} updates, {:.1} s", started.elapsed().as_secs_f64());
        assert!(mib <= most, "{name}: {mib} MiB, at most {most}");
    }
}
