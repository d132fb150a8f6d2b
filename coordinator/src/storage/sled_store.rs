//! The embedded store: sled 0.34, JSON values, one transaction over all trees for each commit.

use std::io;
use std::path::Path;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sled::transaction::{ConflictableTransactionError, TransactionError, Transactional as _};
use sled::{Db, Tree};

use super::migrate::{OLDEST, SCHEMA, migrate};
use super::records::{self, Record, TREES};
use super::{Store, StoreError};
use crate::domain::{Change, Federation};

const SCHEMA_KEY: &str = "schema";

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
    /// Opens the database in the folder `path`, or makes it. One of an earlier schema is migrated, in
    /// one transaction, which an interruption leaves done or not begun.
    ///
    /// # Errors
    /// If another process has it, the disk fails, a newer release has written it, or a record of an
    /// earlier schema does not read; it is then as it was.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let db = sled::open(path).map_err(backend)?;
        let found = schema(&db)?;
        let tree = |name: &str| db.open_tree(name).map_err(backend);
        let store = Self {
            institutions: tree("institutions")?,
            jobs: tree("jobs")?,
            specialists: tree("specialists")?,
            releases: tree("releases")?,
            db,
        };
        match found {
            Some(SCHEMA) => {}
            Some(earlier) => store.migrate(earlier)?,
            None => {
                store.db.insert(SCHEMA_KEY, SCHEMA.to_string().as_bytes()).map_err(backend)?;
                store.db.flush().map_err(backend)?;
            }
        }
        Ok(store)
    }

    /// The records of the database in the folder `path` as they are, and their schema. Nothing is
    /// migrated and nothing written.
    ///
    /// # Errors
    /// As [`SledStore::open`]; a folder without a database is an error too.
    pub fn export(path: &Path) -> Result<(u32, Vec<Record>), StoreError> {
        if !path.is_dir() {
            return Err(StoreError::Backend(format!("there is none in {}", path.display())));
        }
        let db = sled::open(path).map_err(backend)?;
        let schema = schema(&db)?.unwrap_or(SCHEMA);
        let known = db.tree_names();
        let mut all = Vec::new();
        for name in TREES.into_iter().filter(|name| known.iter().any(|tree| tree == name.as_bytes())) {
            let tree = db.open_tree(name).map_err(backend)?;
            for entry in entries::<Value>(&tree) {
                let (key, record) = entry?;
                all.push(Record { tree: name.to_owned(), key, record });
            }
        }
        Ok((schema, all))
    }

    fn trees(&self) -> [&Tree; 4] {
        [&self.institutions, &self.jobs, &self.specialists, &self.releases]
    }

    fn migrate(&self, from: u32) -> Result<(), StoreError> {
        let mut fresh: [Vec<(String, Vec<u8>)>; 4] = Default::default();
        for ((name, tree), fresh) in TREES.into_iter().zip(self.trees()).zip(&mut fresh) {
            for entry in entries::<Value>(tree) {
                let (key, old) = entry?;
                let mut new = old.clone();
                migrate(name, &mut new, from);
                // All must read before anything is written.
                let record = Record { tree: name.to_owned(), key: key.clone(), record: new.clone() };
                records::decode(record, SCHEMA, &mut Change::default())?;
                if new != old {
                    fresh.push(encoded(name, key, &new)?);
                }
            }
        }
        let count: usize = fresh.iter().map(Vec::len).sum();
        self.write(&fresh, Some(SCHEMA))?;
        tracing::info!(from, to = SCHEMA, changed = count, "the store was migrated to this release's schema");
        Ok(())
    }

    /// Writes records, and the schema that they follow, in one transaction.
    fn write(&self, fresh: &[Vec<(String, Vec<u8>)>; 4], schema: Option<u32>) -> Result<(), StoreError> {
        let schema = schema.map(|schema| schema.to_string());
        let [institutions, jobs, specialists, releases] = self.trees();
        let trees: [&Tree; 5] = [institutions, jobs, specialists, releases, &self.db];
        let done = trees.transaction(|trees| {
            for (tree, records) in trees.iter().zip(fresh) {
                for (key, value) in records {
                    tree.insert(key.as_bytes(), value.as_slice())?;
                }
            }
            if let (Some(schema), Some(tree)) = (&schema, trees.last()) {
                tree.insert(SCHEMA_KEY.as_bytes(), schema.as_bytes())?;
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

/// The schema of a database; none in a new one.
fn schema(db: &Db) -> Result<Option<u32>, StoreError> {
    let found = match db.get(SCHEMA_KEY).map_err(backend)? {
        None if db.is_empty() && db.tree_names().len() <= 1 => return Ok(None),
        None => "none".to_owned(),
        Some(bytes) => String::from_utf8_lossy(&bytes).escape_debug().take(20).collect(),
    };
    match found.parse() {
        Ok(known @ OLDEST..=SCHEMA) => Ok(Some(known)),
        Ok(_) | Err(_) => Err(StoreError::Schema {
            found,
            expected: SCHEMA,
            advice: "use the release that wrote it or a newer one, or another state folder",
        }),
    }
}

fn backend(error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(error) if error.kind() == io::ErrorKind::StorageFull => StoreError::Full,
        other => StoreError::Backend(other.to_string()),
    }
}

/// A record that may differ from what it was made of, or from which nothing can be made, is never
/// written: the coordinator would not start again.
fn encoded<T>(tree: &str, key: String, value: &T) -> Result<(String, Vec<u8>), StoreError>
where
    T: Serialize + DeserializeOwned + PartialEq,
{
    let unreadable = |reason: String| StoreError::Unreadable { key: format!("{tree}/{key}"), reason };
    let bytes = serde_json::to_vec(value).map_err(|error| unreadable(error.to_string()))?;
    let read: T = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    if read != *value {
        return Err(unreadable("it reads back as something else".to_owned()));
    }
    Ok((key, bytes))
}

/// The records of a tree with their keys.
fn entries<T: DeserializeOwned>(tree: &Tree) -> impl Iterator<Item = Result<(String, T), StoreError>> {
    let name = String::from_utf8_lossy(&tree.name()).into_owned();
    tree.iter().map(move |entry| {
        let (key, value) = entry.map_err(backend)?;
        let key = String::from_utf8_lossy(&key).into_owned();
        match serde_json::from_slice(&value) {
            Ok(record) => Ok((key, record)),
            Err(error) => {
                Err(StoreError::Damaged { key: format!("{name}/{key}"), reason: error.to_string() })
            }
        }
    })
}

fn all<T: DeserializeOwned>(tree: &Tree) -> Result<Vec<T>, StoreError> {
    entries(tree).map(|entry| entry.map(|(_, record)| record)).collect()
}

#[async_trait]
impl Store for SledStore {
    async fn load(&self) -> Result<Federation, StoreError> {
        let mut federation = Federation::default();
        federation.merge(Change {
            institutions: all(&self.institutions)?,
            jobs: all(&self.jobs)?,
            specialists: all(&self.specialists)?,
            releases: all(&self.releases)?,
            volatile: false,
        });
        Ok(federation)
    }

    async fn commit(&self, change: &Change) -> Result<(), StoreError> {
        let Change { institutions, jobs, specialists, releases, volatile: _ } = change;
        // Encoded first: the transaction may run more than once.
        let fresh = [
            encode(TREES[0], institutions, records::institution_key)?,
            encode(TREES[1], jobs, records::job_key)?,
            encode(TREES[2], specialists, records::specialist_key)?,
            encode(TREES[3], releases, records::release_key)?,
        ];
        self.write(&fresh, None)
    }
}

fn encode<T>(
    tree: &str,
    values: &[T],
    key: impl Fn(&T) -> String,
) -> Result<Vec<(String, Vec<u8>)>, StoreError>
where
    T: Serialize + DeserializeOwned + PartialEq,
{
    values.iter().map(|value| encoded(tree, key(value), value)).collect()
}

#[cfg(test)]
mod tests;
