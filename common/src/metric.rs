//! The metrics that trainers report: the one table of their names, ranges and directions. A metric that
//! is not in the table has no meaning to anybody, so it is neither sent nor admitted.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Largest magnitude of a metric without a bound of its own: far above what is plausible, and small
/// enough that sums and means over any number of institutions are finite.
pub const MAX_MAGNITUDE: f64 = 1e30;
/// A loss is at least 0; its last bits may be lost where it is computed as one minus a 32-bit float.
const ROUNDING: f64 = 1e-3;
/// Name of the training loss.
pub const LOSS: &str = "loss";

/// Which values of a metric are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Scores.
    Larger,
    /// Errors.
    Smaller,
}

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// Its name, or what comes before the slash in `NAME/CLASS`.
    pub name: &'static str,
    /// Whether it is of a single class, and so named `NAME/CLASS`.
    pub of_class: bool,
    /// Smallest value that its definition allows.
    pub least: f64,
    /// Largest value that its definition allows.
    pub most: f64,
    /// Which values are good.
    pub better: Better,
}

const fn score(name: &'static str) -> Metric {
    Metric { name, of_class: false, least: 0.0, most: 1.0, better: Better::Larger }
}

const fn class_score(name: &'static str) -> Metric {
    Metric { of_class: true, ..score(name) }
}

const fn error(name: &'static str) -> Metric {
    Metric { name, of_class: false, least: 0.0, most: MAX_MAGNITUDE, better: Better::Smaller }
}

/// Every metric, as `eosfed-trainer` computes it.
pub const METRICS: [Metric; 10] = [
    score("accuracy"),
    score("miou"),
    score("macro_f1"),
    score("map"),
    class_score("iou"),
    class_score("average_precision"),
    error("rmse"),
    error("mae"),
    Metric { least: -MAX_MAGNITUDE, ..score("r2") },
    Metric { least: -ROUNDING, ..error(LOSS) },
];

/// The metrics that say most, the most important one first.
pub const MAIN: [&str; 6] = ["map", "rmse", "r2", "miou", "macro_f1", "accuracy"];

/// The most important of the given metrics.
#[must_use]
pub fn main_of<T>(metrics: &BTreeMap<String, T>) -> Option<&'static str> {
    MAIN.into_iter().find(|name| metrics.contains_key(*name))
}

/// The name of a quantity with its unit, which may be empty: `canopy height (m)`.
#[must_use]
pub fn quantity(name: &str, unit: &str) -> String {
    if unit.is_empty() { name.to_owned() } else { format!("{name} ({unit})") }
}

/// Whether a metric is in the unit of a regression's target: errors are, but for the loss, which is of scaled targets.
#[must_use]
pub fn in_unit_of_target(name: &str) -> bool {
    Metric::named(name).is_some_and(|metric| metric.better == Better::Smaller && metric.name != LOSS)
}

/// Why a metric is not admitted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BadMetric {
    /// It is not in the table.
    #[error("metric `{name}` is unknown; this version knows {}", known())]
    Unknown {
        /// Its name, escaped and cut.
        name: String,
    },
    /// Its value is outside of what its definition allows.
    #[error("metric `{name}` must be between {least:?} and {most:?} by its definition, found `{found:?}`")]
    Range {
        /// Its name, escaped and cut.
        name: String,
        /// The least that it can be.
        least: f64,
        /// The most that it can be.
        most: f64,
        /// The value.
        found: f64,
    },
}

fn known() -> String {
    let name = |metric: &Metric| {
        let class = if metric.of_class { "/CLASS" } else { "" };
        format!("`{}{class}`", metric.name)
    };
    METRICS.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// Longest name that is repeated to people, in characters.
const MAX_SHOWN: usize = 80;

impl Metric {
    /// The metric of this name, such as `miou` or `iou/water`.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        let (head, class) = name.split_once('/').map_or((name, None), |(head, class)| (head, Some(class)));
        let fits = |metric: &&Self| {
            metric.name == head
                && metric.of_class == class.is_some()
                && class.is_none_or(|class| !class.is_empty())
        };
        METRICS.iter().find(fits)
    }

    /// The values that its definition allows.
    #[must_use]
    pub const fn range(&self) -> RangeInclusive<f64> {
        self.least..=self.most
    }
}

