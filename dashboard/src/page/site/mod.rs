//! The pages of an institution, made from its own state folder and site log. They show its side: what was asked,
//! what was decided, what has left, and what is left of its budgets.

mod budgets;
mod entries;
mod entry;
mod left;
mod overview;
mod policy;

use crate::layout::NavEntry;

pub use budgets::{BudgetsPage, JobUse, LimitUse, PrivacyDataSet, PrivacyJob, PrivacyUse, budgets};
pub use entries::{About, EntriesPage, EntryFilter, SiteEntry, SiteLine, decisions, log};
pub use entry::{EntryPage, entry};
pub use left::{Kept, Left, LeftPage, left};
pub use overview::{DataSetLine, DeviceWork, SiteOverview, WorkInHand, overview};
pub use policy::{DataSetPolicy, PolicyPage, policy};

/// The addresses of an institution's pages.
pub mod path {
    /// What the daemon does, and the newest of everything.
    pub const OVERVIEW: &str = "/";
    /// What was asked and decided.
    pub const DECISIONS: &str = "/decisions";
    /// What has left.
    pub const LEFT: &str = "/left";
    /// What is used of privacy and limits.
    pub const BUDGETS: &str = "/budgets";
    /// The site policy in words.
    pub const POLICY: &str = "/policy";
    /// The whole site log; `/log/NUMBER` is one entry.
    pub const LOG: &str = "/log";
    /// Files that have left and are still here; `/kept/NUMBER` is the file of an entry.
    pub const KEPT: &str = "/kept";
}

/// The navigation of the institution's pages.
#[must_use]
pub fn nav() -> Vec<NavEntry> {
    let entries = [
        (path::OVERVIEW, "Overview"),
        (path::DECISIONS, "Decisions"),
        (path::LEFT, "What has left"),
        (path::BUDGETS, "Budgets"),
        (path::POLICY, "Policy"),
        (path::LOG, "Site log"),
    ];
    entries.into_iter().map(|(path, label)| NavEntry { path, label }).collect()
}
