//! What institutions share of their policies.

use eosfed_common::policy_summary::{MAX_POLICY_WORDS, PolicySummary, SignedPolicySummary};
use eosfed_proto::v1;

use super::{Wire, WireError, parse, required, words};

impl Wire for PolicySummary {
    type Message = v1::PolicySummary;

    fn from_message(message: v1::PolicySummary) -> Result<Self, WireError> {
        let v1::PolicySummary {
            institution,
            job_kinds,
            tasks,
            backbones,
            strategies,
            may_leave,
            individual_updates,
            warm_start,
            min_institutions,
            max_epochs,
            manual_approval,
            noise,
            encodings,
        } = message;
        Ok(Self {
            institution: parse("institution", &institution)?,
            job_kinds: words("job_kinds", MAX_POLICY_WORDS, job_kinds)?,
            tasks: words("tasks", MAX_POLICY_WORDS, tasks)?,
            backbones: words("backbones", MAX_POLICY_WORDS, backbones)?,
            strategies: words("strategies", MAX_POLICY_WORDS, strategies)?,
            may_leave: words("may_leave", MAX_POLICY_WORDS, may_leave)?,
            individual_updates,
            warm_start,
            min_institutions,
            max_epochs,
            manual_approval,
            noise,
            encodings: words("encodings", MAX_POLICY_WORDS, encodings)?,
        })
    }

    fn into_message(self) -> v1::PolicySummary {
        let Self {
            institution,
            job_kinds,
            tasks,
            backbones,
            strategies,
            may_leave,
            individual_updates,
            warm_start,
            min_institutions,
            max_epochs,
            manual_approval,
            noise,
            encodings,
        } = self;
        v1::PolicySummary {
            institution: institution.to_string(),
            job_kinds,
            tasks,
            backbones,
            strategies,
            may_leave,
            individual_updates,
            warm_start,
            min_institutions,
            max_epochs,
            manual_approval,
            noise,
            encodings,
        }
    }
}

impl Wire for SignedPolicySummary {
    type Message = v1::SharePolicyRequest;

    fn from_message(message: v1::SharePolicyRequest) -> Result<Self, WireError> {
        let v1::SharePolicyRequest { summary, signature } = message;
        Ok(Self {
            summary: PolicySummary::from_message(required("summary", summary)?)?,
            signature: parse("signature", &signature)?,
        })
    }

    fn into_message(self) -> v1::SharePolicyRequest {
        let Self { summary, signature } = self;
        v1::SharePolicyRequest { summary: Some(summary.into_message()), signature: signature.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use eosfed_common::printable::MAX_WORD;
    use eosfed_testkit::policy_summaries::{signed, summary};

    use super::*;

    #[test]
    fn a_summary_survives_the_wire() {
        let shared = signed("west", 100);
        assert_eq!(SignedPolicySummary::from_message(shared.clone().into_message()), Ok(shared));
    }

    #[test]
    fn each_list_and_word_has_a_bound() {
        type List = fn(&mut v1::PolicySummary) -> &mut Vec<String>;
        let lists: [(&str, List); 6] = [
            ("job_kinds", |message| &mut message.job_kinds),
            ("tasks", |message| &mut message.tasks),
            ("backbones", |message| &mut message.backbones),
            ("strategies", |message| &mut message.strategies),
            ("may_leave", |message| &mut message.may_leave),
            ("encodings", |message| &mut message.encodings),
        ];
        for (field, list) in lists {
            let too_many = vec!["w".to_owned(); MAX_POLICY_WORDS + 1];
            for bad in [too_many, vec!["w".repeat(MAX_WORD + 1)], vec![String::new()]] {
                let mut message = summary("west", 100).into_message();
                *list(&mut message) = bad;
                assert_eq!(PolicySummary::from_message(message).unwrap_err().field, field);
            }
        }
    }
}
