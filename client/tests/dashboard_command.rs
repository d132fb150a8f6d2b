//! `eosfed-client dashboard`, as people call it.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use eosfed_client::site::Site;
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::identity::Identity;
use eosfed_coordinator::tls::Authority;
use eosfed_transport::keys::{KeyAndCertificate, KeyAndRequest};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn command(state: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eosfed-client"));
    command.arg("dashboard").args(words).arg("--state").arg(state);
    command
}

/// A state folder with an identity.
fn joined() -> tempfile::TempDir {
    let private = std::fs::Permissions::from_mode(0o700);
    let folder = tempfile::Builder::new().permissions(private).tempdir().unwrap();
    let authority = Authority::open(&Authority::create(SystemClock.now()).unwrap()).unwrap();
    let KeyAndRequest { key_pem, request_pem } = KeyAndRequest::generate("west").unwrap();
    let identity = Identity::institution("west".parse().unwrap());
    let lasts = Duration::from_secs(86_400);
    let certificate_pem = authority.certify(&request_pem, &identity, SystemClock.now(), lasts).unwrap();
    let pair = KeyAndCertificate { key_pem, certificate_pem };
    Site::at(folder.path()).replace_identity(&pair, authority.certificate_pem()).unwrap();
    folder
}

/// The answer to a request for a path.
fn ask(address: &str, path: &str, cookie: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: {address}\r\ncookie: {cookie}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_link_is_printed_and_the_page_is_served_until_the_command_ends() {
    let state = joined();
    let before = files(state.path());
    let mut child = command(state.path(), &[]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let link = lines.next().unwrap();
    let (address, path) = link.strip_prefix("http://").unwrap().split_once('/').unwrap();
    assert!(address.starts_with("127.0.0.1:"), "{link}");
    assert!(ask(address, "/", "").starts_with("HTTP/1.1 401"));
    let answer = ask(address, &format!("/{path}"), "");
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let page = ask(address, "/", cookie);
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("west"), "{page}");
    assert_eq!(files(state.path()), before, "nothing is written");
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(TcpStream::connect(address).is_err());
}

/// The names and sizes of files in a folder.
fn files(folder: &Path) -> Vec<(String, u64)> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let one = |entry: std::fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len())
    };
    let mut files: Vec<_> = entries.map(one).collect();
    files.sort();
    files
}

#[test]
fn other_machines_and_folders_without_an_identity_are_refused() {
    let state = joined();
    let said = |command: &mut Command| {
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = said(&mut command(state.path(), &["--listen", "0.0.0.0:0"]));
    assert!(code == Some(64) && text.contains("has no TLS") && text.contains("0.0.0.0:0"), "{text}");
    let (code, text) = said(&mut command(state.path(), &["--listen", "lunch"]));
    assert!(code == Some(64) && text.contains("`lunch` is not an address"), "{text}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, text) = said(&mut command(state.path(), &["--listen", &address]));
    assert!(code == Some(1) && text.contains(&address) && text.contains("--listen"), "{text}");
    let empty = tempfile::tempdir().unwrap();
    std::fs::set_permissions(empty.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let (code, text) = said(&mut command(empty.path(), &[]));
    assert!(code == Some(1) && text.contains("eosfed-client join"), "{text}");
}
