//! What scores were computed on, and how sure they are.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumCount, VariantArray};

use crate::finite::Finite;
use crate::metric;

/// The part of an institution's data set that scores are of.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, EnumCount, VariantArray, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ScoredPart {
    /// The part that also chooses the best epoch, so that scores are a little too good.
    Validation,
    /// The part that nothing was learned from and nothing was chosen on.
    Test,
}

/// Where a score lies with a probability of 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// The lower end.
    pub low: Finite,
    /// The upper end.
    pub high: Finite,
}

/// How scores were made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scoring {
    /// The part of the data sets.
    pub part: ScoredPart,
    /// The number of samples that were scored.
    pub samples: u64,
    /// The interval of each score, by a bootstrap over samples; empty where the part is large, and for means over
    /// institutions. It takes samples as independent: where tiles of one scene are alike, it is too narrow.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub intervals: BTreeMap<String, Interval>,
    /// The scores of the validation part, which has chosen the weights; empty if it is the part that is scored.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub chosen_on: BTreeMap<String, Finite>,
}

impl Scoring {
    /// Checks it against the scores that it is about.
    ///
    /// # Errors
    /// A sentence with the rule and the value found.
    pub fn check(&self, scores: &BTreeMap<String, Finite>) -> Result<(), String> {
        for (name, Interval { low, high }) in &self.intervals {
            if !scores.contains_key(name) {
                return Err(format!(
                    "intervals are of scores that are given, found `{}`",
                    name.escape_debug()
                ));
            }
            for end in [low, high] {
                metric::check(name, end.get()).map_err(|error| error.to_string())?;
            }
            if low > high {
                return Err(format!("an interval has its lower end first, found `{low}` and `{high}`"));
            }
        }
        for (name, value) in &self.chosen_on {
            metric::check(name, value.get()).map_err(|error| error.to_string())?;
        }
        if self.part == ScoredPart::Validation && !self.chosen_on.is_empty() {
            return Err(
                "`chosen_on` is for scores of the test part, found scores of the validation part".into()
            );
        }
        Ok(())
    }

    /// A score as people read it: `0.810 [0.740, 0.870]`, or without an interval `0.810`.
    #[must_use]
    pub fn shown(scoring: Option<&Self>, name: &str, value: Finite) -> String {
        match scoring.and_then(|scoring| scoring.intervals.get(name)) {
            Some(Interval { low, high }) => format!("{value:.3} [{low:.3}, {high:.3}]"),
            None => format!("{value:.3}"),
        }
    }

    /// What the scores are of, in words.
    #[must_use]
    pub fn words(&self) -> String {
        let n = self.samples;
        match self.part {
            ScoredPart::Test => format!("test part, n = {n}"),
            ScoredPart::Validation => format!("validation part, which also chooses the epoch, n = {n}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scoring(name: &str, low: f64, high: f64) -> Scoring {
        let interval = Interval { low: Finite::literal(low), high: Finite::literal(high) };
        Scoring {
            part: ScoredPart::Test,
            samples: 52,
            intervals: [(name.to_owned(), interval)].into(),
            chosen_on: [("miou".to_owned(), Finite::literal(0.9))].into(),
        }
    }

    #[test]
    fn intervals_belong_to_scores_and_stay_in_their_range() {
        let scores = [("miou".to_owned(), Finite::literal(0.81))].into();
        assert_eq!(scoring("miou", 0.74, 0.87).check(&scores), Ok(()));
        for (wrong, words) in [
            (scoring("accuracy", 0.1, 0.2), "scores that are given"),
            (scoring("miou", 0.9, 0.8), "lower end first"),
            (scoring("miou", 0.1, 1.5), "between 0.0 and 1.0"),
            (Scoring { part: ScoredPart::Validation, ..scoring("miou", 0.1, 0.5) }, "`chosen_on`"),
        ] {
            let said = wrong.check(&scores).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn a_score_is_shown_with_its_interval() {
        let one = scoring("miou", 0.74, 0.87);
        assert_eq!(Scoring::shown(Some(&one), "miou", Finite::literal(0.81)), "0.810 [0.740, 0.870]");
        assert_eq!(Scoring::shown(Some(&one), "accuracy", Finite::literal(0.81)), "0.810");
        assert_eq!(one.words(), "test part, n = 52");
        let chosen = Scoring { part: ScoredPart::Validation, ..one };
        assert_eq!(chosen.words(), "validation part, which also chooses the epoch, n = 52");
    }
}
