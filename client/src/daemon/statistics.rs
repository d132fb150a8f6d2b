//! Computing the statistics of bands.

use eosfed_common::ids::DataSetName;

use super::environment::{DaemonError, Environment};
use super::run::{Daemon, Flow};
use super::step::Event;
use super::supervise::Supervised;
use crate::condition::LocalCondition;
use crate::imagery::Imagery;

/// The result of reading the imagery.
enum StatisticsOutcome {
    Blocked(LocalCondition),
    Ended(Event),
}

impl<E: Environment> Daemon<E> {
    /// Computes the moments of the assignment's bands.
    pub(super) async fn compute_statistics(&mut self) -> Result<Flow, DaemonError> {
        let held = self.held();
        let mut heartbeats = self.heartbeats(&held);
        let imagery = self.parts.imagery.clone();
        let bands = held.assignment.training_target.bands();
        Ok(match self.supervise(&mut heartbeats, compute(&imagery, held.dataset.as_ref(), &bands)).await? {
            Supervised::Done(StatisticsOutcome::Blocked(condition)) => Flow::Event(self.blocked(condition)),
            Supervised::Done(StatisticsOutcome::Ended(event)) => Flow::Event(event),
            Supervised::Interrupted(flow) => flow,
        })
    }
}

async fn compute<I: Imagery>(
    imagery: &I,
    dataset: Option<&DataSetName>,
    bands: &[String],
) -> StatisticsOutcome {
    if let Some(condition) = imagery.missing(dataset).await {
        return StatisticsOutcome::Blocked(condition);
    }
    match imagery.moments(dataset, bands).await {
        Ok(moments) => StatisticsOutcome::Ended(Event::StatisticsComputed(moments)),
        // The disk may have disappeared while it was read.
        Err(refusal) => match imagery.missing(dataset).await {
            Some(condition) => StatisticsOutcome::Blocked(condition),
            None => StatisticsOutcome::Ended(Event::Failed(refusal)),
        },
    }
}
