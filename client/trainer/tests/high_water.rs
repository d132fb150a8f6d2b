//! The memory of a training, of a head's too, and of scoring does not depend on the size of the data set: the
//! trainer's own high-water mark says so.
//! `bench/stream.py` shows the same with more data than memory.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{release, specialist, task};
use eosfed_common::head::HeadOver;
use eosfed_common::model::Task;
use eosfed_common::plan::{ClassWeights, Training};
use eosfed_common::task::{DecodedSamples, TrainTask};
use eosfed_common::training_target::TrainingTarget;
use eosfed_data::{Raster, write_geotiff};

const MIB: u64 = 1 << 20;

/// `images` images of one band, which are names of two files.
fn dataset(folder: &Path, images: usize, side: usize) -> PathBuf {
    for class in ["dark", "light"] {
        fs::create_dir_all(folder.join("images").join(class)).unwrap();
        let first = if class == "dark" { 0 } else { 500 };
        let data = (0..side * side).map(|at| (first + at * 7 % 1000) as f32).collect();
        let real = folder.join(format!("{class}.tif"));
        let raster = Raster { width: side, height: side, bands: 1, data, reference: None };
        write_geotiff(&real, &raster).unwrap();
        for image in 0..images / 2 {
            fs::hard_link(&real, folder.join(format!("images/{class}/{image}.tif"))).unwrap();
        }
    }
    let path = folder.join("dataset.toml");
    let text = "task = \"classification\"\nbands = [\"red\"]\nclasses = [\"dark\", \"light\"]\n[layout]\n\
                kind = \"folders\"\nroot = \"images\"\n[split]\nvalidation = 0.0\ntest = 0.0\n";
    fs::write(&path, text).unwrap();
    path
}

/// Most memory of the trainer with these arguments, in bytes.
fn most_memory(arguments: &[&str]) -> u64 {
    let program = env!("CARGO_BIN_EXE_eosfed-trainer");
    let mut child = Command::new(program).args(arguments).stdout(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        let text = fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: Option<u64> = mark.and_then(|mark| mark.trim().strip_suffix(" kB")?.parse().ok());
        most = most.max(kib.unwrap_or(0) * 1024);
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(ended.success(), "{arguments:?}");
    assert!(most > 0, "the kernel gives the high-water mark");
    most
}

/// Asserts that more images need no more memory than this: all of them in memory would need far more.
fn not_more(few: u64, many: u64, bound: u64) {
    assert!(many < few + bound, "{} MiB, then {} MiB", few / MIB, many / MIB);
}

/// A task on a data set.
fn task_on(folder: &Path, data: &Path, cached: bool) -> TrainTask {
    let mut task = task(data, &folder.join("out"), 1);
    task.training =
        Training { crop: Some(32), class_weights: ClassWeights::None, ..Training::new(1, 8, 1e-3) };
    task.samples = cached.then(|| DecodedSamples { folder: folder.join("cache"), bytes: 1 << 40 });
    task
}

/// Most memory of a task.
fn of_task(folder: &Path, task: &TrainTask) -> u64 {
    let file = folder.join("task.json");
    fs::write(&file, serde_json::to_vec(task).unwrap()).unwrap();
    most_memory(&["train", file.to_str().unwrap()])
}

#[test]
fn memory_does_not_grow_with_the_data_set() {
    let of = |images: usize, cached: bool| {
        let folder = tempfile::tempdir().unwrap();
        let mut task = task_on(folder.path(), &dataset(folder.path(), images, 512), cached);
        let model = specialist(&mut task);
        model.task = Task::Classification;
        model.bands = vec!["red".to_owned()];
        of_task(folder.path(), &task)
    };
    let few = of(40, false);
    for cached in [false, true] {
        // 360 more images are 360 MiB when they are decoded.
        not_more(few, of(400, cached), 120 * MIB);
    }
}

/// Most memory of `fit`, of a round of the same head, and of its score.
fn of_head(images: usize) -> [u64; 3] {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let release = release(&folder.path().join("release"));
    let data = dataset(folder.path(), images, 256);
    let given = ["--data", data.to_str().unwrap(), "--release", release.to_str().unwrap(), "--threads", "1"];
    let head = path("head");
    // No features are kept.
    let own = ["--encoders", "only-red", "--input-size", "32", "--epochs", "1", "--cache-gb", "0"];
    let fit = most_memory(&[&["fit", "--output", &head], &own[..], &given[..]].concat());
    let score = ["score", &head, "--split", "train", "--output", &path("score")];
    let score = most_memory(&[&score[..], &given[..]].concat());
    let read = |path: PathBuf| fs::read(path).unwrap();
    let described = serde_json::from_slice(&read(folder.path().join("head/head.json"))).unwrap();
    let manifest = serde_json::from_slice(&read(release.join("release.json"))).unwrap();
    let mut task = task_on(folder.path(), &data, false);
    task.training.crop = None;
    task.training_target = TrainingTarget::Head(Box::new(HeadOver { head: described, release: manifest }));
    task.release = Some(release);
    [fit, of_task(folder.path(), &task), score]
}

#[test]
fn memory_of_heads_does_not_grow_with_the_data_set() {
    const FEW: usize = 64;
    const MANY: usize = 448;
    // Values of the encoder's maps of an image of 32 pixels, in eight orientations, which a round keeps.
    const FEATURES: usize = (40 * 64 + 80 * 16 + 160 * 4 + 320) * 8;
    let kept = ((MANY - FEW) * FEATURES * 4) as u64;
    let few = of_head(FEW);
    let many = of_head(MANY);
    // 384 more images are 96 MiB when they are decoded.
    for (at, more) in [0, kept, 0].into_iter().enumerate() {
        not_more(few[at], many[at], 48 * MIB + more);
    }
}
