//! The memory of a training does not depend on the size of its data set: the trainer's own high-water mark says so.
//! `bench/stream.py` shows the same with more data than memory.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{specialist, task};
use eosfed_common::model::Task;
use eosfed_common::plan::{ClassWeights, Training};
use eosfed_common::task::DecodedSamples;
use eosfed_data::{Raster, write_geotiff};

const SIDE: usize = 512;
const MIB: u64 = 1 << 20;

/// `images` images of one band, of 1 MiB each when they are decoded, which are names of two files.
fn dataset(folder: &Path, images: usize) -> PathBuf {
    for class in ["dark", "light"] {
        fs::create_dir_all(folder.join("images").join(class)).unwrap();
        let first = if class == "dark" { 0 } else { 500 };
        let data = (0..SIDE * SIDE).map(|at| (first + at * 7 % 1000) as f32).collect();
        let real = folder.join(format!("{class}.tif"));
        let raster = Raster { width: SIDE, height: SIDE, bands: 1, data, reference: None };
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

/// Most memory of the trainer, in bytes.
fn most_memory(images: usize, cached: bool) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let mut task = task(&dataset(folder.path(), images), &folder.path().join("out"), 1);
    let model = specialist(&mut task);
    model.task = Task::Classification;
    model.bands = vec!["red".to_owned()];
    task.training =
        Training { crop: Some(32), class_weights: ClassWeights::None, ..Training::new(1, 8, 1e-3) };
    task.samples = cached.then(|| DecodedSamples { folder: folder.path().join("cache"), bytes: 1 << 40 });
    let file = folder.path().join("task.json");
    fs::write(&file, serde_json::to_vec(&task).unwrap()).unwrap();
    let program = env!("CARGO_BIN_EXE_eosfed-trainer");
    let mut child = Command::new(program).arg("train").arg(&file).stdout(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        assert!(!line.contains("\"failed\""), "{line}");
        let text = fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: Option<u64> = mark.and_then(|mark| mark.trim().strip_suffix(" kB")?.parse().ok());
        most = most.max(kib.unwrap_or(0) * 1024);
    }
    assert!(child.wait().unwrap().success());
    assert!(most > 0, "the kernel gives the high-water mark");
    most
}

#[test]
fn memory_does_not_grow_with_the_data_set() {
    let few = most_memory(40, false);
    for cached in [false, true] {
        let many = most_memory(400, cached);
        // 360 more images are 360 MiB when they are decoded.
        assert!(many < few + 120 * MIB, "{} MiB, then {} MiB", few / MIB, many / MIB);
    }
}
