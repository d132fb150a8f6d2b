//! The coordinator's metrics. [`table`] declares them; [`Metrics`] holds those that are counted where things
//! happen. What follows from the state is not counted: an [`Observer`] looks it up with each scrape.

mod counted;
pub mod table;

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{PoisonError, RwLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric as Registered, Registry};

pub use counted::{Counted, Timed};
use counted::{labels, seconds};
use table::{Kind, Metric};

/// The media type of [`Metrics::encode`].
pub const CONTENT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of a coordinator. Each field has the name of its row in [`table`].
#[derive(Debug)]
#[allow(missing_docs, reason = "the table says what each is")]
pub struct Metrics {
    registry: RwLock<Registry>,
    pub events: Counted<1>,
    pub updates: Counted<2>,
    pub encodings: Counted<1>,
    pub declined: Counted<1>,
    pub calls: Counted<2>,
    pub call_seconds: Timed,
    pub refusals: Counted<1>,
    pub sent_bytes: Counted<1>,
    pub notifications: Counted<2>,
    pub write_lock_wait: Histogram,
    pub commit: Histogram,
    pub aggregation: Histogram,
    pub engine_progress: Gauge<f64, AtomicU64>,
    pub http_connections_refused: Counter,
}

/// Looks up metrics with each scrape.
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// Writes them.
    ///
    /// # Errors
    /// If the writer fails.
    fn observe(&self, scrape: &mut Scrape<'_>) -> fmt::Result;
}

/// The text of a scrape, to which an [`Observer`] adds.
#[derive(Debug)]
pub struct Scrape<'a>(DescriptorEncoder<'a>);

impl Scrape<'_> {
    /// Writes a gauge: for each series the values of its labels, in the order of the table, and its value.
    ///
    /// # Errors
    /// If the writer fails.
    pub fn gauge<const N: usize>(
        &mut self,
        metric: &Metric,
        series: impl IntoIterator<Item = ([String; N], f64)>,
    ) -> fmt::Result {
        let mut encoder = self.begin(metric, Kind::Gauge)?;
        for (values, value) in series {
            ConstGauge::new(value).encode(encoder.encode_family(&labels(metric, values))?)?;
        }
        Ok(())
    }

    /// Writes a counter, as [`Scrape::gauge`] writes a gauge.
    ///
    /// # Errors
    /// If the writer fails.
    pub fn counter<const N: usize>(
        &mut self,
        metric: &Metric,
        series: impl IntoIterator<Item = ([String; N], f64)>,
    ) -> fmt::Result {
        let mut encoder = self.begin(metric, Kind::Counter)?;
        for (values, value) in series {
            ConstCounter::new(value).encode(encoder.encode_family(&labels(metric, values))?)?;
        }
        Ok(())
    }

    fn begin(&mut self, metric: &Metric, kind: Kind) -> Result<MetricEncoder<'_>, fmt::Error> {
        debug_assert_eq!(metric.kind, kind, "{}", metric.name);
        let kind = if kind == Kind::Counter { MetricType::Counter } else { MetricType::Gauge };
        let name = metric.name.strip_suffix("_total").unwrap_or(metric.name);
        self.0.encode_descriptor(name, &format!("{}.", metric.help), None, kind)
    }
}

#[derive(Debug)]
struct Observed(Box<dyn Observer>);

impl Collector for Observed {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.observe(&mut Scrape(encoder))
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: RwLock::default(),
            events: Counted::of(&table::EVENTS),
            updates: Counted::of(&table::UPDATES),
            encodings: Counted::of(&table::ENCODINGS),
            declined: Counted::of(&table::DECLINED),
            calls: Counted::of(&table::CALLS),
            call_seconds: Timed::of(&table::CALL_SECONDS),
            refusals: Counted::of(&table::REFUSALS),
            sent_bytes: Counted::of(&table::SENT_BYTES),
            notifications: Counted::of(&table::NOTIFICATIONS),
            write_lock_wait: seconds(),
            commit: seconds(),
            aggregation: seconds(),
            engine_progress: Gauge::default(),
            http_connections_refused: Counter::default(),
        };
        metrics.register_all();
        metrics
    }
}

impl Metrics {
    fn register_all(&self) {
        for counted in [&self.calls, &self.updates, &self.notifications] {
            self.register(counted.metric, counted.family.clone());
        }
        for counted in [&self.events, &self.encodings, &self.declined, &self.refusals, &self.sent_bytes] {
            self.register(counted.metric, counted.family.clone());
        }
        self.register(&table::CALL_SECONDS, self.call_seconds.family.clone());
        self.register(&table::WRITE_LOCK_WAIT, self.write_lock_wait.clone());
        self.register(&table::COMMIT, self.commit.clone());
        self.register(&table::AGGREGATION, self.aggregation.clone());
        self.register(&table::ENGINE_PROGRESS, self.engine_progress.clone());
        self.register(&table::HTTP_CONNECTIONS_REFUSED, self.http_connections_refused.clone());
    }

    fn register(&self, metric: &Metric, value: impl Registered) {
        // The library appends the ending of a counter, and the full stop.
        let name = metric.name.strip_suffix("_total").unwrap_or(metric.name);
        let mut registry = self.registry.write().unwrap_or_else(PoisonError::into_inner);
        registry.register(name, metric.help, value);
    }

    /// Adds what is looked up with each scrape.
    pub fn observe(&self, observer: impl Observer) {
        let mut registry = self.registry.write().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(Box::new(Observed(Box::new(observer))));
    }

    /// All metrics as OpenMetrics text.
    ///
    /// # Errors
    /// If the writer fails.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        Ok(text)
    }
}
