//! Room on disks: how much there is, a level below which uploads are refused, and one that is only said.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use eosfed_common::quantity::{self, bytes_apart, megabytes};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::view::DiskView;
use schemars::JsonSchema;
use serde::Deserialize;

/// A million bytes.
const MB: u64 = 1_000_000;
/// Most folders inside one another that are looked into.
pub(crate) const MAX_DEPTH: u32 = 8;
/// Time between two looks at the warning level.
const INTERVAL: Duration = Duration::from_secs(60);

/// Levels of free room on the disk of the blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DiskSettings {
    /// Below this many megabytes (10^6 bytes), the log warns.
    pub warn_below_mb: u64,
    /// Below this many megabytes, uploads are refused and wait; everything else goes on. 0: only a full disk
    /// refuses them.
    pub stop_below_mb: u64,
}

impl Default for DiskSettings {
    fn default() -> Self {
        Self { warn_below_mb: 5000, stop_below_mb: 500 }
    }
}

/// The bytes that are free for this user on the disk of a path.
///
/// # Errors
/// If the path does not exist or the file system does not say.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = nix::sys::statvfs::statvfs(path)?;
    Ok(stat.blocks_available() * stat.fragment_size())
}

/// The room on the disk of a path.
///
/// # Errors
/// As [`free_bytes`].
pub(crate) fn room(path: &Path) -> io::Result<DiskView> {
    let stat = nix::sys::statvfs::statvfs(path)?;
    let bytes = |blocks: u64| blocks * stat.fragment_size();
    Ok(DiskView { free_bytes: bytes(stat.blocks_available()), total_bytes: bytes(stat.blocks()) })
}

/// The bytes and the number of the files in a folder. Files that vanish meanwhile do not count,
/// nor do folders that lie deeper than `depth`.
///
/// # Errors
/// If the folder itself cannot be read.
pub(crate) fn folder_size(folder: &Path, depth: u32) -> io::Result<(u64, u64)> {
    let mut sum = (0, 0);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else { continue };
        let (bytes, files) = match (metadata.is_dir(), depth) {
            (true, 0) => (0, 0),
            (true, _) => folder_size(&entry.path(), depth - 1).unwrap_or_default(),
            (false, _) => (metadata.len(), 1),
        };
        sum = (sum.0 + bytes, sum.1 + files);
    }
    Ok(sum)
}

/// Watches over the room on the disk of the blobs.
#[derive(Debug, Clone)]
pub struct DiskGuard {
    folder: PathBuf,
    settings: DiskSettings,
}

impl DiskGuard {
    /// Watches over the disk of this folder.
    #[must_use]
    pub const fn new(folder: PathBuf, settings: DiskSettings) -> Self {
        Self { folder, settings }
    }

    /// Whether the disk stays above its stop level with this many bytes more.
    ///
    /// # Errors
    /// [`Reason::StorageFull`] with the figures if it does not. A disk that does not say lets everything in:
    /// writing to it says what is wrong.
    pub fn check(&self, bytes: u64) -> Result<(), Refusal> {
        let Ok(free) = free_bytes(&self.folder) else { return Ok(()) };
        self.judge(free, bytes)
    }

    fn judge(&self, free: u64, bytes: u64) -> Result<(), Refusal> {
        let stop = self.settings.stop_below_mb.saturating_mul(MB);
        if stop == 0 || free >= stop.saturating_add(bytes) {
            return Ok(());
        }
        let more = quantity::bytes(bytes);
        let [free, _] = bytes_apart(free, stop.saturating_add(bytes));
        let stop = megabytes(self.settings.stop_below_mb);
        let message = format!(
            "the disk of the coordinator has {free} free, and {more} more would leave less than its stop level of {stop} \
             (`stop_below_mb` of `[disk]`); try again later"
        );
        Err(Refusal::new(Reason::StorageFull, message))
    }

    /// How much room is left, in words, if it is less than a level.
    pub(crate) fn low(&self) -> Option<String> {
        let free = free_bytes(&self.folder).ok()?;
        let level = match self.level(free) {
            Level::Enough => return None,
            Level::Warn => format!("its warning level of {}", megabytes(self.settings.warn_below_mb)),
            Level::Stop => {
                let stop = megabytes(self.settings.stop_below_mb);
                format!("its stop level of {stop}: uploads are refused and wait")
            }
        };
        let free = quantity::bytes(free);
        Some(format!("The disk of {} has {free} free, less than {level}.", self.folder.display()))
    }

    /// Says in the log, for ever, when the room falls below a level or rises above it again.
    pub(crate) async fn warn(&self) {
        let mut before = Level::Enough;
        loop {
            if let Ok(free) = free_bytes(&self.folder) {
                let now = self.level(free);
                if now != before {
                    self.log(now, free);
                }
                before = now;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    fn level(&self, free: u64) -> Level {
        match free / MB {
            free if free < self.settings.stop_below_mb => Level::Stop,
            free if free < self.settings.warn_below_mb => Level::Warn,
            _ => Level::Enough,
        }
    }

    fn log(&self, level: Level, free: u64) {
        let (free_mb, folder) = (free / MB, self.folder.display());
        match level {
            Level::Enough => tracing::info!(free_mb, %folder, "the disk has enough room again"),
            Level::Warn => {
                tracing::warn!(free_mb, %folder, "the disk has little room; lower `keep_updates_mb`, run `eosfed storage prune` or free some");
            }
            Level::Stop => {
                tracing::error!(free_mb, %folder, "the disk has less room than its stop level; uploads are refused");
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Enough,
    Warn,
    Stop,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(stop_below_mb: u64) -> DiskGuard {
        DiskGuard::new(PathBuf::from("/"), DiskSettings { warn_below_mb: 200, stop_below_mb })
    }

    #[test]
    fn uploads_stop_before_the_level_and_not_a_byte_earlier() {
        assert_eq!(guard(100).judge(100 * MB + 7, 7), Ok(()));
        let refusal = guard(100).judge(100 * MB + 6, 7).unwrap_err();
        assert_eq!(refusal.reason, Reason::StorageFull);
        assert!(
            refusal.message.contains("has 100.000006 MB free, and 7 B more")
                && refusal.message.contains("`[disk]`"),
            "{refusal}"
        );
        assert_eq!(guard(0).judge(0, u64::MAX), Ok(()), "no level");
        assert!(guard(1).judge(u64::MAX - 1, u64::MAX).is_err(), "no overflow");
        assert!(guard(u64::MAX).judge(u64::MAX - 1, 0).is_err(), "no overflow");
    }

    #[test]
    fn levels_are_told_apart() {
        let level = |mb: u64| guard(100).level(mb * MB);
        assert_eq!([99, 100, 199, 200].map(level), [Level::Stop, Level::Warn, Level::Warn, Level::Enough]);
    }

    #[test]
    fn sizes_are_summed_over_folders() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        fs::write(folder.path().join("one"), [0; 10]).unwrap();
        fs::write(folder.path().join("a/b/two"), [0; 32]).unwrap();
        assert_eq!(folder_size(folder.path(), MAX_DEPTH).unwrap(), (42, 2));
        assert_eq!(folder_size(folder.path(), 1).unwrap(), (10, 1), "the depth is bounded");
        assert!(folder_size(&folder.path().join("gone"), 1).is_err());
    }
}
