//! Counts the events of the ledger: what was decided is counted where it is on record. A reader follows the
//! ledger, so the engine knows nothing of it, and no event is missed.

use std::sync::Arc;

use eosfed_common::ledger::{Event, EventKind};

use crate::engine::Handle;
use crate::metrics::Metrics;

/// Counts the events from `from` on, for ever.
pub(super) async fn follow(engine: Handle, metrics: Arc<Metrics>, from: u64) {
    engine.follow(from, "metrics", |_, line| count(&metrics, line)).await;
}

fn count(metrics: &Metrics, line: &str) {
    let Ok(event) = serde_json::from_str::<Event>(line) else { return };
    let kind = &event.entry.kind;
    metrics.events.add([kind.name()], 1);
    match kind {
        EventKind::UpdateSubmitted { encoding, .. } => {
            metrics.updates.add(["admitted", ""], 1);
            metrics.encodings.add([encoding.name()], 1);
        }
        EventKind::UpdateRejected { reason, .. } => metrics.updates.add(["rejected", reason.code()], 1),
        EventKind::UpdateExcluded { .. } => metrics.updates.add(["excluded", ""], 1),
        EventKind::AssignmentRefused { reason, .. } => metrics.declined.add([reason.code()], 1),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use eosfed_common::clock::Timestamp;
    use eosfed_common::digest::Digest;
    use eosfed_common::ledger::{Actor, Entry};
    use eosfed_common::refusal::Reason;
    use eosfed_common::weights::Encoding;

    use super::*;

    #[test]
    fn updates_and_declined_work_are_counted_by_reason() {
        let metrics = Metrics::default();
        let (round, weights, message) = (0, Digest::of(b"w"), String::new());
        let rejected = EventKind::UpdateRejected { round, weights, reason: Reason::NotFinite, message };
        let declined =
            EventKind::AssignmentRefused { round, reason: Reason::Policy, message: "no".to_owned() };
        let admitted = EventKind::UpdateSubmitted { round, weights, samples: 1, encoding: Encoding::F32 };
        for kind in [rejected, declined, admitted.clone(), admitted] {
            let event = Event::follow(None, Timestamp(1), Entry::new(Actor::Coordinator, kind));
            count(&metrics, &event.to_line());
        }
        count(&metrics, "no event");
        let text = metrics.encode().unwrap();
        for series in [
            "eosfed_updates_total{outcome=\"rejected\",reason=\"NOT_FINITE\"} 1",
            "eosfed_updates_total{outcome=\"admitted\",reason=\"\"} 2",
            "eosfed_update_encodings_total{encoding=\"f32\"} 2",
            "eosfed_assignments_declined_total{reason=\"POLICY\"} 1",
            "eosfed_ledger_events_total{kind=\"update_submitted\"} 2",
        ] {
            assert!(text.contains(series), "{series} is missing in\n{text}");
        }
    }
}
