//! A run that is ended by a signal leaves nothing that is not finished, or the next one removes it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::command::{predict, said};
use super::{head, image};

/// The files in `maps` that have no name yet.
fn unfinished(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join("maps")).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.')).collect()
}

/// Starts to map a scene that takes a while, and waits until its map and its confidence are being written.
fn started(folder: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eosfed-trainer"));
    command.current_dir(folder).args(["predict", "--head", "head", "--device", "cpu", "--threads", "1"]);
    command.args(["--window", "64", "--overlap", "16", "--bands", "nir,red", "--confidence"]);
    command.args(["--scenes", "large.txt", "--output", "maps"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let before = unfinished(folder);
    while unfinished(folder).iter().filter(|name| !before.contains(name)).count() < 2 {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

#[test]
fn unfinished_files_are_removed_at_a_signal_or_by_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    head(folder);
    image(&folder.join("large.tif"), 1200, 1200);
    image(&folder.join("small.tif"), 64, 64);
    for name in ["large", "small"] {
        fs::write(folder.join(format!("{name}.txt")), format!("{name}.tif\n")).unwrap();
    }
    let ended = |child: &mut Child, signal: Signal| {
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(signal as i32));
    };
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        ended(&mut started(folder), signal);
        assert_eq!(unfinished(folder), Vec::<String>::new(), "{signal}");
    }
    ended(&mut started(folder), Signal::SIGKILL);
    let killed = unfinished(folder);
    assert_eq!(killed.len(), 2);
    fs::write(folder.join("maps/.tmpAbC123"), "of another program").unwrap();
    let mut other = started(folder);
    let left = unfinished(folder);
    assert!(left.len() == 3 && !killed.iter().any(|name| left.contains(name)), "{left:?}");
    // While it is at work, a run in the same folder removes nothing of it.
    let small =
        predict(folder, &["--scenes", "small.txt", "--bands", "nir,red", "--confidence", "--output", "maps"]);
    assert!(small.status.success() && folder.join("maps/small.tif").exists(), "{}", said(&small));
    assert_eq!(BTreeSet::from_iter(unfinished(folder)), BTreeSet::from_iter(left));
    ended(&mut other, Signal::SIGTERM);
    assert_eq!(unfinished(folder), [".tmpAbC123"]);
}
