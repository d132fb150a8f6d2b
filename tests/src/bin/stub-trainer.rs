//! A training program with the interface of `eosfed-trainer` and almost no computation: the same task file,
//! the same lines, the same exit codes, a checkpoint after each epoch, and an end at SIGTERM.

#![allow(clippy::unwrap_used, reason = "a part of the tests: it says by its panic what went wrong")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use eosfed_e2e::stub::{GATE, LEDGER, PAUSE, samples, start_accuracy, trained};
use serde_json::{Value, json};
use signal_hook::consts::SIGTERM;

const FAILED: i32 = 1;
const USAGE: i32 = 64;
const CANCELLED: i32 = 143;
/// Steps in each epoch.
const STEPS: u64 = 5;

fn main() {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|command| command == "device") {
        println!("{}", json!({ "device": "cpu", "reason": "the stub computes almost nothing" }));
        return;
    }
    let [command, task] = &arguments[..] else { exit(USAGE) };
    let text = fs::read(task).unwrap();
    let (true, Ok(task)) = (command == "train", serde_json::from_slice::<Value>(&text)) else { exit(USAGE) };
    let stopped = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGTERM, Arc::clone(&stopped)).unwrap();
    train(&task, &stopped);
}

fn train(task: &Value, stopped: &AtomicBool) {
    let output = PathBuf::from(task["output"].as_str().unwrap());
    let seed = task["seed"].as_u64().unwrap();
    let epochs = task["training"]["epochs"].as_u64().unwrap();
    let checkpoint = output.join("stub.checkpoint");
    let done = fs::read_to_string(&checkpoint).ok().and_then(|text| text.parse().ok()).unwrap_or(0_u64);
    let training_samples = samples(seed);
    let steps = epochs * STEPS;
    say(&json!({
        "event": "started", "device": "cpu", "steps": steps, "resumed_at": done * STEPS,
        "training_samples": training_samples, "validation_samples": 3, "warnings": [],
    }));
    let Some(base) = task["initial"]["file"].as_str() else {
        say(&json!({ "event": "failed", "reason": "the stub trains in rounds only" }));
        exit(FAILED);
    };
    for epoch in done + 1..=epochs {
        pause(stopped);
        if epoch == epochs && task["schedule"][1] == 1.0 {
            wait_at_the_gate(stopped);
        }
        let step = epoch * STEPS;
        let loss = 1.0 / epoch as f64;
        say(&json!({ "event": "progress", "step": step - 1, "loss": loss }));
        replace(&checkpoint, epoch.to_string().as_bytes());
        say(&json!({
            "event": "epoch", "epoch": epoch, "step": step, "loss": loss, "learning_rate": 1e-3,
            "metrics": { "accuracy": 1.0 - loss },
        }));
    }
    replace(&output.join("weights.safetensors"), &trained(&fs::read(base).unwrap(), seed));
    note(&output, seed);
    let normalisation = task["normalisation"].as_array().cloned().unwrap_or_default();
    let mut finished = json!({
        "event": "finished", "steps": steps, "report": {
            "samples": training_samples, "normalisation": normalisation, "metrics": { "accuracy": 0.5 },
            "energy": { "kwh": 0.0, "source": "unavailable" },
            "spent": {
                "starting_seconds": 0.5, "loading_seconds": 0.25, "training_seconds": 3.0,
                "validation_seconds": 0.0, "writing_seconds": 0.25,
            },
        },
    });
    if scores_average(task) {
        finished["start_metrics"] = json!({ "accuracy": start_accuracy(training_samples) });
    }
    say(&finished);
}

/// Whether the starting weights are an average whose scores are asked for. A task does not say so where they are.
fn scores_average(task: &Value) -> bool {
    task["schedule"][0].as_f64() > Some(0.0) && task["training"]["score_average"] != false
}

/// Prints a line. If standard output is closed, the daemon is gone.
fn say(event: &Value) {
    let mut out = std::io::stdout();
    if writeln!(out, "{event}").and_then(|()| out.flush()).is_err() {
        exit(CANCELLED);
    }
}

fn pause(stopped: &AtomicBool) {
    let wanted = std::env::var(PAUSE).ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    let until = Instant::now() + Duration::from_millis(wanted);
    while Instant::now() < until {
        if stopped.load(Ordering::Relaxed) {
            exit(CANCELLED);
        }
        sleep(Duration::from_millis(10).min(until - Instant::now()));
    }
}

fn wait_at_the_gate(stopped: &AtomicBool) {
    let Some(gate) = std::env::var_os(GATE).map(PathBuf::from) else { return };
    while !gate.exists() {
        if stopped.load(Ordering::Relaxed) {
            exit(CANCELLED);
        }
        sleep(Duration::from_millis(20));
    }
}

/// Writes a file atomically.
fn replace(path: &Path, bytes: &[u8]) {
    let new = path.with_extension("new");
    if let Err(error) = fs::write(&new, bytes).and_then(|()| fs::rename(&new, path)) {
        eprintln!("error: {}: {error}", path.display());
        exit(FAILED);
    }
}

/// Adds a line to the ledger.
fn note(output: &Path, seed: u64) {
    let Some(ledger) = std::env::var_os(LEDGER) else { return };
    let assignment = output.file_name().unwrap().to_string_lossy();
    let line = format!("{assignment} {seed}\n");
    let mut file = fs::OpenOptions::new().create(true).append(true).open(ledger).unwrap();
    file.write_all(line.as_bytes()).unwrap();
}
