//! What a policy lets be told of itself.

use std::fmt::Display;

use eosfed_common::ids::InstitutionName;
use eosfed_common::policy_summary::{NO_ENCODING, PolicySummary};
use eosfed_common::weights::Encoding;

use super::{Approval, Egress, Policy};

impl Policy {
    /// What the coordinator is told of the policy, if it has the word. The hours, the limits of a job and of a
    /// day, the least numbers of samples and steps, and the numbers of the privacy budget are not in it.
    #[must_use]
    pub fn summary(&self, institution: &InstitutionName) -> Option<PolicySummary> {
        let allow = &self.allow;
        self.allows(Egress::PolicySummary).then(|| PolicySummary {
            institution: institution.clone(),
            job_kinds: words(&allow.job_kinds),
            tasks: words(&allow.tasks),
            backbones: words(&allow.backbones),
            strategies: words(&allow.strategies),
            may_leave: unique(self.may_leave.iter().map(|word| word.name().to_owned())),
            individual_updates: allow.individual_updates,
            warm_start: allow.warm_start,
            min_institutions: self.min_institutions,
            max_epochs: self.max_epochs,
            manual_approval: self.approval == Approval::Manual,
            noise: self.privacy.is_some(),
            encodings: match allow.encodings.as_slice() {
                [] => vec![NO_ENCODING.to_owned()],
                // As before there were others: a coordinator of before knows no other summary.
                [Encoding::F32] => Vec::new(),
                encodings => words(encodings),
            },
        })
    }
}

fn words<T: Display>(list: &[T]) -> Vec<String> {
    unique(list.iter().map(ToString::to_string))
}

/// Each word once: a file may repeat them, and the message has a bound.
fn unique(list: impl Iterator<Item = String>) -> Vec<String> {
    let mut words = Vec::new();
    for word in list {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::permissive;

    #[test]
    fn encodings_are_told_unless_they_are_those_of_before() {
        let told = |encodings: &[Encoding]| {
            let mut policy = permissive();
            policy.may_leave.push(Egress::PolicySummary);
            policy.allow.encodings = encodings.to_vec();
            policy.summary(&"west".parse().unwrap()).unwrap()
        };
        assert_eq!(told(&[Encoding::Int8, Encoding::F32, Encoding::Int8]).encodings, ["int8", "f32"]);
        let plain = told(&[Encoding::F32]);
        assert_eq!(
            (plain.encodings.as_slice(), plain.encodings_in_words().as_str()),
            (&[] as &[String], "f32")
        );
        assert!(
            !serde_json::to_string(&plain).unwrap().contains("encodings"),
            "its statement has the old bytes"
        );
        assert_eq!(told(&[]).encodings_in_words(), NO_ENCODING);
    }
}
