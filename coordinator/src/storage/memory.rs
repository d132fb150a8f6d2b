//! A store that forgets when it is dropped, for tests of what is built on stores.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Store, StoreError};
use crate::domain::{Change, Federation};

/// A store in memory. Clones share their contents, as a store that is opened again would.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Federation>>);

impl Store for MemoryStore {
    fn load(&self) -> Result<Federation, StoreError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn commit(&self, change: &Change) -> Result<(), StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).merge(change.clone());
        Ok(())
    }
}
