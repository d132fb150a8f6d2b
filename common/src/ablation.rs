//! What each specialist contributes to a head over a release: the score of the head with all specialists, and
//! without each of them. `eosfed-trainer ensemble ablate` writes it as a file, and an operator hands it to the
//! coordinator, beside the release.

mod file;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::finite::Finite;
use crate::head::MAX_ENCODERS;
use crate::ids::ReleaseNumber;
use crate::metric::{self, Better, Metric};
use crate::model::Task;
use crate::plan::MAX_SAMPLES;
use crate::printable::{MAX_NAME, MAX_WORD, Printable};
use crate::scoring::ScoredPart;

pub use file::{AblationFile, FileEntry, NotAnAblation};

/// Most specialists in one ablation: a head has no more encoders.
pub const MAX_ABLATED: usize = MAX_ENCODERS;

/// The scores of one head over a release, with all its specialists and without each of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ablation {
    /// The release under the head.
    pub release: ReleaseNumber,
    /// The name of the head. A release has one ablation with each name.
    pub head: String,
    /// What the head predicts.
    pub task: Task,
    /// The part of the labelled samples that was scored.
    pub part: ScoredPart,
    /// The number of samples that were scored.
    pub samples: u64,
    /// The name of the metric, of the table in [`crate::metric`].
    pub metric: String,
    /// The unit of the metric, for an error in the units of a target; else empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// The score with all specialists.
    pub all: Finite,
    /// The score without each specialist that the head has.
    pub without: Vec<Without>,
}

/// The score of a head without one specialist.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Without {
    /// The digest of the specialist's weights.
    pub weights: Digest,
    /// The factor of its maps in the head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<Finite>,
    /// The score without it.
    pub score: Finite,
}

impl Ablation {
    /// Checks everything that can be checked without the release.
    ///
    /// # Errors
    /// A sentence with the field, the rule and the value found.
    pub fn check(&self) -> Result<(), String> {
        let Self { release: _, head, task: _, part: _, samples, metric, unit, all, without } = self;
        Printable::parse(head, 1..=MAX_NAME).map_err(|rule| format!("`head` must be a name of {rule}"))?;
        Printable::parse(unit, 0..=MAX_WORD).map_err(|rule| format!("`unit` must be a word of {rule}"))?;
        if !(1..=MAX_SAMPLES).contains(samples) {
            return Err(format!("`samples` must be between 1 and {MAX_SAMPLES}, found `{samples}`"));
        }
        if !(1..=MAX_ABLATED).contains(&without.len()) {
            let found = without.len();
            return Err(format!("`without` must have 1 to {MAX_ABLATED} specialists, found `{found}`"));
        }
        if !unit.is_empty() && self.better() == Some(Better::Larger) {
            return Err(format!("`unit` must be empty for the score `{metric}`, found `{unit}`"));
        }
        let mut known = BTreeSet::new();
        for Without { weights, .. } in without {
            if !known.insert(weights) {
                return Err(format!("`without` must have each specialist once, found {weights} twice"));
            }
        }
        let scores = without.iter().map(|one| one.score);
        [*all]
            .into_iter()
            .chain(scores)
            .try_for_each(|score| metric::check(metric, score.get()).map_err(|error| error.to_string()))
    }

    /// Which values of the metric are good; `None` for an unknown metric.
    #[must_use]
    pub fn better(&self) -> Option<Better> {
        Metric::named(&self.metric).map(|metric| metric.better)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::MAX_SAMPLES;

    pub(super) fn ablation() -> Ablation {
        let without = |content: &[u8], score| Without {
            weights: Digest::of(content),
            selection: Some(Finite::literal(0.25)),
            score: Finite::literal(score),
        };
        Ablation {
            release: ReleaseNumber(3),
            head: "top5".to_owned(),
            task: Task::Segmentation,
            part: ScoredPart::Test,
            samples: 40,
            metric: "miou".to_owned(),
            unit: String::new(),
            all: Finite::literal(0.8),
            without: vec![without(b"a", 0.5), without(b"b", 0.82)],
        }
    }

    #[test]
    fn each_rule_is_held_and_named_with_the_value_found() {
        assert_eq!(ablation().check(), Ok(()));
        let rmse = Ablation { metric: "rmse".to_owned(), unit: "t/ha".to_owned(), ..ablation() };
        assert_eq!(rmse.check(), Ok(()));
        type Break = fn(&mut Ablation);
        let broken: [(&str, Break); 10] = [
            ("`head` must be", |one| one.head.clear()),
            ("`head` must be", |one| one.head = "a\u{1b}[2J".to_owned()),
            ("`head` must be", |one| one.head = "h".repeat(MAX_NAME + 1)),
            ("found `0`", |one| one.samples = 0),
            ("found `1000000000001`", |one| one.samples = MAX_SAMPLES + 1),
            ("found `t/ha`", |one| one.unit = "t/ha".to_owned()),
            ("1 to 256 specialists, found `0`", |one| one.without.clear()),
            ("twice", |one| one.without[1].weights = one.without[0].weights),
            ("`recall` is unknown", |one| one.metric = "recall".to_owned()),
            ("found `1.5`", |one| one.without[1].score = Finite::literal(1.5)),
        ];
        for (needed, change) in broken {
            let mut one = ablation();
            change(&mut one);
            let said = one.check().unwrap_err();
            assert!(said.contains(needed), "{said}");
        }
        let without: Vec<_> = (0..=MAX_ABLATED as u64)
            .map(|at| Without { weights: Digest::of(&at.to_le_bytes()), ..ablation().without[0].clone() })
            .collect();
        let said = Ablation { without, ..ablation() }.check().unwrap_err();
        assert!(said.contains("found `257`"), "{said}");
    }
}
