//! The journal: one small record of the state of the daemon, written before each step is acted upon.

use std::path::PathBuf;

use crate::settings::MAX_DEVICES as MAX_LANES;
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

/// The journal of one lane of the daemon, a file of the state folder.
#[derive(Debug, Clone)]
pub struct SiteJournal {
    site: Site,
    lane: usize,
}

impl SiteJournal {
    /// The journal of a lane, counted from 0.
    #[must_use]
    pub fn of(site: &Site, lane: usize) -> Self {
        Self { site: site.clone(), lane }
    }

    /// The journals that there are, at most [`MAX_LANES`], and that of the first lane in any case.
    #[must_use]
    pub fn all(site: &Site) -> Vec<Self> {
        let journals = (0..MAX_LANES).map(|lane| Self::of(site, lane));
        journals.filter(|one| one.lane == 0 || one.path().exists()).collect()
    }

    /// The number of its lane.
    #[must_use]
    pub const fn lane(&self) -> usize {
        self.lane
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.site.path().join(self.name())
    }

    /// The first lane's has the name that it had when there was only one.
    fn name(&self) -> String {
        if self.lane == 0 { JOURNAL.to_owned() } else { format!("journal-{}.json", self.lane + 1) }
    }
}

impl Journal for SiteJournal {
    fn load(&self) -> Result<State, SiteError> {
        Ok(self.site.read_json(&self.name())?.unwrap_or_default())
    }

    fn store(&self, state: &State) -> Result<(), SiteError> {
        self.site.write_json(&self.name(), state)
    }
}
