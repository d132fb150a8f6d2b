//! A crash between any two writes of `ca rotate` or `ca install` leaves a coordinator that starts, with the old or
//! the new authority, and whose backup does too.

#![allow(clippy::unwrap_used, reason = "a test says by its panic what went wrong")]

mod server;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::digest::Digest;
use eosfed_coordinator::backup::{backup, restore};
use eosfed_coordinator::ca;
use eosfed_coordinator::ca_request;
use eosfed_coordinator::external_ca::{AuthorityFiles, NewIntermediate, create_intermediate, create_root};
use eosfed_coordinator::init::{Choices, init_with};
use eosfed_coordinator::settings::StateFolder;
use eosfed_proto::v1;
use eosfed_proto::v1::participant_client::ParticipantClient;
use eosfed_transport::certificate::fingerprints;
use eosfed_transport::channel::open;
use eosfed_transport::identity_files::{Disk, Writes};
use eosfed_transport::meter::Meter;
use eosfed_transport::protocol::PROTOCOL;
use server::{Clients, Server};

/// The disk of a machine that crashes after so many writes.
struct Crash {
    left: usize,
}

impl Crash {
    fn next(&mut self) -> io::Result<()> {
        self.left = self.left.checked_sub(1).ok_or_else(|| io::Error::other("the machine has crashed"))?;
        Ok(())
    }
}

impl Writes for Crash {
    fn put(&mut self, path: &Path, text: &str) -> io::Result<()> {
        self.next()?;
        Disk.put(path, text)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.next()?;
        Disk.remove(path)
    }
}

fn copied(folder: &Path) -> (tempfile::TempDir, PathBuf) {
    let copy = tempfile::tempdir().unwrap();
    let state = copy.path().join("state");
    assert!(Command::new("cp").arg("-a").arg(folder.join("state")).arg(&state).status().unwrap().success());
    (copy, state)
}

/// A state folder, backed up as the crash has left it and restored.
async fn backed_up(state: &Path) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (to, restored) = (folder.path().join("backup"), folder.path().join("state"));
    let nobody = Path::new("nobody");
    let (state, now) = (StateFolder(state.to_owned()), SystemClock.now());
    backup(&state, &to, &[], nobody, now, &|_, _| ()).await.unwrap();
    restore(&to, None, &restored, &|_, _| ()).unwrap();
    (folder, restored)
}

/// Whether the coordinator of a folder starts, and serves `west`, who trusts what it has pinned before. Gives the
/// fingerprint of its authority.
async fn serves(folder: tempfile::TempDir, clients: Clients, pinned: &str) -> (tempfile::TempDir, Digest) {
    let server = Server::serve(folder, clients).await;
    let transport = open(server.url(), pinned, Some(&server.pair("west")), Meter::default()).unwrap();
    let hello = v1::HelloRequest { protocol: PROTOCOL.into(), version: String::new() };
    ParticipantClient::new(transport).hello(hello).await.unwrap();
    let [_, certificate] = server.state().authority();
    let authority = fingerprints(&std::fs::read_to_string(certificate).unwrap())[0];
    (server.stop().await.0, authority)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_a_rotation_leaves_the_old_or_the_new_authority() {
    let server = Server::start().await;
    server.enrol("west").await;
    let pinned = server.ca_pem().to_owned();
    let before = fingerprints(&pinned)[0];
    let (folder, clients) = server.stop().await;
    let mut found = Vec::new();
    for left in 0.. {
        let (copy, state) = copied(folder.path());
        let done = ca::rotate_by(&state, SystemClock.now(), &mut Crash { left }).await;
        let (from_backup, restored) = backed_up(&state).await;
        let (_, of_backup) = serves(from_backup, clients.clone(), &pinned).await;
        let (copy, authority) = serves(copy, clients.clone(), &pinned).await;
        assert_eq!(of_backup, authority, "{}", restored.display());
        found.push(authority == before);
        // What was not done can be done, and what was done is not done twice.
        let again = ca::rotate(&state, SystemClock.now()).await;
        assert_eq!(again.is_ok(), authority == before, "after {left} writes: {again:?}");
        drop(copy);
        if done.is_ok() {
            break;
        }
    }
    // The file that completes itself, key, certificate, authorities; and the removal of the first.
    assert_eq!(found, [true, false, false, false, false, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_an_installation_leaves_the_old_or_the_new_authority() {
    eosfed_transport::install_crypto_provider();
    let now = SystemClock.now();
    let offline = tempfile::tempdir().unwrap();
    let at = |name: &str| offline.path().join(name);
    create_root(&at("root"), now).unwrap();
    create_intermediate(&at("root"), &at("first"), now).unwrap();
    let given = AuthorityFiles {
        ca_cert: Some(at("first/certificate.pem")),
        ca_key: Some(at("first/key.pem")),
        ca_root: Some(at("first/root.pem")),
    };
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let given = given.read(&state, now).unwrap().unwrap();
    let choices = Choices {
        listen: "127.0.0.1:0".parse().unwrap(),
        public_url: None,
        names: vec!["127.0.0.1".to_owned()],
        operator: "ada".parse().unwrap(),
    };
    init_with(&state, &choices, &given, now).unwrap();
    let server = Server::serve(folder, Clients::default()).await;
    server.enrol("west").await;
    let pinned = server.ca_pem().to_owned();
    let (folder, clients) = server.stop().await;
    ca_request::request(&folder.path().join("state"), &at("second.csr")).unwrap();
    ca_request::sign(&at("root"), &at("second.csr"), &at("second.pem"), now).unwrap();
    let second = NewIntermediate { ca_cert: at("second.pem"), ca_key: None };
    let new = fingerprints(&std::fs::read_to_string(at("second.pem")).unwrap())[0];
    let mut found = Vec::new();
    for left in 0.. {
        let (copy, state) = copied(folder.path());
        let done = ca::install_by(&state, &second, now, &mut Crash { left }).await;
        let (copy, authority) = serves(copy, clients.clone(), &pinned).await;
        found.push(authority == new);
        let again = ca::install(&state, &second, now).await;
        assert_eq!(again.is_ok(), authority != new, "after {left} writes: {again:?}");
        // A key that a crash has left beside the authority is not asked for again.
        let next = offline.path().join(format!("{left}.csr"));
        ca_request::request(&state, &next).unwrap();
        let asked = std::fs::read_to_string(state.join("ca/requested.key")).unwrap();
        assert_ne!(asked, std::fs::read_to_string(state.join("ca/key.pem")).unwrap());
        drop(copy);
        if done.is_ok() {
            break;
        }
    }
    // The last write removes the key that was asked for.
    assert_eq!(found, [false, true, true, true, true, true, true]);
}
