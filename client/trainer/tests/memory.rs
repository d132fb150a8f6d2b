//! Too little memory is a sentence and an event, not a crash that is tried again.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod common;

use std::fs;
use std::process::Command;

use common::{scene, task};
use eosfed_common::task::{TrainerEvent, exit_code};

#[test]
fn what_does_not_fit_into_memory_fails_the_task_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let data = scene(&folder.path().join("data"), 0, "validation = 0.2");
    let mut task = task(&data, &folder.path().join("output"), 1);
    // 400 terabytes a band: more than a process can address.
    task.training.input_size = Some(9_999_968);
    let path = folder.path().join("task.json");
    fs::write(&path, serde_json::to_vec(&task).unwrap()).unwrap();
    let trainer = env!("CARGO_BIN_EXE_eosfed-trainer");
    let done = Command::new(trainer).arg("train").arg(&path).output().unwrap();
    assert_eq!(done.status.code(), Some(exit_code::FAILED), "{done:?}");
    let said = String::from_utf8(done.stdout).unwrap();
    let last: TrainerEvent = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    let TrainerEvent::Failed { reason } = last else { panic!("{last:?}") };
    assert!(reason.contains("too little memory") && reason.contains("tried to allocate"), "{reason}");
    let log = String::from_utf8_lossy(&done.stderr);
    assert!(!log.contains("panicked"), "{log}");
}
