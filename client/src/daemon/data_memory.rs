//! What the daemon remembers of the data set between polls.

use eosfed_common::data_statement::DataStatement;

use crate::data_description::DataDescription;

/// What is known of the data set, and what the coordinator knows of it.
#[derive(Debug, Default)]
pub(super) struct DataMemory {
    /// The data set as it was found last.
    pub(super) found: Option<DataDescription>,
    /// The statement that the coordinator has taken since it was greeted.
    pub(super) stated: Option<DataStatement>,
}
