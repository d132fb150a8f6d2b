//! A snapshot for a backup: the state at one instant, with every blob of that instant.
//!
//! It is taken under the write lock, so that no blob is removed between reading the state and linking its
//! blobs. Blobs that are local files are hard-linked: a blob that is removed later stays in the snapshot, and
//! the slow copy to another disk blocks nobody.

use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use eosfed_common::digest::Digest;
use eosfed_common::ids::InstitutionName;
use eosfed_common::ledger::{Actor, Entry, EventKind, EventRef};
use eosfed_common::private::create_private_folder;
use eosfed_common::refusal::{Reason, Refusal};

use super::{Core, defect, log_number};
use crate::domain::{Change, Federation};
use crate::storage::{BlobError, LocalFile, SNAPSHOT_BLOBS, SNAPSHOT_PREFIX, SNAPSHOT_RECORDS};

/// A snapshot, in a folder of the coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The name of its folder.
    pub folder: String,
    /// The number of its records.
    pub records: u64,
    /// The number of its blobs.
    pub blobs: u64,
}

impl Core {
    /// Takes a snapshot in a new folder and gives the folder's name. There is one at a time: the snapshot of
    /// an earlier backup is removed.
    ///
    /// # Errors
    /// If the disk is full or does not support hard links.
    pub async fn take_snapshot(&self, by: InstitutionName) -> Result<Snapshot, Refusal> {
        let folder = format!("{SNAPSHOT_PREFIX}{}", log_number());
        let path = self.options.snapshots.join(&folder);
        let taken = self.fill_snapshot(&path, by).await;
        taken.map(|(records, blobs)| Snapshot { folder, records, blobs }).inspect_err(|_| {
            let _ = fs::remove_dir_all(&path);
        })
    }

    async fn fill_snapshot(&self, path: &Path, by: InstitutionName) -> Result<(u64, u64), Refusal> {
        self.drop_snapshots().map_err(|error| failed(&error))?;
        let blobs = path.join(SNAPSHOT_BLOBS);
        create_private_folder(&blobs).map_err(|error| failed(&error))?;
        let taken = Entry::new(Actor::Operator(by), EventKind::SnapshotTaken);
        self.transact(|_, _, _| Ok(((), Change::noted(taken)))).await?;
        let (state, head, count) = self.hold(&blobs).await?;
        let file = fs::File::create(path.join(SNAPSHOT_RECORDS)).map_err(|error| failed(&error))?;
        let mut file = BufWriter::new(file);
        let records = self.store.export(&state, head, &mut file).await?;
        file.flush().map_err(|error| failed(&error))?;
        Ok((records, count))
    }

    /// The state now, the newest event, and the blobs in `folder`.
    async fn hold(&self, folder: &Path) -> Result<(Federation, Option<EventRef>, u64), Refusal> {
        let writer = self.lock_writer().await;
        let state = self.snapshot();
        let mut count = 0;
        for digest in self.blobs.list().await? {
            self.hold_blob(digest, &folder.join(digest.to_hex())).await?;
            count += 1;
        }
        Ok((state, writer.ledger.head(), count))
    }

    async fn hold_blob(&self, digest: Digest, to: &Path) -> Result<(), Refusal> {
        let held = match LocalFile::of(self.blobs(), digest).await {
            Ok(LocalFile::Blob(path)) => fs::hard_link(path, to),
            Ok(copy @ LocalFile::Copy(_)) => fs::copy(copy.path(), to).map(|_| ()),
            Err(error @ BlobError::Full) => return Err(error.into()),
            Err(error) => Err(io::Error::other(error)),
        };
        held.map_err(|error| failed(&error))
    }

    fn drop_snapshots(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.options.snapshots)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(SNAPSHOT_PREFIX) {
                fs::remove_dir_all(&path)?;
            }
        }
        Ok(())
    }
}

fn failed(error: &io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            let message = "the disk of the coordinator is full; no backup was started";
            Refusal::new(Reason::StorageFull, message)
        }
        _ => defect("no snapshot can be taken for a backup", error),
    }
}
