//! What the institution wants to do, and the policy that goes with it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::policy::Approval;

/// The line of each template that a person's answer replaces.
const MANUAL: &str = "approval = \"manual\"";

/// What the institution wants to do in the federation.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    JsonSchema,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Intent {
    /// Train specialists alone, and give the finished ones.
    TrainOwnSpecialists,
    /// Train together with others, round by round.
    JoinRounds,
    /// Train nothing; score the federation's specialists on the imagery here.
    EvaluateOnly,
}

impl Intent {
    /// Its name in files of answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The commented policy for it, with this kind of approval.
    #[must_use]
    pub fn policy(self, approval: Approval) -> String {
        let sample = match self {
            Self::TrainOwnSpecialists => include_str!("../../samples/policies/train-own-specialists.toml"),
            Self::JoinRounds => include_str!("../../samples/policies/join-rounds.toml"),
            Self::EvaluateOnly => include_str!("../../samples/policies/evaluate-only.toml"),
        };
        match approval {
            Approval::Manual => sample.to_owned(),
            Approval::Automatic => sample.replace(MANUAL, "approval = \"automatic\""),
        }
    }
}

/// Where the site policy comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The template of an intent.
    Template(Intent),
    /// A file of the institution's own.
    File(PathBuf),
}

impl Choice {
    /// Reads an answer: the number or the name of an intent, or the path of a policy.
    ///
    /// # Errors
    /// If it is none of them.
    pub fn parse(answer: &str) -> Result<Self, String> {
        let by_number = answer.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let intent = by_number.and_then(|at| Intent::VARIANTS.get(at).copied());
        if let Some(intent) = intent.or_else(|| answer.parse().ok()) {
            return Ok(Self::Template(intent));
        }
        if answer.contains(['/', '.']) {
            return Ok(Self::File(PathBuf::from(answer)));
        }
        let names: Vec<&str> = Intent::VARIANTS.iter().map(|intent| intent.name()).collect();
        Err(format!(
            "expected a number from 1 to {}, {}, or the path of a policy; found `{}`",
            names.len(),
            names.join(", "),
            answer.escape_debug()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Egress, Policy};
    use eosfed_common::plan::{JobKind, StrategyName};

    fn policy(intent: Intent, approval: Approval) -> Policy {
        toml::from_str(&intent.policy(approval)).unwrap()
    }

    #[test]
    fn each_template_allows_what_its_intent_says_and_nothing_else() {
        use Egress::{FrozenWeights, Metrics, Provenance, Statistics, Updates};
        for (intent, kinds, leaves) in [
            (Intent::TrainOwnSpecialists, vec![JobKind::OneShot], vec![FrozenWeights, Metrics, Provenance]),
            (
                Intent::JoinRounds,
                vec![JobKind::Rounds, JobKind::Downstream, JobKind::Statistics],
                vec![Updates, Metrics, Statistics, Provenance],
            ),
            (Intent::EvaluateOnly, vec![JobKind::Evaluation], vec![Metrics]),
        ] {
            let policy = policy(intent, Approval::Manual);
            assert_eq!((policy.allow.job_kinds, policy.may_leave), (kinds, leaves), "{intent:?}");
            assert_eq!(policy.approval, Approval::Manual, "{intent:?}");
            assert!(policy.min_institutions > 1, "{intent:?}");
            assert!(!policy.allow.individual_updates && !policy.allow.warm_start, "{intent:?}");
            let reveal = |strategy: &StrategyName| strategy.may_reveal_individuals();
            assert!(!policy.allow.strategies.iter().any(reveal), "{intent:?}");
        }
    }

    #[test]
    fn a_template_differs_by_the_approval_only() {
        for intent in Intent::VARIANTS {
            let manual = policy(*intent, Approval::Manual);
            let automatic = policy(*intent, Approval::Automatic);
            assert_eq!(automatic.approval, Approval::Automatic, "{intent:?}");
            assert_eq!(Policy { approval: Approval::Manual, ..automatic }, manual, "{intent:?}");
        }
    }

    #[test]
    fn templates_say_in_words_what_leaves() {
        for intent in Intent::VARIANTS {
            let text = intent.policy(Approval::Manual);
            assert!(
                text.contains("# What leaves") && text.contains("# What stays: imagery, labels"),
                "{text}"
            );
            assert!(text.lines().all(|line| line.chars().count() <= 120), "{intent:?}");
        }
    }

    #[test]
    fn an_intent_is_a_number_a_name_or_a_file() {
        assert_eq!(Choice::parse("2"), Ok(Choice::Template(Intent::JoinRounds)));
        assert_eq!(Choice::parse("evaluate-only"), Ok(Choice::Template(Intent::EvaluateOnly)));
        assert_eq!(Choice::parse("./own.toml"), Ok(Choice::File("./own.toml".into())));
        for wrong in ["0", "4", "", "everything", "\u{1b}[2J"] {
            let said = Choice::parse(wrong).unwrap_err();
            assert!(said.contains("train-own-specialists") && !said.contains('\u{1b}'), "{said}");
        }
    }
}
