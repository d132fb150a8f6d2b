//! Scores of weights that are kept, with what they are of and how sure they are.

use std::collections::BTreeMap;

use eosfed_common::assignment::MAX_METRICS;
use eosfed_common::finite::Finite;
use eosfed_common::scoring::{Interval, ScoredPart, Scoring};
use eosfed_data::{DataError, Split};
use tch::Tensor;

use super::samples::Samples;
use super::tally::Tally;
use super::train_loop::predict;
use crate::metrics::{Bootstrap, MetricSpec, SMALL, Scores};

/// The scores of a part.
#[derive(Debug)]
pub(super) struct Scored {
    scores: Scores,
    samples: usize,
    intervals: BTreeMap<String, Interval>,
}

impl Scored {
    /// Predicts all samples and scores the predictions; small parts also one by one.
    ///
    /// # Errors
    /// If a sample cannot be read.
    pub(super) fn of(
        forward: &dyn Fn(&Tensor, bool) -> Tensor,
        data: &dyn Samples,
        spec: MetricSpec,
        batch_size: usize,
    ) -> Result<Self, DataError> {
        let mut tally = Tally::new(spec);
        let mut bootstrap = (data.len() <= SMALL).then(|| Bootstrap::new(spec));
        let mut add = |labels: &Tensor, outputs: &Tensor| {
            tally.add(labels, outputs);
            if let Some(bootstrap) = &mut bootstrap {
                bootstrap.add(labels, outputs);
            }
        };
        predict(forward, data, spec, batch_size, &mut add)?;
        let intervals = bootstrap.map(|bootstrap| bootstrap.intervals()).unwrap_or_default();
        Ok(Self { scores: tally.finish(), samples: data.len(), intervals })
    }

    /// The scores by name, and those of each of the classes.
    pub(super) fn metrics(&self, classes: &[String]) -> BTreeMap<String, Finite> {
        final_metrics(classes, &self.scores)
    }

    /// What they are of.
    pub(super) fn scoring(self, part: Split) -> Scoring {
        let part = match part {
            Split::Train | Split::Validation => ScoredPart::Validation,
            Split::Test => ScoredPart::Test,
        };
        let Self { scores: _, samples, intervals } = self;
        Scoring { part, samples: samples as u64, intervals, chosen_on: BTreeMap::new() }
    }
}

/// The scores, and those of each class as `NAME/CLASS` if the number of metrics stays within its limit.
/// A score that is not finite is left out with a warning.
fn final_metrics(classes: &[String], scores: &Scores) -> BTreeMap<String, Finite> {
    let mut metrics = scores.summary();
    let (name, each) = scores.by_class();
    if metrics.len() + each.len() <= MAX_METRICS {
        let prefix = name.to_lowercase().replace(' ', "_");
        let named = classes.iter().zip(each);
        metrics.extend(named.filter_map(|(class, score)| Some((format!("{prefix}/{class}"), score?))));
    }
    let finite = metrics.into_iter().filter_map(|(name, value)| match Finite::new(value) {
        Some(value) => Some((name, value)),
        None => {
            tracing::warn!(metric = name, value, "a metric is not finite and is not reported");
            None
        }
    });
    finite.collect()
}
