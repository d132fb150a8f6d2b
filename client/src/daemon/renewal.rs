//! A new certificate before the old one ends.

use eosfed_common::identity::Identity;
use eosfed_common::signing::{CoordinatorKey, SigningKey};
use eosfed_transport::enrollment::signing_key_proof;
use eosfed_transport::issued::{Accepted, accept};
use eosfed_transport::keys::{KeyAndCertificate, KeyAndRequest};

use super::environment::{DaemonError, Environment};
use super::run::Daemon;
use crate::coordinator::Coordinator as _;
use crate::site::Credentials;
use crate::site_log::{Entry, EntryKind};

impl<E: Environment> Daemon<E> {
    /// Asks for a new certificate when less than a third of the old one's lifetime is left, or to enrol a
    /// signing key. A failure is logged only: it is tried again on the next occasion.
    pub(super) async fn renew_when_due(&mut self) -> Result<(), DaemonError> {
        if !self.parts.credentials.due_for_renewal(self.parts.clock.now()) {
            return Ok(());
        }
        let lanes = self.lane.lanes.clone();
        let _turn = lanes.turn().await;
        if self.lane.has_others() {
            // Another lane may have renewed it.
            self.parts.credentials = self.parts.site.credentials()?;
            if !self.parts.credentials.due_for_renewal(self.parts.clock.now()) {
                return Ok(());
            }
        }
        let KeyAndRequest { key_pem, request_pem } =
            KeyAndRequest::generate(self.parts.credentials.institution.as_str())?;
        let signing_key = match self.parts.credentials.signing_key.clone() {
            Some(key) => key,
            None => self.parts.site.pending_signing_key(|| SigningKey::generate(&mut self.parts.rng))?,
        };
        let proof = signing_key_proof(&signing_key, &self.parts.credentials.institution, &request_pem);
        let issued = match self.parts.coordinator.renew(request_pem, proof).await {
            Ok(issued) => issued,
            Err(refusal) => {
                let until = self.parts.credentials.not_after;
                tracing::warn!(%refusal, %until, "the certificate cannot be renewed now");
                return Ok(());
            }
        };
        let pair = KeyAndCertificate { key_pem, certificate_pem: issued.certificate_pem };
        let Credentials { institution, ca_pem, not_after, .. } = &self.parts.credentials;
        let identity = Identity::institution(institution.clone());
        let now = self.parts.clock.now();
        let ca_pem = match accept(&pair, &issued.ca_pem, &identity, ca_pem, now) {
            // The authority that is trusted is the one that came with the token, or one that it has signed.
            Ok(Accepted { certificate: _, ca_pem }) => ca_pem,
            Err(error) => {
                tracing::error!(%error, until = %not_after, "the answer to a renewal is not used; nothing was replaced");
                return Ok(());
            }
        };
        self.parts.site.replace_identity(&pair, &ca_pem)?;
        // A coordinator that names no keys has not enrolled the one of this institution either.
        if self.parts.credentials.signing_key.is_none() && !issued.coordinator_keys.is_empty() {
            self.parts.site.replace_signing_key(&signing_key)?;
            tracing::info!(key = %signing_key.public(), "the signing key is enrolled");
        }
        self.parts.credentials = self.parts.site.credentials()?;
        if let Err(error) = self.parts.coordinator.replace(&self.parts.credentials) {
            tracing::warn!(%error, "the new certificate cannot be used before a restart");
        }
        let until = self.parts.credentials.not_after;
        tracing::info!(%until, "the certificate has been renewed");
        self.parts.log.note(Entry::new(EntryKind::Renewed { until }));
        Ok(())
    }

    /// Keeps the signing keys that the coordinator names. If they do not follow from the known ones, the
    /// known ones stay, and nothing that is signed with others is accepted.
    pub(super) fn pin(&mut self, named: &[CoordinatorKey]) -> Result<(), DaemonError> {
        let known = &self.parts.credentials.pinned;
        match known.extended(named) {
            Ok(extended) if extended == *known => Ok(()),
            Ok(extended) => {
                self.parts.site.pin(&extended)?;
                self.parts.credentials.pinned = extended;
                if let Err(error) = self.parts.coordinator.replace(&self.parts.credentials) {
                    tracing::warn!(%error, "the new signing keys cannot be used before a restart");
                }
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "the coordinator's signing keys are not taken");
                Ok(())
            }
        }
    }
}
