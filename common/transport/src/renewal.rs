//! Renewal of a person's certificate by the commands that they use.

use std::time::Duration;

use eosfed_common::clock::Timestamp;
use eosfed_common::refusal::{Reason, Refusal};

use crate::certificate::Certificate;
use crate::channel::{ChannelError, ChannelOptions, open_with};
use crate::enrollment::{EnrollError, renew};
use crate::issued::{Accepted, NotAccepted, accept};
use crate::meter::Meter;
use crate::operator::{IdentityError, IdentityFolder, PersonalIdentity};

/// How long an answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Why a certificate was not renewed. The identity has not changed.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    /// The identity folder cannot be used.
    #[error(transparent)]
    Folder(#[from] IdentityError),
    /// The identity cannot be used for a connection.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The coordinator has refused, or has not answered.
    #[error(transparent)]
    Refused(#[from] EnrollError),
    /// What the coordinator has answered is not used.
    #[error("{0}; nothing was replaced")]
    NotAccepted(#[from] NotAccepted),
}

impl RenewalError {
    /// Whether the coordinator was not reached.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Refused(EnrollError::Refused(refusal)) if refusal.reason == Reason::Unavailable)
    }
}

/// Renews the identity in a folder with a new key, if its certificate is in the last third of its time and
/// has not expired. What is received is verified before anything is replaced. Gives the new certificate.
///
/// # Errors
/// If it is due and cannot be renewed now.
pub async fn renew_when_due(
    folder: &IdentityFolder,
    options: &ChannelOptions,
    now: Timestamp,
) -> Result<Option<Certificate>, RenewalError> {
    renew_if(folder, options, now, |certificate| certificate.is_due_for_renewal(now)).await
}

/// As [`renew_when_due`], whether it is due or not: after the authority was replaced, or when a key may be
/// known to others.
///
/// # Errors
/// As there.
pub async fn renew_now(
    folder: &IdentityFolder,
    options: &ChannelOptions,
    now: Timestamp,
) -> Result<Option<Certificate>, RenewalError> {
    renew_if(folder, options, now, |_| true).await
}

async fn renew_if(
    folder: &IdentityFolder,
    options: &ChannelOptions,
    now: Timestamp,
    wanted: impl Fn(&Certificate) -> bool,
) -> Result<Option<Certificate>, RenewalError> {
    if valid(folder, now)?.is_none_or(|(_, certificate)| !wanted(&certificate)) {
        return Ok(None);
    }
    // Of two commands at the same time, one renews: the coordinator keeps one new key only.
    let Some(_lock) = folder.lock()? else { return Ok(None) };
    let Some((kept, certificate)) = valid(folder, now)?.filter(|(_, one)| wanted(one)) else {
        return Ok(None);
    };
    let PersonalIdentity { pair, ca_pem, url } = kept;
    let transport = open_with(options, &url, &ca_pem, Some(&pair), Meter::default())?;
    let renewal = renew(transport, &certificate.identity);
    let renewed = tokio::time::timeout(TIMEOUT, renewal).await.unwrap_or_else(|_| {
        Err(Refusal::new(Reason::Unavailable, "the coordinator has not answered in time").into())
    })?;
    let Accepted { certificate, ca_pem } =
        accept(&renewed.pair, &renewed.ca_pem, &certificate.identity, &ca_pem, now)?;
    folder.replace(&renewed.pair, &ca_pem)?;
    Ok(Some(certificate))
}

/// The identity in a folder, if its certificate has not expired.
fn valid(
    folder: &IdentityFolder,
    now: Timestamp,
) -> Result<Option<(PersonalIdentity, Certificate)>, IdentityError> {
    let kept = folder.read()?;
    let certificate = Certificate::of_pem(&kept.pair.certificate_pem).ok();
    let valid = certificate.filter(|one| now < one.not_after);
    Ok(valid.map(|certificate| (kept, certificate)))
}
