//! Starts the real programs as processes, in their own folders and on their own ports, and ends exactly
//! those. It uses only their command lines and files.

#![allow(missing_docs, clippy::unwrap_used, clippy::missing_panics_doc, reason = "a harness for tests")]

mod average;
mod clock;
pub mod connect;
pub mod hostile;
mod imagery;
mod manager;
mod mount;
pub mod plans;
mod process;
mod proxy;
pub mod schemas;
pub mod stub;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub use average::{average, digest};
pub use clock::Clock;
pub use imagery::{classes, truncate};
pub use manager::Manager;
pub use mount::Mount;
pub use process::{Process, output_within};
pub use proxy::Proxy;

use stub::{GATE, LEDGER, PAUSE};

/// Longest wait of a test. A longer one is a failure.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(400);

/// A point in time of a printed document, in milliseconds since the Unix epoch.
pub fn millis(time: &Value) -> u64 {
    let text = time.as_str().unwrap_or_else(|| panic!("a time is a text, found {time}"));
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond().try_into().unwrap()
}

/// The root of the project.
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The folder of the programs: `EOSFED_BIN_DIR`, or where a build puts them.
pub fn programs() -> PathBuf {
    if let Some(folder) = std::env::var_os("EOSFED_BIN_DIR") {
        return folder.into();
    }
    let programs = ["eosfed-cli", "eosfed-coordinator", "eosfed-client", "eosfed-trainer"];
    let packages = programs.into_iter().chain(["eosfed-load", "eosfed-hostile"]);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(project()).args(["build", "--message-format=json"]);
    build.args(packages.flat_map(|package| ["-p", package]));
    let output = build.output().unwrap();
    assert!(output.status.success(), "the programs do not build; see `make build`");
    let lines = String::from_utf8(output.stdout).unwrap();
    let programs = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let program = programs.filter_map(|line| line["executable"].as_str().map(PathBuf::from)).next().unwrap();
    program.parent().unwrap().to_owned()
}

/// A federation for one test.
pub struct Federation {
    folder: TempDir,
    bin: PathBuf,
    port: u16,
}

