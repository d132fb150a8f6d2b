//! The fuzz targets without a fuzzer: each is given valid inputs and thousands of changed ones, from a
//! seed, and may neither panic, nor hang, nor allocate more than it is allowed.
//!
//! - `FUZZ_SECONDS=600` runs all of them together that long on all processors (20 without it), and
//!   `FUZZ_SEED=7` on other inputs.
//! - A finding is written to a file; `FUZZ_REPLAY=FILE cargo test -p eosfed-fuzz-harness NAME` runs it alone.
//! - `FUZZ_CORPUS=DIR` writes the inputs to start from to `DIR/NAME`, for `cargo fuzz run NAME DIR/NAME`.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod memory;
mod mutate;

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use eosfed_fuzz_harness::{MESSAGES, TARGETS, Target};
use memory::{Counting, used};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Longest time for one input, on a machine that does other things too.
const TIME_LIMIT: Duration = Duration::from_secs(20);
/// Fewest changed inputs, however slow the machine is.
const FEWEST: u64 = 200;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a whole number"))
}

/// What this target is given of the time.
fn budget() -> Duration {
    let processors = std::thread::available_parallelism().map_or(1, usize::from).min(TARGETS.len());
    Duration::from_secs(number("FUZZ_SECONDS", 20)).mul_f64(processors as f64 / TARGETS.len() as f64)
}

/// Tries one input; the finding, if there is one.
fn attempt(target: &Target, bytes: &[u8]) -> Result<bool, String> {
    let started = Instant::now();
    let (outcome, used) = used(|| catch_unwind(AssertUnwindSafe(|| (target.run)(bytes))));
    let Ok(accepted) = outcome else { return Err("it panics (see above)".to_owned()) };
    let mut found = String::new();
    if used.most > target.memory {
        let _ =
            write!(found, "{} bytes of memory in use, at most {} are allowed; ", used.most, target.memory);
    }
    if used.single > target.single {
        let _ =
            write!(found, "{} bytes asked for at once, at most {} are allowed; ", used.single, target.single);
    }
    if started.elapsed() > TIME_LIMIT {
        let _ = write!(found, "{:?} for one input; ", started.elapsed());
    }
    if found.is_empty() { Ok(accepted) } else { Err(found) }
}

/// Writes down an input that has led to a finding, and fails.
fn report(target: &Target, what: &str, bytes: &[u8], finding: &str) -> ! {
    let name = target.name;
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", what.replace(' ', "-")));
    std::fs::write(&path, bytes).unwrap();
    panic!(
        "{name}, {what} ({} bytes): {finding}\nFUZZ_REPLAY={} cargo test -p eosfed-fuzz-harness {name}",
        bytes.len(),
        path.display()
    );
}

/// Panics are told in a line. The usual report looks up a stack under `RUST_BACKTRACE`, and the debug information that
/// it reads for that would count as memory of an input whose panic the code under test contains.
fn report_panics_briefly() {
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
}

fn fuzz(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let check = |what: &str, bytes: &[u8]| match attempt(target, bytes) {
        Ok(accepted) => accepted,
        Err(finding) => report(target, what, bytes, &finding),
    };
    if let Some(path) = std::env::var_os("FUZZ_REPLAY").map(PathBuf::from) {
        check("replayed", &std::fs::read(path).unwrap());
        return;
    }
    report_panics_briefly();
    let seeds = (target.seeds)();
    for (at, seed) in seeds.good.iter().enumerate() {
        let what = format!("good {at}");
        if !check(&what, seed) {
            report(target, &what, seed, "a valid input is not accepted");
        }
    }
    for (at, seed) in seeds.odd.iter().enumerate() {
        check(&format!("odd {at}"), seed);
    }
    let all = [seeds.good, seeds.odd].concat();
    if let Some(folder) = std::env::var_os("FUZZ_CORPUS").map(|folder| PathBuf::from(folder).join(name)) {
        std::fs::create_dir_all(&folder).unwrap();
        for (at, seed) in all.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{at}")), seed).unwrap();
        }
    }
    let (started, budget, seed) = (Instant::now(), budget(), number("FUZZ_SEED", 0));
    let (mut tried, mut accepted) = (0, 0);
    while tried < FEWEST || started.elapsed() < budget {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(tried);
        let input = mutate::mutated(&all, &mut rng);
        accepted += u64::from(check(&format!("seed {seed} input {tried}"), &input));
        tried += 1;
    }
    println!("{name}: {tried} inputs, {accepted} of them accepted, {:.1} s", started.elapsed().as_secs_f64());
    assert!(accepted > 0, "changes that nobody accepts reach nothing behind the first check");
}

macro_rules! fuzz {
    ($($name:ident),+) => {
        $(#[test]
        fn $name() {
            fuzz(stringify!($name));
        })+

        #[test]
        fn every_target_is_run() {
            let run = [$(stringify!($name)),+];
            let targets: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(run[..], targets);
        }
    };
}

fuzz!(
    before_gdal,
    blobs,
    messages,
    plans,
    polygons,
    raster,
    records,
    settings,
    site,
    steps,
    table,
    text,
    weights
);

/// The messages of each method, and those that other programs read by themselves.
#[test]
fn every_message_of_the_protocol_is_among_the_targets() {
    let pool = prost_reflect::DescriptorPool::decode(eosfed_proto::DESCRIPTORS).unwrap();
    let read: Vec<_> = MESSAGES.iter().map(|(name, _)| *name).collect();
    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        for message in [method.input(), method.output()] {
            assert!(read.contains(&message.name()), "{} of {}", message.name(), method.full_name());
        }
    }
}

#[test]
fn allocations_are_counted() {
    let (_, used) = used(|| drop((vec![1_u8; 3_000_000], vec![0_u8; 2_000_000])));
    assert!(used.single == 3_000_000 && (5_000_000..5_001_000).contains(&used.most), "{used:?}");
}

/// What is behind `cargo fuzz` is the same: each target has its program.
#[test]
fn each_target_has_a_program_for_the_fuzzer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for Target { name, .. } in &TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "fuzz/Cargo.toml lacks `{name}`");
        let program = std::fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("eosfed_fuzz_harness::{name}(")), "{name}");
    }
}
