//! Sharing with the coordinator what the policy lets be told of itself: when it is greeted, and when the policy
//! has changed.

use eosfed_common::policy_summary::SignedPolicySummary;
use eosfed_transport::wire::message_bytes;

use super::environment::{DaemonError, Environment};
use super::run::Daemon;
use crate::coordinator::Coordinator as _;
use crate::policy::{Egress, PolicyStatus};
use crate::site_log::{Entry, EntryKind, Record, Sending};

impl<E: Environment> Daemon<E> {
    /// Shares the summary of the present policy, unless the coordinator knows it. No work depends on it: a
    /// coordinator that does not take it now is told with a later poll.
    ///
    /// # Errors
    /// If the site log cannot be written.
    pub(super) async fn share_policy(&mut self) -> Result<(), DaemonError> {
        let PolicyStatus::Settled(policy) = self.gate.policy_status(None) else { return Ok(()) };
        let summary = policy.summary(&self.parts.credentials.institution);
        let Some(summary) = summary.filter(|summary| self.data.shared.as_ref() != Some(summary)) else {
            return Ok(());
        };
        let Some(key) = &self.parts.credentials.signing_key else { return Ok(()) };
        let signed = SignedPolicySummary::new(summary.clone(), key);
        let sending = Sending {
            record: Record::PolicySummary,
            what: "lists and numbers of the policy".to_owned(),
            bytes: Some(message_bytes(signed.clone())),
            weights: None,
            words: vec![Egress::PolicySummary.name().to_owned()],
        };
        self.parts.log.record(Entry::new(EntryKind::Sending(sending.clone())))?;
        match self.parts.coordinator.share_policy(signed).await {
            Ok(()) => self.parts.log.note(Entry::new(EntryKind::Sent(sending))),
            Err(refusal) => {
                tracing::warn!(%refusal, "the coordinator does not take the summary of the policy");
                if refusal.reason.is_transient() {
                    return Ok(());
                }
            }
        }
        // One that is refused, as by an earlier version, is not sent again before the next greeting.
        self.data.shared = Some(summary);
        Ok(())
    }
}
