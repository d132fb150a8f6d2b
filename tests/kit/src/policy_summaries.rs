//! What institutions share of their policies.

use eosfed_common::policy_summary::{PolicySummary, SignedPolicySummary};

use crate::signing;

/// The summary of a policy that allows joint training with so many epochs.
#[must_use]
pub fn summary(institution: &str, max_epochs: u32) -> PolicySummary {
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
    PolicySummary {
        institution: institution.parse().unwrap(),
        job_kinds: words(&["rounds"]),
        tasks: words(&["classification", "segmentation"]),
        backbones: words(&["convnextv2_atto"]),
        strategies: words(&["fed-avg", "median"]),
        may_leave: words(&["updates", "policy_summary"]),
        individual_updates: false,
        warm_start: false,
        min_institutions: 3,
        max_epochs,
        manual_approval: true,
        noise: false,
        encodings: words(&["int8", "f32"]),
    }
}

/// The same, with its signature.
#[must_use]
pub fn signed(institution: &str, max_epochs: u32) -> SignedPolicySummary {
    SignedPolicySummary::new(summary(institution, max_epochs), &signing::institution(institution))
}
