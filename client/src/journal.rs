//! The journal: one small record of the state of the daemon, written before each step is acted upon.

use crate::site::{JOURNAL, Site, SiteError};
use crate::state::State;

/// Where the daemon's state is kept.
pub trait Journal: Send + Sync + 'static {
    /// What was stored last; the first state if nothing was.
    ///
    /// # Errors
    /// If it cannot be read.
    fn load(&self) -> Result<State, SiteError>;

    /// Stores a state. After an error the previous state is still there, complete.
    ///
    /// # Errors
    /// If it cannot be written.
    fn store(&self, state: &State) -> Result<(), SiteError>;
}

impl Journal for Site {
    fn load(&self) -> Result<State, SiteError> {
        Ok(self.read_json(JOURNAL)?.unwrap_or_default())
    }

    fn store(&self, state: &State) -> Result<(), SiteError> {
        self.write_json(JOURNAL, state)
    }
}
