//! A store that forgets when it is dropped, for tests of what is built on stores.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::{Store, StoreError};
use crate::domain::{Change, Federation};

/// A store in memory. Clones share their contents, as a store that is opened again would.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Federation>>);

#[async_trait]
impl Store for MemoryStore {
    async fn load(&self) -> Result<Federation, StoreError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn commit(&self, change: &Change) -> Result<(), StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).merge(change.clone());
        Ok(())
    }
}
