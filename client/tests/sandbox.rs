//! The sandbox of the training program, with real processes: what a hostile trainer tries, and fails at.
//! Each test first shows that the same program succeeds outside of the sandbox.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use eosfed_client::sandbox::{Enforcement, Report, Sandbox, SandboxSettings, TrainerLimits};
use eosfed_client::trainer::TrainerCommand;

const CLIENT: &str = env!("CARGO_BIN_EXE_eosfed-client");

fn sandbox() -> Sandbox {
    Sandbox { program: CLIENT.into(), settings: SandboxSettings::default() }
}

/// What this machine supports.
fn report(folder: &Path) -> Report {
    let command = TrainerCommand {
        launcher: Vec::new(),
        program: "sh".into(),
        sandbox: Some(sandbox()),
        limits: TrainerLimits::default(),
        trace: Default::default(),
        lane: 0,
    };
    command.enforced(folder).unwrap().unwrap()
}

/// A shell script, restricted to a folder if one is given.
fn shell(script: &str, folder: Option<&Path>) -> Command {
    let words = folder.map(|folder| sandbox().wrap(&[], folder, std::process::id())).unwrap_or_default();
    let words: Vec<_> = words.into_iter().chain(["bash".into(), "-c".into(), script.into()]).collect();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

fn succeeds(script: &str, folder: Option<&Path>) -> bool {
    shell(script, folder).stderr(Stdio::null()).status().unwrap().success()
}

fn skipped(what: &str, enforcement: &Enforcement) -> bool {
    let supported = matches!(enforcement, Enforcement::Full(_));
    if !supported {
        println!("skipped: {what}: this machine does not support it: {enforcement:?}");
    }
    !supported
}

#[test]
fn the_trainer_reaches_no_network() {
    let folder = tempfile::tempdir().unwrap();
    if skipped("no network", &report(folder.path()).network) {
        return;
    }
    let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    for (protocol, address) in [("tcp", tcp.local_addr().unwrap()), ("udp", udp.local_addr().unwrap())] {
        let script = format!("echo secret > /dev/{protocol}/127.0.0.1/{}", address.port());
        assert!(succeeds(&script, None), "{protocol} without a sandbox");
        assert!(!succeeds(&script, Some(folder.path())), "{protocol} in the sandbox");
    }
}

#[test]
fn the_trainer_writes_to_its_own_folder_only() {
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    if skipped("writing", &report(folder.path()).files) {
        return;
    }
    let tile = data.path().join("tile.tif");
    fs::write(&tile, "pixels").unwrap();
    let (own, tile, other) = (folder.path().display(), tile.display(), data.path().join("new"));
    assert!(succeeds(&format!("echo x > {own}/weights && cat {tile} > {own}/copy"), Some(folder.path())));
    for script in [
        format!("echo x > {tile}"),
        format!("echo x >> {tile}"),
        format!("rm {tile}"),
        format!("mv {tile} {own}/taken"),
        format!("mkdir {}", other.display()),
        format!("ln -s /etc {}", other.display()),
    ] {
        assert!(!succeeds(&script, Some(folder.path())), "{script}");
        assert_eq!(fs::read_to_string(tile.to_string()).unwrap(), "pixels", "{script}");
    }
    assert!(succeeds(&format!("echo x > {tile}"), None), "without a sandbox the data could be changed");
}

#[test]
fn the_trainer_ends_when_the_daemon_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    for launcher in [&[][..], &["env".to_owned(), "LAUNCHED=1".to_owned()]] {
        // A shell stands for the daemon: it starts the sandbox, tells both numbers and waits.
        let words = sandbox().wrap(launcher, folder.path(), 0);
        let words: Vec<_> = words.iter().map(|word| word.to_str().unwrap()).collect();
        let line = words.join(" ").replace("--parent 0", "--parent $$");
        let script = format!("{line} sh -c 'echo $$; sleep 600' & wait");
        let mut daemon = Command::new("bash").args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let trainer = Path::new("/proc").join(said.trim());
        assert!(trainer.exists(), "the trainer runs");
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while is_running(&trainer) {
            assert!(Instant::now() < deadline, "the trainer outlives the daemon ({launcher:?})");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn is_running(process: &Path) -> bool {
    fs::read_to_string(process.join("stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn the_trainer_gets_the_variables_of_a_list() {
    // Cargo sets this variable for tests; it stands for a secret in the daemon's environment.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let folder = tempfile::tempdir().unwrap();
    let environment = |added: &[&str]| {
        let added = added.iter().map(|name| (*name).to_owned()).collect();
        let settings = SandboxSettings { environment: added, ..SandboxSettings::default() };
        let sandbox = Some(Sandbox { program: CLIENT.into(), settings });
        let command = TrainerCommand {
            launcher: Vec::new(),
            program: "sh".into(),
            sandbox,
            limits: TrainerLimits::default(),
            trace: Default::default(),
            lane: 0,
        };
        command.environment(folder.path(), 100).collect::<std::collections::BTreeMap<_, _>>()
    };
    let usual = environment(&[]);
    assert!(!usual.contains_key(Path::new("CARGO_MANIFEST_DIR").as_os_str()));
    assert!(usual.contains_key(Path::new("PATH").as_os_str()));
    assert_eq!(usual[Path::new("TMPDIR").as_os_str()], folder.path().as_os_str());
    assert!(environment(&["CARGO_MANIFEST_DIR"]).contains_key(Path::new("CARGO_MANIFEST_DIR").as_os_str()));
}

#[test]
fn memory_is_limited_and_no_core_is_dumped() {
    let folder = tempfile::tempdir().unwrap();
    let settings = SandboxSettings { max_memory_gib: Some(1), ..SandboxSettings::default() };
    let words = Sandbox { program: CLIENT.into(), settings }.wrap(&[], folder.path(), std::process::id());
    let limits =
        Command::new(&words[0]).args(&words[1..]).args(["bash", "-c", "ulimit -d; ulimit -c"]).output();
    assert_eq!(String::from_utf8(limits.unwrap().stdout).unwrap(), format!("{}\n0\n", 1 << 20));
}

#[test]
fn a_daemon_that_has_ended_starts_no_trainer() {
    let output = Command::new(CLIENT).args(["sandbox", "--parent", "1", "--", "echo", "started"]).output();
    let output = output.unwrap();
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("has ended"), "{said}");
}
