//! A store in memory, for tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::StoreError;
use super::record_store::RecordStore;
use super::trees::{Tree, Trees, Visit, Write};

/// A store in memory. Clones share their contents, like a store that is opened again.
pub type MemoryStore = RecordStore<MemoryTrees>;

/// Records in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryTrees(Arc<Mutex<Records>>);

type Records = BTreeMap<(Tree, String), Vec<u8>>;

impl MemoryTrees {
    fn records(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trees for MemoryTrees {
    fn get(&self, tree: Tree, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.records().get(&(tree, key.to_owned())).cloned())
    }

    fn scan(&self, tree: Tree, from: &str, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        for ((found, key), value) in self.records().range((tree, from.to_owned())..) {
            if *found != tree || !visit(key, value)? {
                break;
            }
        }
        Ok(())
    }

    fn last(&self, tree: Tree) -> Result<Option<(String, Vec<u8>)>, StoreError> {
        let records = self.records();
        let last = records.iter().rfind(|((found, _), _)| *found == tree);
        Ok(last.map(|((_, key), value)| (key.clone(), value.clone())))
    }

    fn write(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let mut records = self.records();
        for Write { tree, key, value } in writes {
            match value {
                Some(value) => drop(records.insert((tree, key), value)),
                None => drop(records.remove(&(tree, key))),
            }
        }
        Ok(())
    }

    fn migrated_from(&self) -> Result<Option<u32>, StoreError> {
        Ok(None)
    }
}
