//! The pages of the coordinator, each a function of the frame and of views; [`site`] has those of an institution.

mod ablation;
mod energy;
mod events;
mod institutions;
mod job;
mod jobs;
mod lineage;
mod message;
mod overview;
mod releases;
mod round;
mod scores;
pub mod site;
mod specialists;
mod storage;

use crate::layout::NavEntry;

pub use crate::parts::Pager;
pub use energy::{EnergyPage, energy};
pub use events::{EventFilter, EventLine, EventsPage, events};
pub use institutions::{InstitutionPage, institution, institutions};
pub use job::{JobPage, job};
pub use jobs::{JobsPage, jobs};
pub use lineage::{Lineage, lineage};
pub use message::{Message, message};
pub use overview::overview;
pub use releases::{HeadOver, ReleasePage, release, releases};
pub use round::{RoundPage, round};
pub use scores::{ScoreRow, ScoresPage, scores};
pub use specialists::{SpecialistPage, specialist, specialists};
pub use storage::{StoragePage, storage};

/// The addresses of the coordinator's pages.
pub mod path {
    /// What runs, what waits, what is wrong.
    pub const OVERVIEW: &str = "/";
    /// Institutions.
    pub const INSTITUTIONS: &str = "/institutions";
    /// Jobs.
    pub const JOBS: &str = "/jobs";
    /// Specialists.
    pub const SPECIALISTS: &str = "/specialists";
    /// The matrix of scores.
    pub const SCORES: &str = "/scores";
    /// Where specialists came from.
    pub const LINEAGE: &str = "/lineage";
    /// Releases.
    pub const RELEASES: &str = "/releases";
    /// Energy.
    pub const ENERGY: &str = "/energy";
    /// The event log.
    pub const EVENTS: &str = "/events";
    /// Storage and retention.
    pub const STORAGE: &str = "/storage";
    /// The stream of changes.
    pub const LIVE: &str = "/live";
    /// Where a session begins, with a token.
    pub const LOGIN: &str = "/login";
    /// Where a session ends.
    pub const LOGOUT: &str = "/logout";
}

/// The navigation of an operator.
#[must_use]
pub fn operator_nav() -> Vec<NavEntry> {
    let operators =
        [(path::OVERVIEW, "Overview"), (path::INSTITUTIONS, "Institutions"), (path::JOBS, "Jobs")];
    let more = [
        (path::SCORES, "Scores"),
        (path::LINEAGE, "Lineage"),
        (path::ENERGY, "Energy"),
        (path::EVENTS, "Event log"),
        (path::STORAGE, "Storage"),
    ];
    let shared = [(path::SPECIALISTS, "Specialists"), (path::RELEASES, "Releases")];
    let entries = operators.into_iter().chain(shared).chain(more);
    entries.map(|(path, label)| NavEntry { path, label }).collect()
}

/// The navigation of a reader, who sees what is released.
#[must_use]
pub fn reader_nav() -> Vec<NavEntry> {
    let entries = [(path::RELEASES, "Releases"), (path::SPECIALISTS, "Specialists"), (path::JOBS, "Jobs")];
    entries.into_iter().map(|(path, label)| NavEntry { path, label }).collect()
}
