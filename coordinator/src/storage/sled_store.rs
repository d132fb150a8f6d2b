//! Opening the embedded store, and migrating one of an earlier schema.

use std::io::Write as IoWrite;
use std::path::Path;

use sled::Db;
use strum::IntoEnumIterator as _;

use super::assembly::Assembly;
use super::lines::{bytes, write_line};
use super::migrate::{OLDEST, SCHEMA, migrate};
use super::record::Record;
use super::record_store::RecordStore;
use super::sled_trees::{Database, MIGRATED_KEY, RESERVE, SCHEMA_KEY, SledTrees, backend, open};
use super::trees::{Each, Tree, Trees as _, Write};
use super::{StoreError, assembly::Assembled};

/// The embedded store. At most one process has it open.
pub type SledStore = RecordStore<SledTrees>;

/// Records that an import writes in one transaction.
const BATCH: usize = 1000;

impl SledStore {
    /// Opens the database in the folder `path`, or makes it. A database of an earlier schema is migrated in
    /// one transaction: after an interruption it is migrated or unchanged.
    ///
    /// # Errors
    /// If another process has opened it, the disk fails, a newer version has written it, or a record of an
    /// earlier schema cannot be read. The database is then unchanged.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, RESERVE)
    }

    /// As [`SledStore::open`], with the number of bytes that must be free before a commit.
    ///
    /// # Errors
    /// As [`SledStore::open`].
    pub fn open_with(path: &Path, reserve: u64) -> Result<Self, StoreError> {
        let db = open(path)?;
        let found = schema(&db)?;
        // The schema is checked before trees are made that earlier versions do not know.
        let old = match found {
            Some(SCHEMA) | None => Vec::new(),
            Some(earlier) => migrated(&db, earlier)?,
        };
        let database = Database::of(db)?;
        let schema = || (SCHEMA_KEY, SCHEMA.to_string());
        match found {
            Some(SCHEMA) => {}
            Some(earlier) => {
                database.write(&old, &[schema(), (MIGRATED_KEY, earlier.to_string())])?;
                tracing::info!(from = earlier, to = SCHEMA, records = old.len(), "the store was migrated");
            }
            None => database.write(&[], &[schema()])?,
        }
        Ok(Self { trees: SledTrees::new(path, reserve, database) })
    }

    /// The schema of the database in the folder `path`.
    ///
    /// # Errors
    /// As [`SledStore::open`].
    pub fn schema(path: &Path) -> Result<u32, StoreError> {
        let db = open(path)?;
        Ok(schema(&db)?.unwrap_or(SCHEMA))
    }

    /// Writes the records of the database in the folder `path` as lines, without migration, and gives their
    /// schema. The database is not changed.
    ///
    /// # Errors
    /// As [`SledStore::open`]; a folder without a database is an error too.
    pub fn export(path: &Path, to: &mut (dyn IoWrite + Send)) -> Result<u32, StoreError> {
        if !path.is_dir() {
            return Err(StoreError::Backend(format!("there is no database in {}", path.display())));
        }
        let db = open(path)?;
        let schema = schema(&db)?.unwrap_or(SCHEMA);
        each(&db, &mut |tree, key, bytes| write_line(to, tree.name(), key, bytes))?;
        Ok(schema)
    }

    /// Writes records without migration, in transactions of bounded size.
    ///
    /// # Errors
    /// If the disk is full or the backend fails.
    pub fn import(&self) -> Import<'_> {
        Import { store: self, writes: Vec::new() }
    }
}

/// An import of records into a store.
#[derive(Debug)]
pub struct Import<'a> {
    store: &'a SledStore,
    writes: Vec<Write>,
}

impl Import<'_> {
    /// Adds a record.
    ///
    /// # Errors
    /// If the disk is full or the backend fails.
    pub fn take(&mut self, tree: Tree, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.writes.push(Write::put(tree, key.to_owned(), bytes.to_vec()));
        if self.writes.len() < BATCH { Ok(()) } else { self.flush() }
    }

    /// Writes the remaining records.
    ///
    /// # Errors
    /// If the disk is full or the backend fails.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        self.store.trees.write(std::mem::take(&mut self.writes))
    }
}

/// The schema of a database. A new one has none.
fn schema(db: &Db) -> Result<Option<u32>, StoreError> {
    let found = match db.get(SCHEMA_KEY).map_err(|error| backend(&error))? {
        None if db.is_empty() && db.tree_names().len() <= 1 => return Ok(None),
        None => "none".to_owned(),
        Some(bytes) => String::from_utf8_lossy(&bytes).escape_debug().take(20).collect(),
    };
    match found.parse() {
        Ok(known @ OLDEST..=SCHEMA) => Ok(Some(known)),
        Ok(_) | Err(_) => Err(StoreError::Schema {
            found,
            expected: SCHEMA,
            advice: "use the version that wrote it or a newer one, or another state folder",
        }),
    }
}

/// Visits all records of a database.
fn each(db: &Db, show: &mut Each<'_>) -> Result<(), StoreError> {
    let known = db.tree_names();
    for tree in Tree::iter().filter(|tree| known.iter().any(|name| name == tree.name().as_bytes())) {
        for entry in &db.open_tree(tree.name()).map_err(|error| backend(&error))? {
            let (key, value) = entry.map_err(|error| backend(&error))?;
            show(tree, &String::from_utf8_lossy(&key), &value)?;
        }
    }
    Ok(())
}

/// The writes that migrate a database of an earlier schema. Every migrated record must be readable.
fn migrated(db: &Db, from: u32) -> Result<Vec<Write>, StoreError> {
    let mut assembly = Assembly::default();
    let mut writes = Vec::new();
    each(db, &mut |tree, key, old| {
        let named = format!("{}/{key}", tree.name());
        let damaged =
            |error: serde_json::Error| StoreError::Damaged { key: named.clone(), reason: error.to_string() };
        let record = serde_json::from_slice(old).map_err(damaged)?;
        let record = Record { tree: tree.name().to_owned(), key: key.to_owned(), record };
        for Record { tree, key, record } in migrate(record, from) {
            let Ok(tree) = tree.parse::<Tree>() else { continue };
            let bytes = bytes(tree, &record);
            assembly.take(tree, &key, &bytes).map_err(damaged)?;
            writes.push(Write::put(tree, key, bytes));
        }
        Ok(())
    })?;
    let Assembled { .. } = assembly.finish();
    Ok(writes)
}

#[cfg(test)]
mod tests;
