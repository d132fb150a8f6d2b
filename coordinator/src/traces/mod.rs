//! Traces: spans of jobs, rounds, aggregations and the work of institutions, made from the events of the
//! ledger. What happened while no coordinator ran, and what was begun before, has no span of its own.

mod spans;

use eosfed_common::ledger::Event;
use eosfed_transport::otlp::Exporter;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::engine::Handle;
use spans::{JobFacts, Open};

/// The table `[telemetry]` of `coordinator.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetrySettings {
    /// The collector that traces are exported to by OTLP (protobuf over HTTP). Without this key: the collector
    /// of `OTEL_EXPORTER_OTLP_ENDPOINT`; without both, nothing is exported.
    #[schemars(extend("x-rule" = "`http://HOST:PORT` or `https://HOST:PORT`; `/v1/traces` is added"))]
    pub otlp: Option<String>,
}

/// Exports spans of what is on record, for ever.
pub(crate) async fn export(engine: &Handle, exporter: &Exporter) {
    if !exporter.is_on() {
        return std::future::pending().await;
    }
    let from = engine.ledger_end().await;
    let mut open = Open::default();
    for (job, round) in engine.read(|state| {
        let open = state.jobs.values().filter_map(|job| Some((job.id.clone(), job.current()?.clone())));
        open.collect::<Vec<_>>()
    }) {
        open.note_round(&job, round.id().round, round.id().attempt, round.opened_at);
    }
    let take = |_, line: &str| {
        let Ok(event) = serde_json::from_str::<Event>(line) else { return };
        let facts = event.entry.job.as_ref().and_then(|id| {
            let facts = |job: &crate::domain::Job| JobFacts {
                name: job.spec.name().to_owned(),
                kind: job.spec.kind().to_string(),
                submitted_at: job.submitted_at,
            };
            engine.with_job(id, facts).ok()
        });
        open.take(&event, facts).into_iter().for_each(|span| exporter.send(span));
    };
    engine.follow(from, "traces", take).await;
}
