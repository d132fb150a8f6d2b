//! What prevents a start: a state folder or a key of another user, a full disk. Each is a sentence with what to do
//! and an exit code that a service manager understands, and nothing is lost. Needs root: it runs programs as
//! another user and mounts small file systems.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use eosfed_e2e::plans::rounds;
use eosfed_e2e::{Federation, Mount, fail, programs};

const STUB: &str = env!("CARGO_BIN_EXE_stub-trainer");
/// A user without rights.
const NOBODY: u32 = 65534;

/// Whether this test may run programs as another user; says so by the name of the test if not.
fn may_be_another(federation: &Federation) -> bool {
    fs::set_permissions(federation.path(""), fs::Permissions::from_mode(0o711)).unwrap();
    let mut help = Command::new(programs().join("eosfed-coordinator"));
    let may =
        help.arg("--version").uid(NOBODY).gid(NOBODY).output().is_ok_and(|output| output.status.success());
    if !may {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        println!("skipped: {name}: cannot run the programs as another user here");
    }
    may
}

/// A command by another user.
fn by_nobody(mut command: Command) -> Command {
    command.uid(NOBODY).gid(NOBODY);
    command
}

fn serve(federation: &Federation) -> Command {
    let mut command = federation.program("eosfed-coordinator");
    command.args(["serve", "--state"]).arg(federation.path("coordinator"));
    command
}

/// Gives a folder with all that is in it to a user.
fn give(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).unwrap();
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| give(&entry.unwrap().path(), user));
    }
}

/// Both users, and the command that corrects it.
fn names_both_users(said: &str, path: &Path) {
    let own = fs::metadata("/proc/self").unwrap().uid();
    let sentence =
        format!("{} belongs to user {own}, and this program runs as user {NOBODY}", path.display());
    assert!(said.contains(&sentence) && said.contains(&format!("chown -R {NOBODY}")), "{said}");
}

#[test]
fn a_state_folder_or_a_key_of_another_user_is_refused_with_both_users() {
    let federation = Federation::new();
    if !may_be_another(&federation) {
        return;
    }
    let coordinator = federation.coordinator();
    federation.stubbed("west", 1, STUB);
    assert!(coordinator.terminate().success());
    let own = fs::metadata("/proc/self").unwrap().uid();
    let cases =
        [("coordinator", &["ca/key.pem", "signing.json"][..]), ("west", &["key.pem", "signing.key"][..])];
    for (folder, keys) in cases {
        let state = federation.path(folder);
        let start = || match folder {
            "west" => by_nobody(federation.daemon_command("west")),
            _ => by_nobody(serve(&federation)),
        };
        names_both_users(&fail(&mut start(), 78), &state);
        give(&state, NOBODY);
        for key in keys {
            give(&state.join(key), own);
            names_both_users(&fail(&mut start(), 78), &state.join(key));
            give(&state.join(key), NOBODY);
        }
        give(&state, own);
    }
    // Nothing was changed: both start for their own user.
    let coordinator = federation.coordinator();
    let west = federation.daemon("west");
    federation.until("west states its data", || {
        federation.ask(&["institution", "show", "west"])["data"]["statement"].is_object()
    });
    assert!(west.terminate().success() && coordinator.terminate().success());
}

/// Writes until the disk is full.
fn fill(folder: &Path) {
    let mut file = fs::File::create(folder.join("filler")).unwrap();
    for size in [1 << 20, 1 << 12, 1] {
        let block = vec![0; size];
        while file.write_all(&block).is_ok() {}
    }
}

fn two(federation: &Federation) {
    for (seed, name) in [(1, "east"), (2, "west")] {
        federation.stubbed(name, seed, STUB);
    }
}

/// Moves a state folder to a small disk of its own. Nothing if mounting is not allowed.
fn on_own_disk(state: &Path, size: &str) -> Option<Mount> {
    let aside = state.with_extension("aside");
    fs::rename(state, &aside).unwrap();
    fs::create_dir(state).unwrap();
    let Some(mount) = Mount::tmpfs(state, size) else {
        println!("skipped: {}: cannot mount here", std::thread::current().name().unwrap_or_default());
        return None;
    };
    let copied = Command::new("cp").arg("-a").arg(aside.join(".")).arg(state).status().unwrap();
    assert!(copied.success());
    Some(mount)
}

#[test]
fn a_coordinator_on_a_full_disk_says_so_and_starts_when_there_is_room() {
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    two(&federation);
    let job = federation.submit(&rounds(1, 2, 2, "10m").text());
    assert!(coordinator.terminate().success());
    let state = federation.path("coordinator");
    let Some(_mount) = on_own_disk(&state, "256m") else { return };
    federation.set_in("coordinator/coordinator.toml", "stop_below_mb = 500", "stop_below_mb = 0");
    fill(&state);
    for _ in 0..2 {
        // 1: a service manager tries again.
        let said = fail(&mut serve(&federation), 1);
        assert!(said.contains("disk") && said.contains("full") && said.contains("coordinator"), "{said}");
    }
    fs::remove_file(state.join("filler")).unwrap();
    let coordinator = federation.coordinator();
    let daemons = ["east", "west"].map(|name| federation.daemon(name));
    federation.wait(&job, "the end", |job| job["state"] == "finished");
    assert!(daemons.into_iter().all(|daemon| daemon.terminate().success()));
    assert!(coordinator.terminate().success());
}

#[test]
fn a_client_on_a_full_disk_says_so_and_goes_on_when_there_is_room() {
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    two(&federation);
    let state = federation.path("west");
    let Some(_mount) = on_own_disk(&state, "256m") else { return };
    let job = federation.submit(&rounds(1, 2, 2, "10m").text());
    fill(&state);
    let east = federation.daemon("east");
    let west = federation.daemon("west");
    federation.until("it says what is full", || {
        let log = west.log();
        log.contains("space") || log.contains("full")
    });
    fs::remove_file(state.join("filler")).unwrap();
    federation.wait(&job, "the end", |job| job["state"] == "finished");
    assert!(east.terminate().success());
    assert!(west.terminate().success() && coordinator.terminate().success());
}
