//! The commands of the README work.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use eosfed_e2e::{programs, project};

/// The lines of the README's shell blocks, in order.
fn commands() -> Vec<String> {
    let text = fs::read_to_string(project().join("README.md")).unwrap();
    let blocks = text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

#[test]
fn the_commands_of_the_tour_work() {
    let commands = commands();
    assert!(commands.len() > 20, "the tour has lost its commands: {commands:?}");
    let folder = tempfile::tempdir().unwrap();
    symlink(project().join("deploy"), folder.path().join("deploy")).unwrap();
    let known = Command::new("python3").arg(project().join("deploy/demo/fetch_scene.py")).output().unwrap();
    if !known.status.success() {
        println!("skipped: the_commands_of_the_tour_work: the demo's scene cannot be fetched from here");
        return;
    }
    let end = "trap 'kill $(jobs -p) 2> /dev/null; wait' EXIT\n";
    let script = format!("set -euo pipefail\n{end}set -x\n{}\n", commands.join("\n"));
    let path = format!("{}:{}", programs().display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    for made in
        ["imagery.png", "curves.png", "release/release.json", "scores/results.md", "scores/predictions.png"]
    {
        assert!(folder.path().join("tour").join(made).exists(), "{made} is missing\n{said}");
    }
}

#[test]
fn the_two_commands_and_every_file_named_exist() {
    let text = fs::read_to_string(project().join("README.md")).unwrap();
    for target in ["demo", "test", "help", "programs", "release"] {
        assert!(text.contains(&format!("make {target}")), "{target}");
        let make = Command::new("make").args(["-n", target]).current_dir(project()).output().unwrap();
        assert!(make.status.success(), "make {target}: {}", String::from_utf8_lossy(&make.stderr));
    }
    for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        assert!(link.starts_with("https://") || project().join(link).exists(), "{link} is not there");
    }
}
