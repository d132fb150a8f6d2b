//! Ten thousand connections to the dashboard of a real coordinator, all open at once.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use eosfed_coordinator::open_files::raise_open_files;
use eosfed_proto::v1;
use eosfed_proto::v1::operator_client::OperatorClient;
use eosfed_transport::channel::open;
use eosfed_transport::meter::Meter;
use eosfed_transport::operator::IdentityFolder;
use eosfed_web::{LIMITS, MAX_STREAMS};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Connections at a time.
const CROWD: usize = 10_000;
/// Most memory that a crowd may cost the coordinator, in KiB.
const MOST_MEMORY: u64 = 64 << 10;
/// Longest time in which a page must come in the crowd.
const PROMPT: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(30);

/// A coordinator as a process of its own.
struct Coordinator(Child, tempfile::TempDir);

impl Coordinator {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let command = |verb: &str| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_eosfed-coordinator"));
            command.arg(verb).arg("--state").arg(&state).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let mut init = command("init");
        assert!(init.args(["--operator", "ada", "--listen", "127.0.0.1:0"]).status().unwrap().success());
        let settings = state.join("coordinator.toml");
        let text = fs::read_to_string(&settings).unwrap();
        fs::write(&settings, text + "\n[http]\nlisten = \"127.0.0.1:0\"\n").unwrap();
        let serving = command("serve").spawn().unwrap();
        Self(serving, folder)
    }

    fn state(&self) -> std::path::PathBuf {
        self.1.path().join("state")
    }

    /// The address of the dashboard and the cookie of a session.
    fn log_in(&self) -> (SocketAddr, String) {
        let identity = IdentityFolder(self.state().join("operator"));
        until("the coordinator listens", || !identity.read().unwrap().url.ends_with(":0"));
        let identity = identity.read().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let link = runtime.block_on(async {
            let transport = open(&identity.url, &identity.ca_pem, Some(&identity.pair), Meter::default());
            let mut operator = OperatorClient::new(transport.unwrap());
            operator.open_dashboard(v1::OpenDashboardRequest {}).await.unwrap().into_inner()
        });
        let address = link.url.strip_prefix("http://").unwrap().parse().unwrap();
        let answer = whole(ask(address, &format!("/login?token={}", link.token), ""));
        let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        (address, cookie.split(';').next().unwrap().to_owned())
    }

    fn proc(&self, name: &str) -> std::path::PathBuf {
        Path::new("/proc").join(self.0.id().to_string()).join(name)
    }

    /// Its resident memory in KiB.
    fn memory(&self) -> u64 {
        let status = fs::read_to_string(self.proc("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }

    fn descriptors(&self) -> usize {
        fs::read_dir(self.proc("fd")).unwrap().count()
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A connection that has asked for a page.
fn ask(address: SocketAddr, path: &str, cookie: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\ncookie: {cookie}\r\n\r\n");
    // Who is turned away may have been closed already.
    let _ = stream.write_all(request.as_bytes());
    stream
}

/// The status of an answer, or that there was none.
fn status(stream: &mut TcpStream) -> String {
    let mut head = [0; 12];
    match stream.read_exact(&mut head) {
        Ok(()) => String::from_utf8_lossy(&head[9..]).into_owned(),
        Err(error) => error.kind().to_string(),
    }
}

/// The first part of an answer, which has its headers.
fn whole(mut stream: TcpStream) -> String {
    let mut text = vec![0; 4096];
    let read = stream.read(&mut text).unwrap();
    String::from_utf8_lossy(&text[..read]).into_owned()
}

/// Connections that are kept, and how many had which answer. Each is opened after the answer to the one before, by
/// several threads: the system keeps 128 that the coordinator has not accepted yet, and drops more for a second.
fn crowd(open: impl Fn() -> TcpStream + Sync) -> (Vec<TcpStream>, BTreeMap<String, usize>) {
    const THREADS: usize = 25;
    let part = || -> Vec<(String, TcpStream)> {
        (0..CROWD / THREADS)
            .map(|_| {
                let mut stream = open();
                (status(&mut stream), stream)
            })
            .collect()
    };
    let parts: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(part)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut found = BTreeMap::new();
    let mut kept = Vec::new();
    for (status, stream) in parts {
        *found.entry(status).or_default() += 1;
        kept.push(stream);
    }
    (kept, found)
}

#[test]
fn ten_thousand_open_connections_leave_room_for_pages_and_cost_little() {
    let most = raise_open_files().unwrap();
    if most < CROWD as u64 + 500 {
        eprintln!("SKIPPED ten_thousand_open_connections: this process may open {most} files");
        return;
    }
    let coordinator = Coordinator::start();
    let (address, cookie) = coordinator.log_in();
    assert_eq!(status(&mut ask(address, "/", &cookie)), "200");
    let (memory, descriptors) = (coordinator.memory(), coordinator.descriptors());
    let started = Instant::now();

    // Streams that their holder keeps: few are given, and each other one is told why.
    let (streams, found) = crowd(|| ask(address, "/live", &cookie));
    let expected = [("200".to_owned(), MAX_STREAMS), ("503".to_owned(), CROWD - MAX_STREAMS)];
    assert_eq!(found, BTreeMap::from(expected));
    let asked = Instant::now();
    assert_eq!(status(&mut ask(address, "/", &cookie)), "200", "pages go on");
    assert!(asked.elapsed() < PROMPT, "a page took {:?}", asked.elapsed());
    let (took, grown) = (started.elapsed(), coordinator.memory().saturating_sub(memory));
    assert!(grown < MOST_MEMORY, "{CROWD} streams cost {grown} KiB");
    drop(streams);
    until("the descriptors come back", || coordinator.descriptors() <= descriptors);
    let mut again = ask(address, "/live", &cookie);
    assert_eq!(status(&mut again), "200", "the streams come back");

    // Connections that say nothing: those beyond the limit are told so at once, and the others make room.
    let (silent, found) = crowd(|| {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        stream
    });
    let told = found.get("503").copied().unwrap_or_default();
    assert!(told >= CROWD - 2 * LIMITS.connections, "each beyond the limit is told: {found:?}");
    let asked = Instant::now();
    until("a page comes", || status(&mut ask(address, "/", &cookie)) == "200");
    assert!(asked.elapsed() < PROMPT, "a page took {:?}", asked.elapsed());
    let grown = coordinator.memory().saturating_sub(memory);
    assert!(grown < MOST_MEMORY, "{CROWD} silent connections cost {grown} KiB");
    drop((silent, again));
    until("the descriptors come back", || coordinator.descriptors() <= descriptors);
    eprintln!("{CROWD} streams in {took:?}, all in {:?}, {grown} KiB more", started.elapsed());
}
