//! The daemons under a service manager: readiness, progress, reloads, signals, credentials and exit codes.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use eosfed_e2e::plans::{RGB, one_shot};
use eosfed_e2e::{Federation, Manager, Process, fail, succeed};

/// How often the daemons of these tests have to show progress.
const LIMIT: Duration = Duration::from_millis(900);

fn signal(process: &Process, name: &str) {
    let pid = process.id().to_string();
    succeed(Command::new("kill").arg(format!("-{name}")).arg(pid));
}

/// Waits for several signs of progress, each in time (and some more, on a busy machine).
fn shows_progress(manager: &Manager) {
    for _ in 0..5 {
        let started = Instant::now();
        manager.wait_for("WATCHDOG=1");
        assert!(started.elapsed() < 5 * LIMIT, "there was none for {:?}", started.elapsed());
    }
}

#[test]
fn a_coordinator_tells_readiness_progress_reloads_and_its_end() {
    let federation = Federation::new();
    let manager = Manager::in_folder(&federation.path(""));
    let mut command = federation.coordinator_command();
    manager.watch(&mut command, LIMIT);
    let coordinator = federation.start("coordinator", command);

    let first = manager.wait_for("READY=1");
    assert!(first.contains(&format!("STATUS=serves https://127.0.0.1:{}", federation.port())), "{first}");
    federation.ask(&["job", "list"]);
    shows_progress(&manager);

    let settings = federation.path("coordinator/coordinator.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text.replace("\"localhost\"", "\"localhost\", \"eo.example.org\"")).unwrap();
    signal(&coordinator, "HUP");
    assert!(manager.wait_for("RELOADING=1").contains("MONOTONIC_USEC="));
    manager.wait_for("READY=1");
    assert!(coordinator.log().contains("eo.example.org"), "{}", coordinator.log());
    federation.ask(&["job", "list"]);

    fs::write(&settings, "nonsense").unwrap();
    signal(&coordinator, "HUP");
    manager.wait_for("RELOADING=1");
    manager.wait_for("READY=1");
    assert!(coordinator.log().contains("nothing was changed"), "{}", coordinator.log());
    federation.ask(&["job", "list"]);

    signal(&coordinator, "TERM");
    manager.wait_for("STOPPING=1");
    assert!(coordinator.terminate().success());
}

#[test]
fn a_client_is_ready_without_its_coordinator_and_shows_progress() {
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    federation.institution("west", 1);
    let manager = Manager::in_folder(&federation.path(""));
    let watched = || {
        let mut command = federation.daemon_command("west");
        manager.watch(&mut command, LIMIT);
        federation.start("west", command)
    };
    let west = watched();
    assert!(manager.wait_for("READY=1").contains("STATUS=waits for work"));
    // A poll takes up to 25 seconds: longer than the manager waits.
    shows_progress(&manager);
    // Polls are answered at once when the coordinator stops, so that a restart is short.
    let asked = Instant::now();
    assert!(coordinator.terminate().success());
    assert!(asked.elapsed() < Duration::from_secs(5), "it took {:?} to stop", asked.elapsed());

    manager.wait_for("STATUS=tries until the coordinator answers");
    signal(&west, "TERM");
    manager.wait_for("STOPPING=1");
    assert!(west.terminate().success());
    let west = watched();
    assert!(manager.wait_for("READY=1").contains("it does not"));
    assert!(west.terminate().success());
}

#[test]
fn a_second_signal_ends_a_coordinator_at_once() {
    let federation = Federation::new();
    let coordinator = federation.coordinator();
    federation.institution("west", 1);
    let plan = federation.path("plan.toml");
    fs::write(&plan, one_shot(&[("west-rgb", "west", &RGB)]).text()).unwrap();
    let job = federation.ask(&["job", "submit", plan.to_str().unwrap()]);
    let mut watch = federation.eosfed(&["job", "watch"]);
    watch.arg(job["job"].as_str().unwrap());
    // Nobody works on the job, so the watch is a call under way.
    let _watch = federation.start("watch", watch);
    std::thread::sleep(Duration::from_secs(2));
    signal(&coordinator, "TERM");
    std::thread::sleep(Duration::from_millis(500));
    let second = Instant::now();
    assert!(coordinator.terminate().success());
    assert!(
        second.elapsed() < Duration::from_secs(4),
        "it took {:?} after a second signal",
        second.elapsed()
    );
}

#[test]
fn what_only_a_person_can_correct_has_an_exit_code_of_its_own() {
    let federation = Federation::new();
    let serve = |name: &str| {
        let mut command = federation.program("eosfed-coordinator");
        command.args(["serve", "--state"]).arg(federation.path(name));
        command
    };
    let check = |name: &str| {
        let mut command = federation.program("eosfed-coordinator");
        command.args(["check", "--state"]).arg(federation.path(name));
        command
    };
    let run = |name: &str| federation.daemon_command(name);

    assert!(fail(&mut serve("nowhere"), 78).contains("eosfed-coordinator init"));
    assert!(fail(&mut run("nowhere"), 78).contains("holds no identity"));

    succeed(&mut check("coordinator"));
    let taken = TcpListener::bind(("127.0.0.1", federation.port())).unwrap();
    let said = fail(&mut serve("coordinator"), 1);
    assert!(said.contains("cannot listen on") && said.contains("change `listen`"), "{said}");
    let output = check("coordinator").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("problem  address: cannot listen on"));
    drop(taken);

    let coordinator = federation.coordinator();
    assert!(fail(&mut serve("coordinator"), 1).contains("another coordinator runs"));
    let output = succeed(&mut check("coordinator"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("a coordinator serves this folder"));
    drop(coordinator);

    let folder = federation.path("coordinator");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o750)).unwrap();
    assert!(fail(&mut serve("coordinator"), 78).contains("chmod 700"));
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(folder.join("ca/key.pem"), "x").unwrap();
    assert!(fail(&mut serve("coordinator"), 78).contains("ca/key.pem"));
    assert!(fail(&mut check("coordinator"), 1).contains("correct what is a problem"));
}

#[test]
fn the_keys_of_a_coordinator_may_be_credentials() {
    let federation = Federation::new();
    let given = federation.path("given");
    fs::create_dir(&given).unwrap();
    let state = federation.path("coordinator");
    fs::copy(state.join("ca/key.pem"), given.join("ca-key.pem")).unwrap();
    fs::copy(state.join("signing.json"), given.join("signing.json")).unwrap();
    let mut command = federation.coordinator_command();
    assert!(fail(command.env("CREDENTIALS_DIRECTORY", &given), 78).contains("remove one of them"));

    fs::remove_file(state.join("ca/key.pem")).unwrap();
    fs::remove_file(state.join("signing.json")).unwrap();
    assert!(fail(&mut federation.coordinator_command(), 78).contains("key.pem"));
    // The manager may grant access by a list, which shows as access of the group.
    fs::set_permissions(given.join("signing.json"), fs::Permissions::from_mode(0o440)).unwrap();
    let mut command = federation.coordinator_command();
    command.env("CREDENTIALS_DIRECTORY", &given);
    let _coordinator = federation.coordinator_by(command);
    federation.institution("west", 1);
    assert!(!state.join("ca/key.pem").exists() && !state.join("signing.json").exists());
}
