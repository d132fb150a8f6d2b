//! What an institution tells of its site policy, as far as it shares that. Nothing is decided by it: the policy
//! itself decides, at the institution.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::InstitutionName;
use crate::signing::{KeySignature, SigningKey, Statement};
use crate::weights::Encoding;

/// Most words in each list of a [`PolicySummary`].
pub const MAX_POLICY_WORDS: usize = 64;

/// In the place of encodings, where a policy allows none.
pub const NO_ENCODING: &str = "none";

/// What an institution tells of its site policy. An empty list allows nothing of its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicySummary {
    /// Whose policy it is.
    pub institution: InstitutionName,
    /// The kinds of job that it allows.
    pub job_kinds: Vec<String>,
    /// The tasks.
    pub tasks: Vec<String>,
    /// The encoders.
    pub backbones: Vec<String>,
    /// The strategies of federated rounds.
    pub strategies: Vec<String>,
    /// The words of `may_leave`.
    pub may_leave: Vec<String>,
    /// Whether a strategy may publish the update of this institution alone.
    pub individual_updates: bool,
    /// Whether a one-shot job may start from weights that the coordinator sends.
    pub warm_start: bool,
    /// Fewest institutions in an aggregate.
    pub min_institutions: u32,
    /// Most epochs in one assignment.
    pub max_epochs: u32,
    /// Whether a person approves each job.
    pub manual_approval: bool,
    /// Whether updates of federated training are clipped and get noise.
    pub noise: bool,
    /// How updates of federated rounds may be encoded, or `none`. Empty: as `f32` alone, as all policies of before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encodings: Vec<String>,
}

impl PolicySummary {
    /// How updates may be encoded, as people read it.
    #[must_use]
    pub fn encodings_in_words(&self) -> String {
        if self.encodings.is_empty() { Encoding::F32.name().to_owned() } else { self.encodings.join(", ") }
    }
}

impl Statement for PolicySummary {
    const KIND: &'static str = "policy-summary";

    fn content(&self) -> Value {
        serde_json::to_value(self).expect("a summary is plain data")
    }
}

/// A summary of a policy with the signature of its institution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedPolicySummary {
    /// The summary.
    pub summary: PolicySummary,
    /// The institution's signature.
    pub signature: KeySignature,
}

impl SignedPolicySummary {
    /// Signs a summary.
    #[must_use]
    pub fn new(summary: PolicySummary, key: &SigningKey) -> Self {
        let signature = key.sign(&summary);
        Self { summary, signature }
    }
}
