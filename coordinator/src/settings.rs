//! `coordinator.toml`, and the paths in the state folder.

mod backup;
mod http;

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use eosfed_common::private::{check_owner, check_private};
use eosfed_common::telemetry::{LogFilter, LogFormat};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::disk::DiskSettings;
use crate::domain::retention::Limits;
use crate::notify::{self, NotifySettings};
use crate::traces::TelemetrySettings;

pub use backup::{BackupSettings, recipient};
pub use http::{HttpSettings, HttpTlsSettings};

/// The commented file that `init` writes.
pub const SAMPLE: &str = include_str!("../samples/coordinator.toml");

/// The contents of `coordinator.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The address to listen on. Port 0 takes a free port.
    pub listen: SocketAddr,
    /// The address that institutions connect to. Default: `https://` and the address listened on.
    pub public_url: Option<String>,
    /// Host names and addresses that the server's certificate is for.
    pub names: Vec<String>,
    /// How long the updates and starting weights of closed rounds are kept.
    #[serde(default = "default_keep", with = "eosfed_common::duration")]
    #[schemars(with = "String", extend("x-rule" = "a duration such as `7d`, `12h` or `0s`"))]
    pub keep_updates_for: Duration,
    /// Most megabytes (10^6 bytes) of them. Beyond it, the oldest rounds lose theirs.
    #[serde(default = "default_keep_mb")]
    pub keep_updates_mb: u64,
    /// Backups.
    #[serde(default)]
    pub backup: BackupSettings,
    /// The format of log lines.
    #[serde(default)]
    pub log: LogFormat,
    /// What is logged. SIGHUP reads it again.
    #[serde(default)]
    #[schemars(extend("x-rule" = "a level or a filter, such as `debug` or `info,eosfed_coordinator::tls=debug`"))]
    pub log_level: LogFilter,
    /// Levels of free room on the disk of the blobs.
    #[serde(default)]
    pub disk: DiskSettings,
    /// The listener for monitoring. Without this table there is none.
    #[serde(default, deserialize_with = "http::checked")]
    pub http: Option<HttpSettings>,
    /// Traces.
    #[serde(default)]
    pub telemetry: TelemetrySettings,
    /// Who is told of events. SIGHUP reads this again.
    #[serde(default, deserialize_with = "notify::receivers")]
    pub notify: Vec<NotifySettings>,
}

const fn default_keep() -> Duration {
    Duration::from_secs(7 * 86_400)
}

const fn default_keep_mb() -> u64 {
    20_000
}

impl Settings {
    /// Which closed rounds keep their updates and starting weights.
    #[must_use]
    pub const fn retention(&self) -> Limits {
        Limits {
            job: None,
            keep_for: Some(self.keep_updates_for),
            most_bytes: Some(self.keep_updates_mb.saturating_mul(1_000_000)),
        }
    }
}

/// Another program has the state folder.
#[derive(Debug, thiserror::Error)]
#[error("another coordinator runs on {0}, or a backup of it is being made; stop it, or wait for it, first")]
pub struct Busy(pub String);

/// A state folder.
#[derive(Debug, Clone)]
pub struct StateFolder(pub PathBuf);

impl StateFolder {
    /// The settings.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.0.join("coordinator.toml")
    }

    /// The authority's key and certificate.
    #[must_use]
    pub fn authority(&self) -> [PathBuf; 2] {
        ["key.pem", "certificate.pem"].map(|name| self.0.join("ca").join(name))
    }

    /// The operator's identity, for the `eosfed` command.
    #[must_use]
    pub fn operator(&self) -> PathBuf {
        self.0.join("operator")
    }

    /// The coordinator's signing keys.
    #[must_use]
    pub fn signing(&self) -> PathBuf {
        self.0.join("signing.json")
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    /// The blobs.
    #[must_use]
    pub fn blobs(&self) -> PathBuf {
        self.0.join("blobs")
    }

    /// Where the running coordinator writes the address that it listens on.
    #[must_use]
    pub fn address(&self) -> PathBuf {
        self.0.join("address")
    }

    /// Where the running coordinator writes the address of its listener for monitoring.
    #[must_use]
    pub fn http_address(&self) -> PathBuf {
        self.0.join("http-address")
    }

    /// How far the receivers of notifications are.
    #[must_use]
    pub fn notifications(&self) -> PathBuf {
        self.0.join("notifications.json")
    }

    /// The file that the running coordinator locks.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// Locks the folder for one program. Gives nothing if another program holds the lock.
    ///
    /// # Errors
    /// If the file cannot be made or locked.
    pub fn take_lock(&self) -> anyhow::Result<Option<File>> {
        let path = self.lock();
        let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }
}

/// The sample with these values filled in.
#[must_use]
pub fn filled_in(listen: SocketAddr, public_url: Option<&str>, names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
    let url = public_url.map_or_else(
        || "# public_url = \"https://eo.example.org:7443\"".to_owned(),
        |url| format!("public_url = {url:?}"),
    );
    SAMPLE
        .replace("listen = \"127.0.0.1:7443\"", &format!("listen = \"{listen}\""))
        .replace("# public_url = \"https://eo.example.org:7443\"", &url)
        .replace("names = [\"localhost\", \"127.0.0.1\"]", &format!("names = [{}]", names.join(", ")))
}

/// Reads the settings of a state folder.
///
/// # Errors
/// If there are none, or they are not valid.
pub fn load(folder: &Path) -> anyhow::Result<(StateFolder, Settings)> {
    let state = StateFolder(folder.to_owned());
    check_owner(folder)?;
    if !state.settings().exists() {
        anyhow::bail!(
            "{} is not a coordinator's state folder: it has no `coordinator.toml`; make one with \
             `eosfed-coordinator init --state {0}`",
            folder.display()
        );
    }
    let [key, _] = state.authority();
    for secret in [&key, &state.signing()] {
        check_owner(secret)?;
    }
    for private in [folder, &key, &state.operator()] {
        check_private(private)?;
    }
    let settings = eosfed_common::settings::load(&state.settings())?;
    Ok((state, settings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_valid_with_and_without_values() {
        let sample: Settings = toml::from_str(SAMPLE).unwrap();
        assert_eq!((sample.keep_updates_for, sample.keep_updates_mb), (default_keep(), default_keep_mb()));
        assert_eq!(sample.public_url, None);
        let names = ["eo.example.org".to_owned()];
        let text = filled_in("0.0.0.0:1".parse().unwrap(), Some("https://eo.example.org:1"), &names);
        let filled: Settings = toml::from_str(&text).unwrap();
        assert_eq!((filled.names, filled.listen.port()), (names.to_vec(), 1));
        assert_eq!(filled.public_url.as_deref(), Some("https://eo.example.org:1"));
    }
}
