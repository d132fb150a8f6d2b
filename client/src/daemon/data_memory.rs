//! What the daemon remembers between polls of the data set and of what it has told.

use eosfed_common::data_statement::DataStatement;
use eosfed_common::policy_summary::PolicySummary;

use crate::data_description::DataDescription;

/// What is known of the data set, and what the coordinator knows of it.
#[derive(Debug, Default)]
pub(super) struct DataMemory {
    /// The data set as it was found last.
    pub(super) found: Option<DataDescription>,
    /// The statement that the coordinator has taken since it was greeted.
    pub(super) stated: Option<DataStatement>,
    /// The summary of the policy that the coordinator has answered since it was greeted.
    pub(super) shared: Option<PolicySummary>,
}