impl Federation {
    /// Makes a coordinator's state folder with the default settings, which keep updates for days.
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        // The port is freed at once for the coordinator, which must use the same port after a crash.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let federation = Self { folder, bin: programs(), port };
        federation.init("coordinator", port);
        federation
    }

    /// Makes the state folder of a coordinator.
    pub fn init(&self, name: &str, port: u16) {
        let listen = format!("127.0.0.1:{port}");
        succeed(
            self.program("eosfed-coordinator")
                .args(["init", "--operator", "ada", "--listen", &listen, "--state"])
                .arg(self.path(name)),
        );
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command.current_dir(self.folder.path()).env_remove("EOSFED_LOG");
        command
    }

    /// The operator's command.
    pub fn eosfed(&self, arguments: &[&str]) -> Command {
        let mut command = self.program("eosfed");
        command.env("EOSFED_IDENTITY", self.path("coordinator/operator")).args(arguments);
        command
    }

    /// What the operator's command prints as JSON, which keeps to its published schema.
    pub fn ask(&self, arguments: &[&str]) -> Value {
        let output = succeed(self.eosfed(arguments).args(["--output", "json"]));
        let printed = serde_json::from_slice(&output.stdout).unwrap();
        schemas::check("eosfed", arguments, &printed);
        printed
    }

    /// The command that runs the coordinator.
    pub fn coordinator_command(&self) -> Command {
        let mut command = self.program("eosfed-coordinator");
        command.args(["serve", "--state"]).arg(self.path("coordinator"));
        command
    }

    /// Starts a program whose log is called `name`.
    pub fn start(&self, name: &str, command: Command) -> Process {
        Process::start(command, &self.path(&format!("{name}.log")))
    }

    /// Starts the coordinator and waits until it can be called.
    pub fn coordinator(&self) -> Process {
        self.coordinator_by(self.coordinator_command())
    }

    /// Starts the coordinator by this command and waits until it can be called.
    pub fn coordinator_by(&self, command: Command) -> Process {
        let process = self.start("coordinator", command);
        let started = Instant::now();
        while !self.eosfed(&["job", "list"]).output().unwrap().status.success() {
            assert!(started.elapsed() < WAIT_TIMEOUT, "the coordinator does not answer:\n{}", process.log());
            std::thread::sleep(Duration::from_millis(100));
        }
        process
    }

    /// A join token for an institution, as a file.
    pub fn invite(&self, name: &str, valid_for: &str) -> PathBuf {
        let token = self.path(&format!("{name}.token"));
        let invite = ["institution", "invite", name, "--valid-for", valid_for, "--token-file"];
        succeed(self.eosfed(&invite).arg(&token));
        token
    }

    /// The command with which an institution joins.
    pub fn join(&self, name: &str, token: &Path) -> Command {
        let mut command = self.program("eosfed-client");
        command.arg("join").arg("--token-file").arg(token);
        command.arg("--state").arg(self.path(name)).arg("--dataset").arg(self.path(&format!("{name}-data")));
        command.arg("--policy").arg(project().join("deploy/demo/policies/west.toml"));
        command
    }

    /// An institution with imagery of its own that has joined.
    pub fn institution(&self, name: &str, seed: u8) {
        classes(&self.path(&format!("{name}-data")), seed);
        let token = self.invite(name, "1h");
        succeed(&mut self.join(name, &token));
        self.set(name, "# threads = 4", "threads = 1");
        // Training takes seconds here, so heartbeats must be frequent enough to show progress.
        self.set(name, "heartbeat_seconds = 10", "heartbeat_seconds = 1");
    }

    /// Changes a line of an institution's settings.
    pub fn set(&self, name: &str, line: &str, to: &str) {
        self.set_in(&format!("{name}/client.toml"), line, to);
    }

    /// Changes a line of a file.
    pub fn set_in(&self, file: &str, line: &str, to: &str) {
        let path = self.path(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(line), "`{line}` is not in\n{text}");
        std::fs::write(path, text.replace(line, to)).unwrap();
    }

    /// An institution whose training program is a stub, of this path.
    pub fn stubbed(&self, name: &str, seed: u8, stub: &str) {
        self.institution(name, seed);
        self.use_stub(name, stub);
    }

    /// Replaces an institution's training program by the stub of this path.
    pub fn use_stub(&self, name: &str, stub: &str) {
        self.set(name, "program = \"eosfed-trainer\"", &format!("program = {stub:?}"));
        // The stub is told what to do by variables, and writes to files of the test.
        self.set(name, "environment = []", &format!("environment = {:?}", [LEDGER, PAUSE, GATE]));
        self.set(name, "writable = []", &format!("writable = [{:?}]", self.path("")));
    }

    /// Changes a line of an institution's policy.
    pub fn set_policy(&self, name: &str, line: &str, to: &str) {
        self.set_in(&format!("{name}/policy.toml"), line, to);
    }

    /// Makes an institution use a proxy.
    pub fn through(&self, name: &str, proxy: &Proxy) {
        let address = |port: u16| format!("https://127.0.0.1:{port}");
        self.set(name, &address(self.port), &address(proxy.port()));
    }

    /// The command that runs an institution's daemon.
    pub fn daemon_command(&self, name: &str) -> Command {
        let mut command = self.program("eosfed-client");
        command.args(["run", "--state"]).arg(self.path(name));
        command
    }

    /// Starts an institution's daemon.
    pub fn daemon(&self, name: &str) -> Process {
        self.start(name, self.daemon_command(name))
    }

    /// An institution's journal.
    pub fn journal(&self, name: &str) -> Value {
        let text = std::fs::read(self.path(&format!("{name}/journal.json"))).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Submits a plan and gives the job's id.
    pub fn submit(&self, plan: &str) -> String {
        let path = self.path("plan.toml");
        std::fs::write(&path, plan).unwrap();
        self.ask(&["job", "submit", &path.to_string_lossy()])["job"].as_str().unwrap().to_owned()
    }

    /// Waits until the job satisfies a condition, and gives it.
    pub fn wait(&self, job: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let output = self.eosfed(&["job", "show", job, "--output", "json"]).output().unwrap();
            let view = serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default();
            if wanted(&view) {
                schemas::check("eosfed", &["job", "show"], &view);
                return view;
            }
            assert!(
                started.elapsed() < WAIT_TIMEOUT,
                "waited in vain for: {what}\n{view:#}\n{}",
                self.logs()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Bytes of weights that an institution has sent.
    pub fn sent(&self, name: &str) -> u64 {
        let mut status = self.program("eosfed-client");
        status.args(["status", "--output", "json", "--state"]).arg(self.path(name));
        let status: Value = serde_json::from_slice(&succeed(&mut status).stdout).unwrap();
        status["sent_bytes"]["weights"].as_u64().unwrap()
    }

    /// Waits until another condition holds.
    pub fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let started = Instant::now();
        while !holds() {
            assert!(started.elapsed() < WAIT_TIMEOUT, "waited in vain for: {what}\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The ends of all logs.
    pub fn logs(&self) -> String {
        let files = std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let logs = files.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
        let shown = logs.map(|path| {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let from = text.len().saturating_sub(3000);
            let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            format!("---- {}\n{}", path.display(), &text[from..])
        });
        shown.collect::<Vec<_>>().join("\n")
    }

    /// A stored blob's file.
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap();
        self.path("coordinator/blobs/sha256").join(&hex[..2]).join(hex)
    }
}

impl Default for Federation {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs a command that must succeed.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}\n{}", text(&output.stdout), text(&output.stderr));
    output
}

/// Runs a command that must fail with this exit code, and gives its output.
pub fn fail(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{command:?}\n{}\n{said}", text(&output.stdout));
    said
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
