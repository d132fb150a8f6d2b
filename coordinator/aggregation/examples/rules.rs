//! Measures how fast updates become one.
//!
//!     cargo run --release -p eosfed-aggregation --example rules -- RULE REPEATS FILE...
//!
//! RULE is `mean`, `median`, `trimmed_mean`, `krum`, `geometric_median`, or `read`: a plain read of the mapped
//! files, with which the others are compared. The files have the same tensors. Each repetition opens
//! them anew, as the coordinator does. Prints one JSON line: wall time and processor time of each repetition
//! in milliseconds, the growth of resident memory in bytes, and the mean of the result's values, with which
//! other programs are held to have computed the same.

#![allow(clippy::disallowed_methods, reason = "a measurement asks for the time")]

#[path = "../../../bench/processor.rs"]
mod processor;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail};
use eosfed_aggregation::{AggregationInput, Update, WeightsReader, aggregate};
use eosfed_common::plan::{ServerPlan, Strategy};
use eosfed_common::weights::{Signature, WeightsFile};
use rayon::prelude::*;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [rule, repeats, files @ ..] = words.as_slice() else { bail!("use: rules RULE REPEATS FILE...") };
    let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
    let signature = signature(files.first().context("at least one file")?)?;
    let mut wall = Vec::new();
    let mut processor = Vec::new();
    let before = resident()?;
    let mut mean = 0.0;
    for _ in 0..repeats.parse()? {
        let start = Instant::now();
        let used = processor::seconds();
        mean = match strategy(rule, files.len())? {
            Some(strategy) => combine(strategy, &signature, &files)?,
            None => read(&files)?,
        };
        processor.push((processor::seconds() - used) * 1e3);
        wall.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let grown = peak()?.saturating_sub(before);
    println!(
        "{}",
        serde_json::json!({ "wall_ms": wall, "processor_ms": processor, "grown": grown, "mean": mean })
    );
    Ok(())
}

/// The strategy of a word; nothing for a plain read.
fn strategy(word: &str, count: usize) -> anyhow::Result<Option<Strategy>> {
    Ok(Some(match word {
        "read" => return Ok(None),
        "mean" => Strategy::FedAvg,
        "median" => Strategy::Median,
        "trimmed_mean" => Strategy::TrimmedMean { trim: 0.2 },
        "krum" => Strategy::Krum { byzantine: u32::try_from(count / 5)? },
        "geometric_median" => Strategy::GeometricMedian,
        _ => bail!("no rule `{word}`"),
    }))
}

fn combine(strategy: Strategy, signature: &Signature, files: &[PathBuf]) -> anyhow::Result<f64> {
    let open = |path: &PathBuf| WeightsReader::open(path, signature);
    let readers = files.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let weighted = |(index, weights)| Update { weights, weight: 10.0 + index as f64, base: None };
    let updates: Vec<_> = readers.iter().enumerate().map(weighted).collect();
    let global_model = &readers[0];
    let server = ServerPlan::default();
    let input =
        AggregationInput { strategy, server, signature, global_model, optimizer_state: None, step: 0 };
    let made = aggregate(&input, &updates)?;
    // Not the whole result: that would be a part of what is measured.
    let first = made.weights.values().next().context("a tensor")?;
    Ok(first.iter().map(|value| f64::from(*value)).sum::<f64>() / first.len() as f64)
}

/// Reads every byte of the mapped files on all processors.
fn read(files: &[PathBuf]) -> anyhow::Result<f64> {
    let maps = files.iter().map(|path| WeightsFile::open(path)).collect::<Result<Vec<_>, _>>()?;
    let words = |bytes: &[u8]| {
        let add = |sum: u64, word: &[u8; 8]| sum.wrapping_add(u64::from_ne_bytes(*word));
        bytes.as_chunks::<8>().0.iter().fold(0, add)
    };
    let sum = maps.par_iter().flat_map(|map| map.bytes().par_chunks(1 << 16)).map(words);
    Ok(sum.reduce(|| 0, u64::wrapping_add) as f64)
}

/// The tensors of a file, from its header.
fn signature(path: &Path) -> anyhow::Result<Signature> {
    #[derive(serde::Deserialize)]
    struct Tensor {
        shape: Vec<usize>,
    }
    let file = WeightsFile::open(path)?;
    let (length, rest) = file.bytes().split_first_chunk().context("a header")?;
    let header = rest.get(..u64::from_le_bytes(*length) as usize).context("a whole header")?;
    let tensors: BTreeMap<String, Tensor> = serde_json::from_slice(header)?;
    Ok(Signature(tensors.into_iter().map(|(name, tensor)| (name, tensor.shape)).collect()))
}

/// Resident memory in bytes, mapped files included: now, and at most so far.
fn resident() -> anyhow::Result<u64> {
    status("VmRSS:")
}

fn peak() -> anyhow::Result<u64> {
    status("VmHWM:")
}

fn status(line: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let found = status.lines().find_map(|text| text.strip_prefix(line)).context("a line")?;
    Ok(found.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
