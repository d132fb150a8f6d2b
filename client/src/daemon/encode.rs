//! Encoding an update before it is sent, where the plan and the site policy allow a smaller encoding.

use eosfed_common::assignment::Work;
use eosfed_common::refusal::{Reason, Refusal};

use super::environment::{DaemonError, Environment, unless_full};
use super::fetch::BASE;
use super::run::Daemon;
use super::step::Event;
use crate::encoded::{self, StepToEncode};
use crate::policy::{PolicyStatus, encoding};
use crate::state::{EncodedStep, HeldAssignment, Outcome, Update};

impl<E: Environment> Daemon<E> {
    /// Encodes an update as the first encoding of the plan that the policy allows. Gives the event that replaces
    /// the update or ends the work; nothing if it can be sent as it is.
    pub(super) async fn encode_update(
        &mut self,
        held: &HeldAssignment,
        update: &Update,
    ) -> Result<Option<Event>, DaemonError> {
        // While the policy is unclear, the gate lets nothing leave.
        let PolicyStatus::Settled(policy) = self.gate.policy_status(Some(&self.work_in_hand(held))) else {
            return Ok(None);
        };
        let Work::Training(work) = &held.assignment.work else { return Ok(None) };
        // Where none is allowed, the policy objects to the whole.
        let Some(encoding) = encoding(&policy, work) else { return Ok(None) };
        let found = update.encoded.as_ref().map(|encoded| encoded.encoding);
        let Some(code) = encoding.code(work.top_k_share) else {
            let plain = Update { encoded: None, ..update.clone() };
            return Ok(found.map(|_| Event::UpdateEncoded(Box::new(plain))));
        };
        if found == Some(encoding) {
            return Ok(None);
        }
        if work.base.is_none() {
            return Ok(Some(cannot("the assignment has no starting weights")));
        }
        let folder = self.folder(held)?;
        let output = encoded::path_in(&folder);
        let to_encode = StepToEncode {
            weights: update.file.clone(),
            base: folder.join(BASE),
            dropped: self.dropped(held, update),
            training_target: held.assignment.training_target.clone(),
            code,
            output: output.clone(),
            output_dropped: encoded::dropped_in(&folder),
        };
        match self.parts.blocking.run(move || to_encode.write()).await {
            Ok(Ok(weights)) => {
                let share = 100.0 * weights.size as f64 / update.weights.size.max(1) as f64;
                tracing::info!(
                    assignment = %held.assignment.id,
                    "the update is encoded as `{encoding}`: {} bytes, {share:.1} % of its weights", weights.size
                );
                let encoded = Some(EncodedStep { file: output, weights, encoding });
                Ok(Some(Event::UpdateEncoded(Box::new(Update { encoded, ..update.clone() }))))
            }
            Ok(Err(error)) => unless_full(error).map(|why| Some(cannot(&why))),
            Err(why) => Ok(Some(cannot(&why))),
        }
    }

    /// Keeps what an acknowledged update has dropped, for the next one of its job.
    pub(super) fn keep_dropped(&self, held: &HeldAssignment, outcome: &Outcome) -> Result<(), DaemonError> {
        let Outcome::Update(update) = outcome else { return Ok(()) };
        if update.encoded.is_none() {
            return Ok(());
        }
        let made = encoded::dropped_in(&self.parts.site.folder(&held.assignment.id));
        encoded::keep_dropped(&made, &self.dropped(held, update)).map_err(DaemonError::io(&made))
    }

    /// Where what updates of this job have dropped is kept. That of updates without noise never becomes a part of
    /// those with noise.
    fn dropped(&self, held: &HeldAssignment, update: &Update) -> std::path::PathBuf {
        self.parts.site.dropped(&held.assignment.id.job, update.mechanism.is_some())
    }
}

/// The event of an update that cannot be encoded.
fn cannot(why: &str) -> Event {
    Event::PolicyDenied(Refusal::new(Reason::Internal, format!("the update cannot be encoded: {why}")))
}
