//! The connection to the coordinator.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::ids::IdempotencyKey;
use eosfed_common::signing::CoordinatorKey;
use eosfed_common::stdout::print_warning;
use eosfed_transport::certificate::Certificate;
use eosfed_transport::channel::ChannelOptions;
use eosfed_transport::operator::IdentityFolder;
use eosfed_transport::proxy::Proxy;
use serde::de::DeserializeOwned;

pub(super) use eosfed_transport::operator::Connection;

/// The identity folder that was named, or the usual one.
pub(super) fn folder(named: Option<&Path>) -> anyhow::Result<IdentityFolder> {
    named.map_or_else(default_folder, |folder| Ok(folder.to_owned())).map(IdentityFolder)
}

/// Keeps the signing keys that the coordinator names. If they do not follow from the known ones, the known
/// ones stay, and nothing that is signed with others is accepted.
pub(super) fn pin(folder: &IdentityFolder, named: &[CoordinatorKey]) {
    if let Err(error) = folder.pin(named) {
        print_warning(format_args!("{error}"));
    }
}

/// Reads the identity in `folder` and prepares a connection. Nothing is sent yet.
pub(super) fn open(folder: &IdentityFolder, proxy: Option<Proxy>) -> anyhow::Result<Connection> {
    let identity = folder.read()?;
    let certificate = Certificate::of_pem(&identity.pair.certificate_pem).ok();
    if let Some(text) = certificate.and_then(|one| one.expiry_warning(SystemClock.now())) {
        print_warning(format_args!("{text}"));
    }
    Ok(Connection::open(&ChannelOptions::through(proxy), &identity)?)
}

pub(super) fn default_folder() -> anyhow::Result<PathBuf> {
    let home =
        std::env::var_os("HOME").context("name an identity with `--identity DIR` or EOSFED_IDENTITY")?;
    Ok(Path::new(&home).join(".config/eosfed"))
}

/// Reads a record that the coordinator has sent as JSON.
pub(super) fn decode<T: DeserializeOwned>(json: &str) -> anyhow::Result<T> {
    serde_json::from_str(json).context(
        "the coordinator's answer cannot be read; install the same version of `eosfed` and the coordinator",
    )
}

/// A new idempotency key for a call of this program.
pub(super) fn key() -> String {
    IdempotencyKey::random(&mut rand::rng()).to_string()
}
