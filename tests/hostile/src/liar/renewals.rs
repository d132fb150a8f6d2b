//! Answers to renewals that are not what was asked for.

use std::time::Duration;

use clap::ValueEnum;
use eosfed_common::clock::{Clock as _, SystemClock, Timestamp};
use eosfed_common::identity::Identity;
use eosfed_coordinator::tls::Authority;
use eosfed_transport::keys::KeyAndRequest;

use super::{DAY, VICTIM};

/// How long certificates are valid that are due for renewal at once.
const SHORT: Duration = Duration::from_secs(1000);
/// Their age, in milliseconds.
const AGE: u64 = 800_000;

/// One answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    /// Text that is no certificate
    Garbage,
    /// Nothing
    Nothing,
    /// A certificate of another institution
    OtherName,
    /// A certificate of an operator
    OtherRole,
    /// A certificate for another key
    OtherKey,
    /// A certificate of another authority
    OtherAuthority,
    /// A certificate that has expired
    Expired,
    /// What was asked for
    Right,
}

impl Answer {
    /// The certificate for a request.
    ///
    /// # Errors
    /// If the request is malformed.
    pub(super) fn certificate(self, authority: &Authority, request: &str) -> anyhow::Result<String> {
        let now = SystemClock.now();
        let west = Identity::institution(VICTIM.parse()?);
        let certify = |request: &str, identity: &Identity| authority.certify(request, identity, now, DAY);
        Ok(match self {
            Self::Garbage => "-----BEGIN CERTIFICATE-----\ngarbage\n-----END CERTIFICATE-----\n".to_owned(),
            Self::Nothing => String::new(),
            Self::OtherName => certify(request, &"urn:eosfed:institution:east".parse()?)?,
            Self::OtherRole => certify(request, &"urn:eosfed:operator:west".parse()?)?,
            Self::OtherKey => certify(&KeyAndRequest::generate(VICTIM)?.request_pem, &west)?,
            Self::OtherAuthority => {
                Authority::open(&Authority::create(now)?)?.certify(request, &west, now, DAY)?
            }
            Self::Expired => authority.certify(request, &west, Timestamp(now.0 - 86_400_000 * 3), DAY)?,
            Self::Right => certify(request, &west)?,
        })
    }
}

/// A certificate of the victim that is due for renewal at once.
///
/// # Errors
/// If the request is malformed.
pub(super) fn due(authority: &Authority, request: &str) -> anyhow::Result<String> {
    let issued_at = Timestamp(SystemClock.now().0 - AGE);
    Ok(authority.certify(request, &Identity::institution(VICTIM.parse()?), issued_at, SHORT)?)
}
