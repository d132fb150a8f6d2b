//! The connection to the coordinator.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use eosfed_common::clock::{Clock as _, SystemClock, Timestamp};
use eosfed_common::errln;
use eosfed_common::ids::IdempotencyKey;
use eosfed_common::signing::CoordinatorKey;
use eosfed_common::stdout::print_warning;
use eosfed_transport::certificate::Certificate;
use eosfed_transport::channel::ChannelOptions;
use eosfed_transport::operator::IdentityFolder;
use eosfed_transport::proxy::Proxy;
use eosfed_transport::renewal::renew_when_due;
use eosfed_transport::traced::TraceSlot;
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

/// Reads the identity in `folder`, renews its certificate if it is due, and prepares a connection.
pub(super) async fn open(
    folder: &IdentityFolder,
    proxy: Option<Proxy>,
    trace: TraceSlot,
) -> anyhow::Result<Connection> {
    folder.read()?;
    let options = ChannelOptions { trace, ..ChannelOptions::through(proxy) };
    match renew_when_due(folder, &options, SystemClock.now()).await {
        Ok(None) => {}
        Ok(Some(Certificate { identity, not_after, .. })) => {
            errln!("the certificate of {} was renewed; it is valid until {not_after}", identity.shown());
        }
        // The command itself says that it does not reach the coordinator.
        Err(error) if error.is_unavailable() => {}
        Err(error) => print_warning(format_args!("the certificate cannot be renewed now: {error}")),
    }
    let identity = folder.read()?;
    if let Ok(certificate) = Certificate::of_pem(&identity.pair.certificate_pem) {
        warn_of_expiry(&certificate, SystemClock.now());
    }
    Ok(Connection::open(&options, &identity)?)
}

/// Warns of a certificate that was not renewed and ends soon, or has expired.
pub(super) fn warn_of_expiry(certificate: &Certificate, now: Timestamp) {
    if let Some(text) = certificate.expiry_warning(now) {
        print_warning(format_args!("{text}"));
    }
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
