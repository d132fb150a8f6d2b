//! The source of a backup: a snapshot that the serving coordinator has taken, or the state folder of a
//! coordinator that is not running.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::digest::Digest;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_proto::v1;
use eosfed_transport::channel::ChannelOptions;
use eosfed_transport::identity_files::IdentityFiles;
use eosfed_transport::operator::{Connection, IdentityFolder, PersonalIdentity};
use eosfed_transport::renewal::renew_when_due;
use eosfed_transport::status::from_status;

use super::copy;
use super::layout::RECORDS;
use crate::settings::StateFolder;
use crate::storage::{
    Assembled, Blobs as _, FileBlobs, SNAPSHOT_BLOBS, SNAPSHOT_PREFIX, SNAPSHOT_RECORDS, STAGING, SledStore,
    read_lines,
};

/// Where records and blobs come from.
pub(super) struct Source {
    /// The software version of the coordinator.
    pub(super) version: String,
    /// The schema of the records.
    pub(super) schema: u32,
    /// Whether the coordinator is serving.
    pub(super) serving: bool,
    records: Records,
    /// Each blob and its file.
    pub(super) blobs: Vec<(Digest, PathBuf)>,
    _staged: Option<Staged>,
}

enum Records {
    /// In a snapshot.
    File(PathBuf),
    /// In the store in this folder.
    Store(PathBuf),
    /// There are no records.
    None,
}

/// A snapshot, removed when it is no longer needed.
struct Staged(PathBuf);

impl Drop for Staged {
    fn drop(&mut self) {
        // If it cannot be removed, the next backup or the next start of the coordinator removes it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Source {
    /// The state folder of a coordinator that is not serving. The caller holds its lock.
    pub(super) async fn resting(state: &StateFolder) -> anyhow::Result<Self> {
        // A crash may have left some files of an identity old and some new.
        IdentityFiles(&state.0.join("ca")).complete()?;
        IdentityFiles(&state.operator()).complete()?;
        let store = state.store();
        let (schema, records) = if store.exists() {
            let schema = SledStore::schema(&store).with_context(|| store.display().to_string())?;
            (schema, Records::Store(store))
        } else {
            // The coordinator was initialised and never started.
            (crate::storage::SCHEMA, Records::None)
        };
        let mut blobs = Vec::new();
        if state.blobs().exists() {
            let cannot = || format!("cannot read {}", state.blobs().display());
            let files = FileBlobs::open(&state.blobs()).with_context(cannot)?;
            for digest in files.list().await? {
                blobs.push((digest, files.path_of(digest)));
            }
        }
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Self { version, schema, serving: false, records, blobs, _staged: None })
    }

    /// A snapshot of a coordinator that is serving.
    pub(super) async fn serving(state: &StateFolder, identity: &Path) -> anyhow::Result<Self> {
        let folder = IdentityFolder(identity.to_owned());
        if let Err(error) = renew_when_due(&folder, &ChannelOptions::default(), SystemClock.now()).await {
            tracing::warn!(%error, "the certificate of this identity cannot be renewed now");
        }
        let identity = folder.read()?;
        let answer = ask(&identity).await?;
        let v1::BackupResponse { folder, records: _, blobs: _, schema, version } = answer;
        let digits = folder.strip_prefix(SNAPSHOT_PREFIX).unwrap_or_default();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            bail!("the coordinator at {} names a snapshot `{}`", identity.url, folder.escape_debug());
        }
        let path = state.blobs().join(STAGING).join(&folder);
        if !path.join(SNAPSHOT_RECORDS).is_file() {
            bail!(
                "the coordinator at {} has taken a snapshot, but not in {}: it serves another state folder, or \
                 another machine's; run this on the coordinator's machine, as a user who can read its folder, and \
                 name its operator's identity with `--identity DIR`",
                identity.url,
                path.display()
            );
        }
        let staged = Staged(path.clone());
        let mut blobs = Vec::new();
        let folder = path.join(SNAPSHOT_BLOBS);
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let file = entry?.path();
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let digest = format!("sha256:{name}").parse();
            blobs.push((digest.with_context(|| format!("{} is not a blob", file.display()))?, file));
        }
        let records = Records::File(path.join(SNAPSHOT_RECORDS));
        Ok(Self { version, schema, serving: true, records, blobs, _staged: Some(staged) })
    }

    /// Writes the records into the backup in `folder` and reads them back.
    pub(super) fn write_records(&self, folder: &Path) -> anyhow::Result<Assembled> {
        let path = folder.join(RECORDS);
        let cannot = || format!("cannot write {}", path.display());
        match &self.records {
            Records::File(from) => drop(copy::copy(from, &path, &mut |_| {})?),
            Records::Store(store) => export(&path, Some(store)).with_context(cannot)?,
            Records::None => export(&path, None).with_context(cannot)?,
        }
        let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let read = read_lines(BufReader::new(file), self.schema, &mut |_, _, _| Ok(()));
        read.map_err(|error| anyhow!("a record cannot be backed up: {error}"))
    }
}

/// Writes the records of a store, if there is one, to a new file.
fn export(path: &Path, store: Option<&Path>) -> anyhow::Result<()> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    let mut file = BufWriter::new(file);
    if let Some(store) = store {
        SledStore::export(store, &mut file)?;
    }
    Ok(file.into_inner()?.sync_all()?)
}

async fn ask(identity: &PersonalIdentity) -> anyhow::Result<v1::BackupResponse> {
    let mut connection = Connection::open(&ChannelOptions::default(), identity)?;
    let answer = connection.operator.backup(v1::BackupRequest {}).await;
    let refusal = match answer {
        Ok(answer) => return Ok(answer.into_inner()),
        Err(status) => from_status(&status),
    };
    Err(match refusal.reason {
        Reason::Unavailable => {
            let Refusal { message, .. } = refusal;
            anyhow!(
                "the coordinator is running, but does not answer at {}: {message}; name an identity that reaches \
                 it with `--identity DIR`, or stop it first",
                identity.url
            )
        }
        _ => refusal.into(),
    })
}