/// Checks a metric against the table.
///
/// # Errors
/// The rule that is broken, with the name and the value found.
pub fn check(name: &str, value: f64) -> Result<(), BadMetric> {
    let shown = || name.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect();
    let Some(metric) = Metric::named(name) else { return Err(BadMetric::Unknown { name: shown() }) };
    if metric.range().contains(&value) {
        return Ok(());
    }
    Err(BadMetric::Range { name: shown(), least: metric.least, most: metric.most, found: value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn errors_are_in_the_unit_of_the_target_and_scores_are_not() {
        let with_unit: Vec<_> =
            METRICS.iter().map(|one| one.name).filter(|name| in_unit_of_target(name)).collect();
        assert_eq!(with_unit, ["rmse", "mae"]);
        assert!(!in_unit_of_target("iou/water") && !in_unit_of_target("unknown") && !in_unit_of_target(""));
        assert_eq!([quantity("rmse", "m"), quantity("rmse", "")], ["rmse (m)", "rmse"]);
    }

    #[test]
    fn metrics_have_the_range_of_their_definition() {
        for (name, value) in [
            ("accuracy", 1.0),
            ("miou", 0.0),
            ("iou/water", 0.5),
            ("iou/a/b", 0.5),
            ("average_precision/forest", 1.0),
            ("rmse", 1e9),
            ("r2", -3.0),
            ("loss", -1e-7),
        ] {
            assert_eq!(check(name, value), Ok(()), "{name}");
        }
        for (name, value) in [
            ("accuracy", -1e9),
            ("accuracy", 1.000_001),
            ("miou", 1e308),
            ("iou/water", 2.0),
            ("rmse", -0.1),
            ("rmse", 1e31),
            ("mae", f64::INFINITY),
            ("r2", 1.5),
            ("loss", -1.0),
            ("map", f64::NAN),
        ] {
            let said = check(name, value).unwrap_err().to_string();
            assert!(said.contains(name) && said.contains(&format!("`{value:?}`")), "{said}");
        }
    }

    #[test]
    fn the_main_metric_of_a_task_is_the_first_that_is_there() {
        use crate::model::Task;

        assert!(MAIN.iter().all(|name| Metric::named(name).is_some()));
        let of = |names: &[&str]| main_of(&names.iter().map(|name| ((*name).to_owned(), 0.5)).collect());
        assert_eq!(
            (of(&["accuracy", "miou", "iou/water"]), of(&["loss"]), of(&[])),
            (Some("miou"), None, None)
        );
        // Each task reports its own main metric beside others, and that one is found.
        for (task, others) in [
            (Task::Classification, &["accuracy"][..]),
            (Task::Multilabel, &["macro_f1"]),
            (Task::Segmentation, &["accuracy"]),
            (Task::Regression, &["mae", "r2"]),
        ] {
            let mut names = others.to_vec();
            names.push(task.main_metric());
            assert_eq!(of(&names), Some(task.main_metric()));
        }
    }

    #[test]
    fn unknown_names_are_refused_and_shown_escaped() {
        for name in ["", "iou", "iou/", "accuracy/water", "recall", "\u{1b}[2J", &"m".repeat(5000)] {
            let said = check(name, 0.5).unwrap_err().to_string();
            assert!(
                said.contains("is unknown") && said.contains("`iou/CLASS`") && said.len() < 400,
                "{said}"
            );
            assert!(!said.contains('\u{1b}'));
        }
    }

    proptest! {
        #[test]
        fn what_is_admitted_lies_in_the_table(at in 0..METRICS.len(), value: f64) {
            let metric = METRICS[at];
            let name = if metric.of_class { format!("{}/x", metric.name) } else { metric.name.to_owned() };
            let inside = metric.least <= value && value <= metric.most;
            prop_assert_eq!(check(&name, value).is_ok(), inside);
        }
    }
}
