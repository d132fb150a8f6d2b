//! A snapshot for a backup: the state as it is at one instant, with every blob that is there then.
//!
//! Taken behind the door, so that nothing is removed between looking at the state and taking hold of
//! its blobs. Taking hold is a hard link: what is removed later stays in the snapshot, and copying it
//! elsewhere, which takes long, holds nobody up.

use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use eosfed_common::refusal::{Reason, Refusal};

use super::{Core, defect, lock, log_number};
use crate::domain::Federation;
use crate::storage::{STAGED_BLOBS, STAGED_PREFIX, STAGED_RECORDS, write_lines};

/// A snapshot that lies in the workshop of the blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// The name of its folder there.
    pub folder: String,
    /// How many records it has.
    pub records: u64,
    /// How many blobs.
    pub blobs: u64,
}

impl Core {
    /// Takes a snapshot into a folder of the workshop and gives its name. There is one at a time: what
    /// an earlier backup has left behind is removed.
    ///
    /// # Errors
    /// If the disk is full, or cannot link files.
    pub fn stage_backup(&self) -> Result<Staged, Refusal> {
        let folder = format!("{STAGED_PREFIX}{}", log_number());
        let path = self.blobs.workshop().join(&folder);
        let staged = self.stage(&path);
        staged.map(|(records, blobs)| Staged { folder, records, blobs }).inspect_err(|_| {
            let _ = fs::remove_dir_all(&path);
        })
    }

    fn stage(&self, path: &Path) -> Result<(u64, u64), Refusal> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                let message = "the disk of the coordinator is full; no backup was begun";
                Refusal::new(Reason::StorageFull, message)
            }
            _ => defect("no snapshot can be taken for a backup", &error),
        };
        self.drop_staged().map_err(failed)?;
        let blobs = path.join(STAGED_BLOBS);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&blobs).map_err(failed)?;
        let (state, count) = self.hold(&blobs)?.map_err(failed)?;
        let written = fs::File::create(path.join(STAGED_RECORDS)).and_then(|file| {
            let mut file = BufWriter::new(file);
            let count = write_lines(&state, &mut file)?;
            file.flush().map(|()| count)
        });
        Ok((written.map_err(failed)?, count))
    }

    /// The state now, and its blobs, linked into `folder`.
    fn hold(&self, folder: &Path) -> Result<io::Result<(Federation, u64)>, Refusal> {
        let _door = lock(&self.door);
        let state = self.snapshot();
        let mut count = 0;
        for digest in self.blobs.list()? {
            if let Err(error) = fs::hard_link(self.blobs.file(digest)?, folder.join(digest.to_hex())) {
                return Ok(Err(error));
            }
            count += 1;
        }
        Ok(Ok((state, count)))
    }

    fn drop_staged(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.blobs.workshop())? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(STAGED_PREFIX) {
                fs::remove_dir_all(&path)?;
            }
        }
        Ok(())
    }
}
