//! The kinds of jobs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

/// The kind of a job. Its name is the same in plans, policies, messages and tables.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum JobKind {
    /// Each institution trains its own specialist to the end and sends its frozen weights.
    OneShot,
    /// Institutions train one specialist together; each sends updates, which are aggregated.
    Rounds,
    /// Institutions train one head over the frozen specialists of a release, in rounds; only the weights of
    /// the head are sent.
    Downstream,
    /// Institutions score frozen specialists on their imagery; only metrics are sent.
    Evaluation,
    /// Institutions measure the bands of their imagery; the moments are pooled, and nothing is trained.
    Statistics,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_the_same_name_everywhere() {
        for kind in JobKind::VARIANTS {
            let word = kind.to_string();
            assert_eq!(word.parse(), Ok(*kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), word.as_str());
        }
        assert_eq!(format!("{:>10}", JobKind::OneShot), "  one-shot", "it can be aligned in tables");
    }
}
