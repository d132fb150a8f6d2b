//! Stating to the coordinator what the data set is: when it is greeted, and before work is accepted for which
//! the data set was found to be another one.

use eosfed_common::assignment::{Assignment, Work};
use eosfed_common::data_statement::{DataStatement, SignedDataStatement};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_transport::wire::message_bytes;

use super::environment::{DaemonError, Environment};
use super::run::Daemon;
use super::watcher::attended;
use crate::coordinator::Coordinator as _;
use crate::data_description::DataDescription;
use crate::imagery::Imagery as _;
use crate::policy::{Egress, Policy, PolicyStatus};
use crate::site_log::{Entry, EntryKind, Record, Sending};

impl<E: Environment> Daemon<E> {
    /// States the data set to a coordinator that was just greeted. A data set that cannot be read now is
    /// stated when work is considered.
    ///
    /// # Errors
    /// If the site log cannot be written. The inner refusal is one that another try may overcome.
    pub(super) async fn state_data_once(&mut self) -> Result<Result<(), Refusal>, DaemonError> {
        self.data.stated = None;
        let PolicyStatus::Settled(policy) = self.gate.policy_status(None) else { return Ok(Ok(())) };
        if !policy.allows(Egress::DataStatement) {
            return Ok(Ok(()));
        }
        if self.data.found.is_none() && self.parts.imagery.missing(None).await.is_none() {
            match attended(&*self.parts.watcher, self.parts.imagery.describe()).await {
                Ok(Some(found)) => self.data.found = Some(found),
                Ok(None) => tracing::info!(
                    "no data statement is made, since one speaks of one data set, and client.toml has several with names"
                ),
                Err(refusal) => tracing::warn!(%refusal, "the data set cannot be stated to the coordinator"),
            }
        }
        self.state_data(&policy).await
    }

    /// States the data set as it was found last, unless the coordinator knows that.
    async fn state_data(&mut self, policy: &Policy) -> Result<Result<(), Refusal>, DaemonError> {
        let institution = &self.parts.credentials.institution;
        let statement = self.data.found.as_ref().and_then(|found| found.stated(policy, institution));
        let Some(statement) = statement.filter(|statement| self.data.stated.as_ref() != Some(statement))
        else {
            return Ok(Ok(()));
        };
        // Without an enrolled key it is stated after the next renewal, when the coordinator is greeted again.
        let Some(key) = &self.parts.credentials.signing_key else { return Ok(Ok(())) };
        let signed = SignedDataStatement::new(statement.clone(), key);
        let sending = sending(&statement, message_bytes(signed.clone()));
        self.parts.log.record(Entry::new(EntryKind::Sending(sending.clone())))?;
        match self.parts.coordinator.state_data(signed).await {
            Ok(()) => {
                self.parts.log.note(Entry::new(EntryKind::Sent(sending)));
                let training = statement.samples.training;
                tracing::info!(training, "the coordinator knows what this institution says of its data set");
                self.data.stated = Some(statement);
            }
            Err(refusal) if refusal.reason.is_transient() => return Ok(Err(refusal)),
            // It may be of an earlier version. Work is still done, as far as it is granted.
            Err(refusal) => tracing::warn!(%refusal, "the coordinator does not take the data statement"),
        }
        Ok(Ok(()))
    }

    /// Takes note of the data set as it was found for an assignment, and states it if it is another one. Gives
    /// the refusal of work that could not count: the samples of a data set that has grown are believed in
    /// rounds that open after the new statement.
    ///
    /// # Errors
    /// If the site log cannot be written.
    pub(super) async fn data_found(
        &mut self,
        policy: &Policy,
        assignment: &Assignment,
        found: DataDescription,
    ) -> Result<Option<Refusal>, DaemonError> {
        let before = self.data.stated.clone();
        let refusal = before.and_then(|before| grown(assignment, &before, &found));
        self.data.found = Some(found);
        if let Err(refusal) = self.state_data(policy).await? {
            tracing::warn!(%refusal, "the data statement is sent later");
        }
        Ok(refusal)
    }
}

/// Why work on a data set that has grown since it was stated would not count.
fn grown(assignment: &Assignment, stated: &DataStatement, found: &DataDescription) -> Option<Refusal> {
    let (part, stated, found) = match &assignment.work {
        Work::Statistics => return None,
        Work::Training(_) => ("training", stated.samples.training, found.samples.training),
        Work::Evaluation(_) => ("validation", stated.samples.validation, found.samples.validation),
    };
    (found > stated).then(|| {
        let message = format!(
            "the {part} part has grown from {stated} to {found} samples since the data statement; the new \
             statement counts in rounds that open after it"
        );
        Refusal::new(Reason::DataUnfit, message)
    })
}

fn sending(statement: &DataStatement, bytes: u64) -> Sending {
    let samples = statement.samples;
    let classes = (!statement.classes.is_empty()).then_some(Egress::ClassNames);
    Sending {
        record: Record::DataStatement,
        what: format!(
            "{} training, {} validation and {} test samples",
            samples.training, samples.validation, samples.test
        ),
        bytes: Some(bytes),
        weights: None,
        words: [Some(Egress::DataStatement), classes]
            .into_iter()
            .flatten()
            .map(|word| word.name().to_owned())
            .collect(),
    }
}
