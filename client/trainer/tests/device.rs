//! What the program says of CUDA, as a process of its own: libraries are loaded once in a process.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::process::{Command, Output};

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
    assert!(said.contains("`cuda` was asked for") && said.contains("file too short"), "{said}");
}
