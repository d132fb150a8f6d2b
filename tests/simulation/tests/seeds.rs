//! Thousands of federations, each from one seed.
//!
//! ```text
//! cargo test -p eosfed-simulation                                    # 2,000 seeds
//! SEEDS=100000 cargo test --release -p eosfed-simulation             # any number
//! SEED=17 EOSFED_TRACE=1 cargo test -p eosfed-simulation malicious -- --nocapture   # one of them, told
//! ```

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use eosfed_common::plan::JobKind;
use eosfed_simulation::world::said;
use eosfed_simulation::{Planted, Report, Scenario, Violation, run, run_with};

/// A folder in memory, if there is one, since nothing has to survive a crash of the machine.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap()
}

fn once(seed: u64, scenario: Scenario) -> Result<Report, Violation> {
    let folder = folder();
    // A seed that panics has failed; the others continue.
    let done = catch_unwind(AssertUnwindSafe(|| run(seed, scenario, folder.path())));
    done.unwrap_or_else(|panic| Err(Violation(format!("it panicked: {}", said(&*panic)))))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The seeds to run: a given one, or a number of them.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(usual),
    }
}

/// Runs `check` for each seed, on all processors. Panics with the violations of each seed.
fn each(range: std::ops::Range<u64>, check: impl Fn(u64) -> Result<Report, Violation> + Sync) -> Vec<Report> {
    let next = AtomicU64::new(range.start);
    let found = Mutex::new(Vec::new());
    let failed = Mutex::new(BTreeMap::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !range.contains(&seed) {
                        return;
                    }
                    match check(seed) {
                        Ok(report) => found.lock().unwrap().push(report),
                        Err(violation) => drop(failed.lock().unwrap().insert(seed, violation.to_string())),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    let some: BTreeMap<_, _> = failed.iter().take(10).collect();
    assert!(failed.is_empty(), "{} of {} seeds, such as {some:#?}", failed.len(), range.end - range.start);
    found.into_inner().unwrap()
}

#[test]
fn seeds_with_malicious_institutions_violate_no_invariant() {
    let started = Instant::now();
    let reports = each(seeds(2000), |seed| once(seed, Scenario::Malicious));
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let mut states: BTreeMap<String, u32> = BTreeMap::new();
    for report in &reports {
        *states.entry(format!("{} {}", report.kind, report.state)).or_default() += 1;
    }
    println!(
        "{} seeds in {:.1} s: {states:?}; {} rounds, {} receipts, {} starts of the coordinator, {} calls, {} days",
        reports.len(),
        started.elapsed().as_secs_f64(),
        sum(|report| report.rounds as u64),
        sum(|report| report.receipts as u64),
        sum(|report| u64::from(report.starts)),
        sum(|report| report.calls),
        sum(|report| report.took.as_secs()) / 86_400,
    );
    // Faults under which no job finishes would prove nothing.
    let finished = reports.iter().filter(|report| report.state == "finished").count();
    assert!(reports.len() == 1 || finished * 2 > reports.len(), "{states:?}");
}

#[test]
fn faults_do_not_change_the_bytes_of_results() {
    each(seeds(150), |seed| {
        let quiet = once(seed, Scenario::NoFaults)?;
        let faulty = once(seed, Scenario::Faults)?;
        // An evaluation skips a specialist that too few could score in time.
        let made_the_same = match faulty.kind {
            JobKind::Evaluation => faulty.made.iter().all(|score| quiet.made.contains(score)),
            JobKind::OneShot | JobKind::Rounds | JobKind::Downstream | JobKind::Statistics => {
                quiet.made == faulty.made
            }
        };
        let same = faulty.state != "finished" || made_the_same;
        let what = format!("made {:?} without faults and {:?} with faults", quiet.made, faulty.made);
        if same && quiet.state == "finished" { Ok(faulty) } else { Err(Violation(what)) }
    });
}

#[test]
fn the_same_seed_gives_the_same_run() {
    each(seeds(40), |seed| {
        let one = once(seed, Scenario::Malicious)?;
        let other = once(seed, Scenario::Malicious)?;
        if one == other { Ok(one) } else { Err(Violation(format!("{one:?} and {other:?}"))) }
    });
}

/// An oracle that cannot fail proves nothing.
#[test]
fn planted_mistakes_in_the_daemon_are_found() {
    for (planted, expected) in [
        (Planted::ForgottenJournal, "starts its trainer while there is no final answer"),
        (Planted::NewKeys, "while there is no final answer to"),
    ] {
        let found = (0..60).find_map(|seed| {
            let folder = folder();
            let violation = run_with(seed, Scenario::Malicious, folder.path(), Some(planted)).err()?;
            Some((seed, violation.to_string()))
        });
        let (seed, violation) = found.unwrap();
        println!("{planted:?}: seed {seed}: {violation}");
        assert!(violation.contains(expected), "{planted:?}: seed {seed}: {violation}");
    }
}
