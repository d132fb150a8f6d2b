//! The span of a command, where a collector is named by `OTEL_EXPORTER_OTLP_ENDPOINT`.
//!
//! The span of a command that begins a job belongs to the trace of that job, whose id is known with the answer;
//! the other commands have a trace of their own, of which the coordinator is told with each call.

use std::time::Duration;

use eosfed_common::clock::Timestamp;
use eosfed_common::ids::JobId;
use eosfed_common::stdout::print_warning;
use eosfed_common::trace::{Span, SpanKind, TraceContext};
use eosfed_transport::otlp::{Collector, Exporter};
use eosfed_transport::traced::TraceSlot;
use rand::RngExt as _;

use super::arguments::{Command, Job};
use super::print;

/// How long a command waits for the collector at its end.
const FLUSH: Duration = Duration::from_secs(2);

/// The span of a command that has begun.
pub(super) struct Trace {
    exporter: Exporter,
    context: TraceContext,
    name: String,
    began: Timestamp,
}

impl Trace {
    /// Begins the span of a command, and sets where its calls belong.
    pub(super) fn begin(command: &Command, slot: &TraceSlot) -> Self {
        let collector = Collector::of_environment(|name| std::env::var(name).ok());
        let started = collector.map_err(|error| error.to_string());
        let started =
            started.and_then(|one| Exporter::start(one, "eosfed").map_err(|error| error.to_string()));
        let exporter = started.unwrap_or_else(|why| {
            print_warning(format_args!("no traces are exported: {why}"));
            Exporter::default()
        });
        let context = TraceContext { trace: rand::rng().random(), span: rand::rng().random() };
        let begins_a_job = matches!(command, Command::Job(Job::Submit { .. } | Job::Fork { .. }));
        slot.set(Some(context).filter(|_| exporter.is_on() && !begins_a_job));
        Self { exporter, context, name: format!("eosfed {}", name(command)), began: print::now() }
    }

    /// Ends the span. `job` is what the command has begun.
    pub(super) async fn end(self, job: Option<JobId>, failure: Option<String>) {
        if !self.exporter.is_on() {
            return;
        }
        let times = [self.began, print::now()];
        let span = match &job {
            Some(job) => {
                let root = TraceContext::of_job(job);
                let context = TraceContext { span: self.context.span, ..root };
                Span::within(root, context, self.name, times).with("eosfed.job", job)
            }
            None => Span { parent: None, ..Span::within(self.context, self.context, self.name, times) },
        };
        self.exporter.send(Span { kind: SpanKind::Client, failure, ..span });
        self.exporter.flush(FLUSH).await;
    }
}

/// The words of a command, without what it is given.
fn name(command: &Command) -> String {
    let shown = format!("{command:?}");
    let words = shown.split(['(', '{', ' ']).filter(|word| !word.is_empty()).take(2);
    let names = words.take_while(|word| word.chars().all(char::is_alphanumeric));
    names.collect::<Vec<_>>().join(" ").to_lowercase()
}
