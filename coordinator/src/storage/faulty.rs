//! A store whose commits fail on demand, for tests.

use std::fmt;
use std::io;
use std::ops::RangeInclusive;

use async_trait::async_trait;
use eosfed_common::ids::JobId;
use eosfed_common::ledger::{Event, EventRef};

use super::{Loaded, Store, StoreError};
use crate::domain::closed::ClosedRound;
use crate::domain::curve::{Curve, CurveId};
use crate::domain::{Change, Federation};

/// The faults of commits.
pub trait Faults: fmt::Debug + Send + Sync + 'static {
    /// Called before a commit, which is made only if this succeeds. It may unwind to simulate the death of
    /// the process.
    ///
    /// # Errors
    /// The error that the commit must return.
    fn before_commit(&self) -> Result<(), StoreError>;

    /// Called after a commit was made and before it returns. It may unwind too.
    fn after_commit(&self) {}
}

/// Wraps another store and injects faults into its commits.
#[derive(Debug, Clone)]
pub struct FaultyStore<S, F> {
    /// The other store.
    pub store: S,
    /// The faults.
    pub faults: F,
}

#[async_trait]
impl<S: Store, F: Faults> Store for FaultyStore<S, F> {
    async fn load(&self) -> Result<Loaded, StoreError> {
        self.store.load().await
    }

    async fn commit(&self, change: &Change, events: &[Event]) -> Result<(), StoreError> {
        self.faults.before_commit()?;
        self.store.commit(change, events).await?;
        self.faults.after_commit();
        Ok(())
    }

    async fn closed_rounds(
        &self,
        job: &JobId,
        rounds: RangeInclusive<u32>,
    ) -> Result<Vec<ClosedRound>, StoreError> {
        self.store.closed_rounds(job, rounds).await
    }

    async fn curve(&self, id: &CurveId) -> Result<Option<Curve>, StoreError> {
        self.store.curve(id).await
    }

    async fn events(&self, from: u64, most: usize) -> Result<Vec<String>, StoreError> {
        self.store.events(from, most).await
    }

    async fn export(
        &self,
        state: &Federation,
        head: Option<EventRef>,
        to: &mut (dyn io::Write + Send),
    ) -> Result<u64, StoreError> {
        self.store.export(state, head, to).await
    }
}
