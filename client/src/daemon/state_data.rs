//! Stating to the coordinator what the data sets are: when it is greeted, and before work is accepted for which
//! the data set was found to be another one.

use eosfed_common::assignment::{Assignment, Work};
use eosfed_common::data_statement::{DataStatement, PartSizes, SignedDataStatement, StatedDataSet};
use eosfed_common::ids::DataSetName;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_transport::wire::message_bytes;

use super::environment::{DaemonError, Environment};
use super::run::Daemon;
use super::watcher::attended;
use crate::coordinator::Coordinator as _;
use crate::data_description::{DataDescription, statement};
use crate::imagery::Imagery as _;
use crate::policy::{Egress, PolicyStatus};
use crate::site_log::{Entry, EntryKind, Record, Sending};

impl<E: Environment> Daemon<E> {
    /// States the data sets to a coordinator that was just greeted, as the policy of each says. One that cannot be
    /// read now is stated when work is considered, and the others with it.
    ///
    /// # Errors
    /// If the site log cannot be written. The inner refusal is one that another try may overcome.
    pub(super) async fn state_data_once(&mut self) -> Result<Result<(), Refusal>, DaemonError> {
        self.data.stated = None;
        for name in self.data_sets() {
            let PolicyStatus::Settled(policy) = self.gate.policy_of(name.as_ref()) else { return Ok(Ok(())) };
            if !policy.allows(Egress::DataStatement) || self.data.found.contains_key(&name) {
                continue;
            }
            let imagery = &self.parts.imagery;
            if imagery.missing(name.as_ref()).await.is_some() {
                continue;
            }
            match attended(&*self.parts.watcher, imagery.describe(name.as_ref())).await {
                Ok(found) => drop(self.data.found.insert(name, found)),
                Err(refusal) => tracing::warn!(%refusal, "the data set cannot be stated to the coordinator"),
            }
        }
        self.state_data().await
    }

    /// The names of the data sets, in the order of the settings; one by its path alone has none.
    fn data_sets(&self) -> Vec<Option<DataSetName>> {
        self.parts.task.dataset.all().map(|(name, _)| name.cloned()).collect()
    }

    /// What the policies let be said of the data sets. Nothing while a policy is not clear, or while one that may be
    /// stated could not be read.
    fn statement(&self) -> Option<DataStatement> {
        let mut all = Vec::new();
        for name in self.data_sets() {
            let PolicyStatus::Settled(policy) = self.gate.policy_of(name.as_ref()) else { return None };
            let may = policy.allows(Egress::DataStatement);
            all.push(if may { self.data.found.get(&name)?.stated(&policy, name.as_ref()) } else { None });
        }
        statement(&self.parts.credentials.institution, all)
    }

    /// States the data sets as they were found last, unless the coordinator knows that.
    async fn state_data(&mut self) -> Result<Result<(), Refusal>, DaemonError> {
        let statement = self.statement();
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
                let training = statement.largest().training;
                let (data_sets, partial) = (statement.further.len() + 1, statement.partial);
                tracing::info!(
                    training,
                    data_sets,
                    partial,
                    "the coordinator knows what this institution says of its data"
                );
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
        assignment: &Assignment,
        name: Option<&DataSetName>,
        found: DataDescription,
    ) -> Result<Option<Refusal>, DaemonError> {
        let before = self.data.stated.clone();
        let refusal = before.and_then(|before| grown(assignment, &before, &found));
        self.data.found.insert(name.cloned(), found);
        if let Err(refusal) = self.state_data().await? {
            tracing::warn!(%refusal, "the data statement is sent later");
        }
        Ok(refusal)
    }
}

/// Why work on a data set that has grown since it was stated would not count.
fn grown(assignment: &Assignment, stated: &DataStatement, found: &DataDescription) -> Option<Refusal> {
    let largest = stated.largest();
    let (part, stated, found) = match &assignment.work {
        // Where some data sets are not stated, nothing is bounded.
        _ if stated.partial => return None,
        Work::Statistics => return None,
        Work::Training(_) => ("training", largest.training, found.samples.training),
        Work::Evaluation(_) => ("validation", largest.validation, found.samples.validation),
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
    let named = statement.all().any(|one| !one.classes.is_empty());
    let classes = named.then_some(Egress::ClassNames);
    let sizes = |one: StatedDataSet| {
        let PartSizes { training, validation, test } = one.samples;
        let sizes = format!("{training} training, {validation} validation and {test} test samples");
        if statement.further.is_empty() && !statement.partial {
            sizes
        } else {
            format!("`{}`: {sizes}", one.dataset)
        }
    };
    Sending {
        record: Record::DataStatement,
        what: statement.all().map(sizes).collect::<Vec<_>>().join("; "),
        bytes: Some(bytes),
        weights: None,
        words: [Some(Egress::DataStatement), classes]
            .into_iter()
            .flatten()
            .map(|word| word.name().to_owned())
            .collect(),
    }
}
