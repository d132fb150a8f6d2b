//! Finished weights that the site policy no longer allowed to leave: they are the institution's own, so
//! they are kept instead of being removed with the assignment's folder.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use eosfed_common::ids::AssignmentId;

use super::{Site, SiteError};

/// Most files of weights that are kept. The oldest is removed first.
const MAX_WITHHELD: usize = 10;

impl Site {
    /// The path of an assignment's withheld weights.
    #[must_use]
    pub fn withheld(&self, assignment: &AssignmentId) -> PathBuf {
        self.0.join("withheld").join(format!("{assignment}.safetensors"))
    }

    /// Moves the weights of an assignment to that path, unless they are there already. Gives the path, if
    /// there are weights.
    ///
    /// # Errors
    /// If the file cannot be moved.
    pub fn withhold(&self, assignment: &AssignmentId, weights: &Path) -> Result<Option<PathBuf>, SiteError> {
        let kept = self.withheld(assignment);
        let folder = self.0.join("withheld");
        std::fs::create_dir_all(&folder).map_err(|source| SiteError::Io { path: folder.clone(), source })?;
        if weights.exists() {
            std::fs::rename(weights, &kept).map_err(|source| SiteError::Io { path: kept.clone(), source })?;
        }
        remove_oldest(&folder, &kept);
        Ok(kept.exists().then_some(kept))
    }
}

/// Keeps no more than [`MAX_WITHHELD`] files. One that cannot be removed is tried again the next time.
fn remove_oldest(folder: &Path, newest: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let changed = |path: &PathBuf| path.metadata().and_then(|found| found.modified());
    let mut files: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path != newest)
        .filter_map(|path| Some((changed(&path).ok()?, path)))
        .collect();
    files.sort();
    let excess = (files.len() + 1).saturating_sub(MAX_WITHHELD);
    for (_, path) in files.into_iter().take(excess) {
        tracing::warn!(path = %path.display(), "removing the oldest of {MAX_WITHHELD} withheld weights");
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "cannot remove withheld weights");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(round: usize) -> AssignmentId {
        format!("j-0a1b2c3d.{round}.1.west").parse().unwrap()
    }

    #[test]
    fn weights_are_moved_once_and_the_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let site = Site::at(folder.path());
        let weights = folder.path().join("weights.safetensors");
        assert_eq!(site.withhold(&id(0), &weights).unwrap(), None, "there are none");
        for round in 0..MAX_WITHHELD + 2 {
            std::fs::write(&weights, round.to_string()).unwrap();
            for _ in 0..2 {
                assert_eq!(site.withhold(&id(round), &weights).unwrap(), Some(site.withheld(&id(round))));
            }
            assert!(!weights.exists());
            // Times of files may be coarse.
            std::thread::sleep(std::time::Duration::from_millis(15));
        }
        let kept = |round| site.withheld(&id(round)).exists();
        assert!(!kept(0) && !kept(1) && kept(2) && kept(MAX_WITHHELD + 1));
        assert_eq!(std::fs::read_to_string(site.withheld(&id(5))).unwrap(), "5");
    }
}
