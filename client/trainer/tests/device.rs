//! What the program says of CUDA, as a process of its own: libraries are loaded once in a process.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod common;

use std::path::PathBuf;
use std::process::{Command, Output};

use eosfed_common::task::{DeviceChoice, TrainTask, TrainerEvent, exit_code};

fn device(choice: &str, library_path: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eosfed-trainer"));
    command.args(["device", "--device", choice]).env("LD_LIBRARY_PATH", library_path);
    command.output().unwrap()
}

#[test]
fn a_damaged_library_is_named_with_the_loaders_words_and_the_processor_still_computes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let said = String::from_utf8(device("cpu", path).stdout).unwrap();
    if !said.contains("was not found") {
        eprintln!("skipped: this libtorch has its CUDA part: {said}");
        return;
    }
    assert!(said.contains("libtorch_cuda.so, libtorch_cuda.so)"), "{said}");

    std::fs::write(folder.path().join("libtorch_cuda.so"), "not a library").unwrap();
    let auto = device("auto", path);
    let said = String::from_utf8(auto.stdout).unwrap();
    assert!(
        auto.status.success() && said.starts_with("cpu: ") && said.contains("cannot be loaded"),
        "{said}"
    );

    let cuda = device("cuda", path);
    let said = String::from_utf8(cuda.stderr).unwrap();
    assert_eq!(cuda.status.code(), Some(1));
    assert!(said.contains("`cuda:0` was asked for") && said.contains("file too short"), "{said}");
}

/// The folder that `make libtorch CUDA=1` makes.
fn cuda_libraries() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let folder = cache.join("eosfed/libtorch-2.13.0-cuda/lib");
    folder.join("libtorch_cuda.so").exists().then_some(folder)
}

#[test]
fn with_the_cuda_part_and_no_driver_it_trains_on_the_processor_and_says_why() {
    let Some(libraries) = cuda_libraries() else {
        eprintln!("skipped: `make libtorch CUDA=1` has not been run");
        return;
    };
    let said = device("auto", libraries.to_str().unwrap());
    let said = String::from_utf8(said.stdout).unwrap();
    if !said.starts_with("cpu: ") {
        eprintln!("skipped: this machine has a GPU: {said}");
        return;
    }
    assert!(said.contains("libtorch_cuda.so)") && said.contains("libcuda.so.1: cannot open"), "{said}");

    let folder = tempfile::tempdir().unwrap();
    let data = common::scene(&folder.path().join("data"), 0, "validation = 0.2");
    let train = |choice, name: &str| {
        let task = TrainTask { device: choice, ..common::task(&data, &folder.path().join(name), 1) };
        let path = folder.path().join(format!("{name}.json"));
        std::fs::write(&path, serde_json::to_vec(&task).unwrap()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_eosfed-trainer"));
        command.arg("train").arg(path).env("LD_LIBRARY_PATH", &libraries).output().unwrap()
    };
    let auto = train(DeviceChoice::Auto, "auto");
    let log = String::from_utf8(auto.stderr).unwrap();
    assert!(auto.status.success() && log.contains("driver is not there"), "{log}");
    let weights = |name: &str| std::fs::read(folder.path().join(name).join(TrainTask::WEIGHTS)).unwrap();
    assert!(train(DeviceChoice::Cpu, "cpu").status.success());
    assert_eq!(weights("auto"), weights("cpu"));

    let cuda = train(DeviceChoice::Cuda(0), "cuda");
    assert_eq!(cuda.status.code(), Some(exit_code::FAILED));
    let events = String::from_utf8(cuda.stdout).unwrap();
    let last: TrainerEvent = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    let TrainerEvent::Failed { reason } = last else { panic!("{last:?}") };
    assert!(reason.contains("`cuda:0` was asked for") && reason.contains("libcuda.so.1"), "{reason}");
}
