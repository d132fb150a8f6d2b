//! The embedded store: sled 0.34, JSON values, one transaction over all trees for each commit.

use std::io;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sled::transaction::{ConflictableTransactionError, TransactionError, Transactional as _};
use sled::{Db, Tree};

use super::{Store, StoreError};
use crate::domain::{Change, Federation};

const SCHEMA_KEY: &str = "schema";
const SCHEMA: u32 = 1;

/// A sled database. At most one process has it open.
#[derive(Debug)]
pub struct SledStore {
    db: Db,
    institutions: Tree,
    jobs: Tree,
    specialists: Tree,
    releases: Tree,
}

impl SledStore {
    /// Opens the database in the folder `path`, or makes it.
    ///
    /// # Errors
    /// If another process has it, the disk fails, or another release has written it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let db = sled::open(path).map_err(backend)?;
        check_schema(&db)?;
        let tree = |name: &str| db.open_tree(name).map_err(backend);
        Ok(Self {
            institutions: tree("institutions")?,
            jobs: tree("jobs")?,
            specialists: tree("specialists")?,
            releases: tree("releases")?,
            db,
        })
    }
}

fn check_schema(db: &Db) -> Result<(), StoreError> {
    let expected = SCHEMA.to_string();
    match db.get(SCHEMA_KEY).map_err(backend)? {
        None if db.is_empty() && db.tree_names().len() <= 1 => {
            db.insert(SCHEMA_KEY, expected.as_bytes()).map_err(backend)?;
            db.flush().map_err(backend)?;
            Ok(())
        }
        Some(found) if found == expected.as_bytes() => Ok(()),
        found => Err(StoreError::Schema {
            found: found.map_or_else(
                || "none".to_owned(),
                |bytes| String::from_utf8_lossy(&bytes).escape_debug().take(20).collect(),
            ),
            expected: SCHEMA,
            advice: "use the release that wrote it, or another state folder",
        }),
    }
}

fn backend(error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(error) if error.kind() == io::ErrorKind::StorageFull => StoreError::Full,
        other => StoreError::Backend(other.to_string()),
    }
}

fn record<T: Serialize>(key: String, value: &T) -> Result<(String, Vec<u8>), StoreError> {
    match serde_json::to_vec(value) {
        Ok(bytes) => Ok((key, bytes)),
        Err(error) => Err(StoreError::Backend(format!("cannot encode `{key}`: {error}"))),
    }
}

fn records<T: DeserializeOwned>(tree: &Tree) -> impl Iterator<Item = Result<T, StoreError>> {
    let name = String::from_utf8_lossy(&tree.name()).into_owned();
    tree.iter().map(move |entry| {
        let (key, value) = entry.map_err(backend)?;
        serde_json::from_slice(&value).map_err(|error| StoreError::Damaged {
            key: format!("{name}/{}", String::from_utf8_lossy(&key)),
            reason: error.to_string(),
        })
    })
}

impl Store for SledStore {
    fn load(&self) -> Result<Federation, StoreError> {
        let mut federation = Federation::default();
        federation.merge(Change {
            institutions: records(&self.institutions).collect::<Result<_, _>>()?,
            jobs: records(&self.jobs).collect::<Result<_, _>>()?,
            specialists: records(&self.specialists).collect::<Result<_, _>>()?,
            releases: records(&self.releases).collect::<Result<_, _>>()?,
            volatile: false,
        });
        Ok(federation)
    }

    fn commit(&self, change: &Change) -> Result<(), StoreError> {
        let Change { institutions, jobs, specialists, releases, volatile: _ } = change;
        // Encoded first: the transaction may run more than once.
        let encoded = [
            institutions
                .iter()
                .map(|one| record(one.name.to_string(), one))
                .collect::<Result<Vec<_>, _>>()?,
            jobs.iter().map(|job| record(job.id.to_string(), job)).collect::<Result<_, _>>()?,
            specialists
                .iter()
                .map(|card| record(format!("{}@{:010}", card.name, card.version), card))
                .collect::<Result<_, _>>()?,
            releases
                .iter()
                .map(|release| record(format!("{:010}", release.manifest.number.0), release))
                .collect::<Result<_, _>>()?,
        ];
        let trees = [&self.institutions, &self.jobs, &self.specialists, &self.releases];
        let done = trees.transaction(|trees| {
            for (tree, records) in trees.iter().zip(&encoded) {
                for (key, value) in records {
                    tree.insert(key.as_bytes(), value.as_slice())?;
                }
            }
            Ok::<_, ConflictableTransactionError<()>>(())
        });
        match done {
            Ok(()) => {}
            Err(TransactionError::Storage(error)) => return Err(backend(error)),
            Err(TransactionError::Abort(())) => {
                return Err(StoreError::Backend("the transaction was aborted".to_owned()));
            }
        }
        self.db.flush().map_err(backend)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_releases_store_is_refused_with_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        drop(SledStore::open(folder.path()).unwrap());
        let db = sled::open(folder.path()).unwrap();
        db.insert(SCHEMA_KEY, "99").unwrap();
        db.flush().unwrap();
        drop(db);
        let error = SledStore::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("`99`") && error.contains("`1`"), "{error}");
    }

    #[test]
    fn a_damaged_record_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = SledStore::open(folder.path()).unwrap();
        store.jobs.insert("j-00000000", "{").unwrap();
        assert!(store.load().unwrap_err().to_string().contains("jobs/j-00000000"));
    }
}
