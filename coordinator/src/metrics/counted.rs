//! Counters and histograms with labels.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use super::table::Metric;

/// The labels of a series, with their values.
type Labels = Vec<(&'static str, String)>;

/// The bounds of the buckets of all histograms, in seconds: from what memory takes to what a disk under load
/// and a large aggregate take.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 600.0];

/// An empty histogram.
pub(super) fn seconds() -> Histogram {
    Histogram::new(BUCKETS)
}

/// The labels of a metric, with these values in the order of the table.
pub(super) fn labels<const N: usize>(metric: &Metric, values: [String; N]) -> Labels {
    debug_assert_eq!(metric.labels.len(), N, "{}", metric.name);
    metric.labels.iter().copied().zip(values).collect()
}

/// A counter with this number of labels.
#[derive(Debug)]
pub struct Counted<const N: usize> {
    pub(super) metric: &'static Metric,
    pub(super) family: Family<Labels, Counter>,
}

impl<const N: usize> Counted<N> {
    pub(super) fn of(metric: &'static Metric) -> Self {
        Self { metric, family: Family::default() }
    }

    /// Adds to the series with these values of its labels.
    pub fn add(&self, values: [&str; N], count: u64) {
        self.family.get_or_create(&labels(self.metric, values.map(str::to_owned))).inc_by(count);
    }
}

/// A histogram with one label.
#[derive(Debug)]
pub struct Timed {
    metric: &'static Metric,
    pub(super) family: Family<Labels, Histogram, fn() -> Histogram>,
}

impl Timed {
    pub(super) fn of(metric: &'static Metric) -> Self {
        Self { metric, family: Family::new_with_constructor(seconds) }
    }

    /// Counts a duration in seconds.
    pub fn observe(&self, label: &str, seconds: f64) {
        self.family.get_or_create(&labels(self.metric, [label.to_owned()])).observe(seconds);
    }
}
