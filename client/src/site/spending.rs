//! The record of spent privacy, `privacy.json`. It spans jobs. A damaged one is never taken for an empty one.

use std::io;
use std::path::PathBuf;

use super::{Site, SiteError};
use crate::privacy::{Charge, Spending};

const FILE: &str = "privacy.json";

impl Site {
    /// The record's file.
    #[must_use]
    pub fn spending_file(&self) -> PathBuf {
        self.path().join(FILE)
    }

    /// Replaces the whole record.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn replace_spending(&self, spending: &Spending) -> Result<(), SiteError> {
        self.write_json(FILE, spending)
    }

    /// What updates have spent; nothing if there is no record.
    ///
    /// # Errors
    /// If the record cannot be read, or cannot be true.
    pub fn spending(&self) -> Result<Spending, SiteError> {
        let path = self.spending_file();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Spending::default()),
            Err(source) => return Err(SiteError::Io { path, source }),
        };
        let read = serde_json::from_slice::<Spending>(&bytes).map_err(|error| error.to_string());
        read.and_then(|spending| spending.check().map(|()| spending)).map_err(|why| {
            let reason = format!(
                "the record of spent privacy is damaged ({why}); nothing that needs it is sent. Restore it from a \
                 backup of this folder, or make it again from the site log with `eosfed-client privacy rebuild`"
            );
            SiteError::Invalid { path, reason }
        })
    }

    /// Records an update. When this returns, it is on the disk.
    ///
    /// # Errors
    /// If the record cannot be read or written. It is then unchanged.
    pub fn charge(&self, charge: Charge) -> Result<(), SiteError> {
        let mut spending = self.spending()?;
        spending.add(charge);
        self.write_json(FILE, &spending)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use eosfed_common::clock::Timestamp;
    use eosfed_common::digest::Digest;

    use super::*;
    use crate::privacy::Mechanism;

    fn charge(round: u32) -> Charge {
        let assignment = format!("j-0a1b2c3d.{round}.1.west");
        Charge {
            digest: Digest::of(assignment.as_bytes()),
            assignment: assignment.parse().unwrap(),
            job_name: "shared".to_owned(),
            mechanism: Mechanism { clip: 1.0, noise_multiplier: 0.8 },
            at: Timestamp(0),
            dataset: None,
        }
    }

    #[test]
    fn what_was_spent_is_kept_for_the_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let site = Site::at(folder.path());
        assert_eq!(site.spending().unwrap(), Spending::default());
        for round in 0..3 {
            site.charge(charge(round)).unwrap();
        }
        let kept = Site::at(folder.path()).spending().unwrap();
        assert_eq!(kept.updates(), [charge(0), charge(1), charge(2)]);
        let mode = std::fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_record_is_not_taken_for_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let site = Site::at(folder.path());
        site.charge(charge(0)).unwrap();
        let path = folder.path().join(FILE);
        let whole = std::fs::read_to_string(&path).unwrap();
        let zero = whole.replace("0.8", "0.0");
        for damaged in ["", &whole[..whole.len() / 2], "{}", "null", &zero, "\0\0\0\0"] {
            std::fs::write(&path, damaged).unwrap();
            let said = site.spending().unwrap_err().to_string();
            assert!(said.contains("privacy.json") && said.contains("Restore it"), "{said}");
            assert!(site.charge(charge(1)).is_err());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged, "it is left as it is");
        }
    }
}
