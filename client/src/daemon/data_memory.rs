//! What the daemon remembers between polls of the data set and of what it has told.

use std::collections::BTreeMap;

use eosfed_common::clock::Timestamp;
use eosfed_common::data_statement::DataStatement;
use eosfed_common::ids::DataSetName;
use eosfed_common::policy_summary::PolicySummary;

use crate::data_description::DataDescription;

/// A greeting that the coordinator has answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Greeted {
    /// When the certificate ends with which it was made.
    pub(super) until: Timestamp,
    /// Whether the coordinator takes points of the curve with an update.
    pub(super) takes_points: bool,
}

/// What is known of the data set, and what the coordinator knows of it.
#[derive(Debug, Default)]
pub(super) struct DataMemory {
    /// How the coordinator was greeted last; nothing when it has to be greeted again.
    pub(super) greeted: Option<Greeted>,
    /// The data sets as they were found last, by their names.
    pub(super) found: BTreeMap<Option<DataSetName>, DataDescription>,
    /// The statement that the coordinator has taken since it was greeted.
    pub(super) stated: Option<DataStatement>,
    /// The summary of the policy that the coordinator has answered since it was greeted.
    pub(super) shared: Option<PolicySummary>,
}
