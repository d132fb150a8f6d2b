//! A site's machine: what lies among its images, what its training program gets and outlives, and who may read
//! its folders. All programs are processes of their own.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use eosfed_e2e::hostile::Liar;
use eosfed_e2e::plans::rounds;
use eosfed_e2e::stub::PAUSE;
use eosfed_e2e::{Federation, output_within, programs, succeed};

const STUB: &str = env!("CARGO_BIN_EXE_stub-trainer");

/// Longest time in which the programs must notice a file that would stop them.
const SECONDS: Duration = Duration::from_secs(10);

/// Attack 18.
#[test]
fn a_named_pipe_among_the_images_stops_neither_inspection_nor_a_daemon() {
    let federation = Federation::new();
    let pipe = federation.path("west-data/dark/pipe.png");
    let trainer = programs().join("eosfed-trainer");
    let lies = ["nothing", "statistics", "honest", "nothing"];
    let mut liar = Liar::joined(&federation, &lies, trainer.to_str().unwrap());
    let daemon = federation.daemon("west");
    federation.until("the daemon to ask for work", || daemon.log().contains("waiting for work"));
    // The pipe appears while the daemon runs.
    succeed(Command::new("mkfifo").arg(&pipe));
    let mut inspect = federation.program("eosfed-client");
    let inspected =
        output_within(SECONDS, inspect.args(["data", "inspect"]).arg(federation.path("west-data")));
    let said = String::from_utf8_lossy(&inspected.stderr);
    assert!(!inspected.status.success(), "{said}");
    assert!(said.contains("pipe.png") && said.contains("a named pipe"), "{said}");
    let began = Instant::now();
    liar.withdraw();
    assert_eq!(liar.next_end()["end"], "withdrawn");
    // The daemon reads the images for statistics, and the training program for training.
    for lie in ["statistics", "honest"] {
        let end = liar.next_end();
        assert!(began.elapsed() < SECONDS, "it took {:?}: {end}", began.elapsed());
        let said = end["message"].as_str().unwrap_or_default();
        assert!(end["lie"] == lie && said.contains("[path]") && said.contains("a named pipe"), "{end}");
    }
    assert!(daemon.terminate().success());
}

/// A training program that leaves its number and its environment in its folder, and continues as the stub.
const TRAINER: &str = r#"#!/bin/sh
tr '\0' '\n' < /proc/self/environ > "FOLDER/environment"
echo $$ > "FOLDER/number"
exec "STUB" "$@"
"#;

fn is_running(process: &Path) -> bool {
    fs::read_to_string(process.join("stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Attack 21.
#[test]
fn a_training_program_gets_no_secret_of_the_daemon_and_ends_with_it() {
    let federation = Federation::new();
    let trainer = federation.path("trainer.sh");
    let folder = federation.path("");
    let script = TRAINER.replace("FOLDER", folder.to_str().unwrap()).replace("STUB", STUB);
    fs::write(&trainer, script).unwrap();
    fs::set_permissions(&trainer, fs::Permissions::from_mode(0o755)).unwrap();
    let _liar = Liar::joined(&federation, &["honest"], trainer.to_str().unwrap());
    let mut command = federation.daemon_command("west");
    command.env("AWS_SECRET_ACCESS_KEY", "secret-of-the-daemon").env(PAUSE, "600000");
    let daemon = federation.start("west", command);
    let number = federation.path("number");
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    // The daemon tries the program at its start; the one that trains comes later.
    let process = || Path::new("/proc").join(read(&number).trim());
    let trains = || read(&number).ends_with('\n') && is_running(&process());
    federation.until("the training program to start", trains);
    let environment = read(&federation.path("environment"));
    assert!(environment.contains(&format!("{PAUSE}=600000")), "the list lets it through: {environment}");
    assert!(!environment.contains("SECRET") && !environment.contains("secret"), "{environment}");

    let process = process();
    assert!(is_running(&process));
    let began = Instant::now();
    daemon.kill();
    federation.until("the training program to end", || !is_running(&process));
    assert!(began.elapsed() < SECONDS, "it took {:?}", began.elapsed());
}

/// Every file and folder below and including this one. A folder that is removed meanwhile has nothing in it.
fn walk(path: PathBuf, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(&path).into_iter().flatten() {
            walk(entry.unwrap().path(), found);
        }
    }
    found.push(path);
}

/// Attack 19.
#[test]
fn state_folders_are_for_their_owner_only_and_laxer_ones_are_refused() {
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    for (seed, name) in (1..).zip(["east", "west"]) {
        federation.stubbed(name, seed, STUB);
    }
    // West's journal keeps a lease token while it trains.
    let mut slow = federation.daemon_command("west");
    slow.env(PAUSE, "600");
    let daemons = [federation.start("west", slow), federation.daemon("east")];
    let job = federation.submit(&rounds(1, 2, 2, "10m").text());
    federation.until("west to train", || federation.journal("west")["phase"] == "training");
    let journal = federation.journal("west");
    let token = journal["held"]["lease"]["token"].as_str();
    let token = token.unwrap_or_else(|| panic!("no lease token in {journal:#}")).to_owned();
    check(&federation, &token);
    federation.wait(&job, "the end", |job| job["state"] == "finished");
    check(&federation, &token);
    assert!(daemons.into_iter().all(|daemon| daemon.terminate().success()));
    assert!(coordinator.terminate().success());
    refuses_laxer_ones(&federation);
}

/// Walks the state folders of all programs.
fn check(federation: &Federation, token: &str) {
    let mut all = Vec::new();
    for folder in ["coordinator", "east", "west"] {
        walk(federation.path(folder), &mut all);
    }
    assert!(all.len() > 40, "{all:?}");
    for path in all {
        // The programs are at work: files come and go.
        let metadata = match path.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            found => found.unwrap(),
        };
        let mode = metadata.mode() & 0o7777;
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:04o}", path.display());
    }
    for log in ["coordinator.log", "east.log", "west.log"] {
        assert!(
            !fs::read_to_string(federation.path(log)).unwrap().contains(token),
            "{log} has a lease token"
        );
    }
}

fn refuses_laxer_ones(federation: &Federation) {
    let state = |name: &str| federation.path(name);
    let cases: [(PathBuf, u32, Command); 6] = [
        (state("west"), 0o755, federation.daemon_command("west")),
        (state("west/key.pem"), 0o644, federation.daemon_command("west")),
        (state("west/signing.key"), 0o640, federation.daemon_command("west")),
        (state("coordinator"), 0o750, federation.coordinator_command()),
        (state("coordinator/ca/key.pem"), 0o604, federation.coordinator_command()),
        (state("coordinator/operator/key.pem"), 0o644, federation.eosfed(&["job", "list"])),
    ];
    for (path, lax, mut command) in cases {
        let before = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(lax)).unwrap();
        let output = output_within(SECONDS, &mut command);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let wanted = format!("chmod {:o} {}", before.mode() & 0o777, path.display());
        assert!(!output.status.success() && said.contains(&wanted), "`{wanted}` is not in: {said}");
        fs::set_permissions(&path, before).unwrap();
    }
}
