//! Backups that a timer makes: a new folder for each, and the oldest removed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use eosfed_common::clock::Timestamp;

use super::layout::{MANIFEST, SUFFIX};

/// What the names of these folders begin with.
const PREFIX: &str = "eosfed-";

/// The folder of a backup that is made now.
#[must_use]
pub(super) fn folder_of(parent: &Path, now: Timestamp) -> PathBuf {
    parent.join(format!("{PREFIX}{}", now.to_string().replace(':', "-")))
}

/// The folders of the whole backups in `parent`, the oldest first.
///
/// # Errors
/// If the folder cannot be read.
pub(crate) fn whole(parent: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let cannot = || format!("cannot read {}", parent.display());
    let mut whole = Vec::new();
    for entry in fs::read_dir(parent).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        let ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        if ours
            && [MANIFEST.to_owned(), format!("{MANIFEST}{SUFFIX}")]
                .iter()
                .any(|name| path.join(name).is_file())
        {
            whole.push(path);
        }
    }
    // The names are times, so their order is that of the backups.
    whole.sort();
    Ok(whole)
}

/// Removes whole backups from `parent` until the newest `keep` are left; gives the removed folders. Anything else
/// in the folder stays, also backups that were interrupted.
///
/// # Errors
/// If a folder cannot be read or removed.
pub(super) fn remove_older(parent: &Path, keep: u16) -> anyhow::Result<Vec<PathBuf>> {
    let mut whole = whole(parent)?;
    whole.truncate(whole.len().saturating_sub(usize::from(keep.max(1))));
    for path in &whole {
        fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whole_backups_are_kept_and_nothing_else_is_touched() {
        let parent = tempfile::tempdir().unwrap();
        let day = |n: u64| folder_of(parent.path(), Timestamp(n * 86_400_000));
        for n in 1..=5 {
            fs::create_dir(day(n)).unwrap();
            let manifest = if n == 2 { "backup.json.age" } else { "backup.json" };
            fs::write(day(n).join(manifest), "{}").unwrap();
        }
        fs::remove_file(day(3).join("backup.json")).unwrap();
        fs::create_dir(parent.path().join("photos")).unwrap();
        assert_eq!(remove_older(parent.path(), 2).unwrap(), [day(1), day(2)]);
        let mut left: Vec<_> =
            fs::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        left.sort();
        assert_eq!(left, [day(3), day(4), day(5), parent.path().join("photos")]);
        assert_eq!(remove_older(parent.path(), 0).unwrap(), [day(4)], "one is always kept");
        assert!(day(5).ends_with("eosfed-1970-01-06T00-00-00Z"), "{}", day(5).display());
    }
}
