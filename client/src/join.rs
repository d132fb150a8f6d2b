//! Joining a federation: a key is made here, and a one-time token gets a certificate for it. The private
//! key never leaves; the only authority that is trusted is the one in the token.

use std::time::Duration;

use eosfed_common::clock::{Clock as _, SystemClock};
use eosfed_common::identity::Identity;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::signing::SigningKey;
use eosfed_transport::channel::{ChannelError, ChannelOptions, open_with};
use eosfed_transport::enrollment::{self, EnrollError, Enrolled};
use eosfed_transport::issued::{Accepted, NotAccepted, accept};
use eosfed_transport::join::JoinToken;
use eosfed_transport::keys::KeyError;
use eosfed_transport::meter::Meter;
use eosfed_transport::proxy::{Proxy, ProxyError};

const ENROLL_TIMEOUT: Duration = Duration::from_secs(30);

/// Why joining did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The address or the authority in the token cannot be used.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The proxy opens no tunnel.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The certificate that the coordinator has answered with cannot be used.
    #[error("{0}; nothing was changed. Check the token with the operator")]
    Issued(#[from] NotAccepted),
    /// The coordinator has refused, or has not answered.
    #[error("{refusal}; {advice}")]
    Refused {
        /// Its refusal.
        refusal: Refusal,
        /// What to do.
        advice: &'static str,
    },
}

/// Exchanges a token for an identity and enrols the signing key, through a proxy if there is one.
///
/// # Errors
/// If the coordinator cannot be reached or refuses; says what to do then.
pub async fn enroll(
    token: &JoinToken,
    signing_key: &SigningKey,
    proxy: Option<Proxy>,
) -> Result<Enrolled, JoinError> {
    // The proxy is tried first, by itself: its errors need other advice.
    if let (Some(proxy), Ok(target)) = (&proxy, token.url.parse()) {
        proxy.tunnel(&target).await?;
    }
    let transport =
        open_with(&ChannelOptions::through(proxy), &token.url, &token.ca_pem, None, Meter::default())?;
    let enrolling = enrollment::enroll(transport, &token.institution, token.secret.clone(), signing_key);
    let refused = |refusal| JoinError::Refused { advice: advice(&refusal), refusal };
    let answer = match tokio::time::timeout(ENROLL_TIMEOUT, enrolling).await {
        Ok(answer) => answer.map_err(|error| match error {
            EnrollError::Key(error) => error.into(),
            EnrollError::Refused(refusal) => refused(refusal),
        }),
        Err(_) => Err(refused(Refusal::new(Reason::Unavailable, "no answer within 30 s"))),
    };
    let enrolled = answer?;
    let identity = Identity::institution(token.institution.clone());
    // The authority that is trusted is the one in the token, or one that it has signed.
    let Accepted { certificate: _, ca_pem } =
        accept(&enrolled.pair, &enrolled.ca_pem, &identity, &token.ca_pem, SystemClock.now())?;
    Ok(Enrolled { ca_pem, ..enrolled })
}

/// Whether the coordinator of a token can be reached, and is the one that the token trusts. The token is not
/// used up.
///
/// # Errors
/// If it cannot be reached; says what to do then.
pub async fn reach(token: &JoinToken, proxy: Option<Proxy>) -> Result<(), JoinError> {
    if let (Some(proxy), Ok(target)) = (&proxy, token.url.parse()) {
        proxy.tunnel(&target).await?;
    }
    let transport =
        open_with(&ChannelOptions::through(proxy), &token.url, &token.ca_pem, None, Meter::default())?;
    let answered = eosfed_transport::reach::reach(transport, ENROLL_TIMEOUT).await;
    answered.map_err(|refusal| JoinError::Refused { advice: advice(&refusal), refusal })
}

fn advice(refusal: &Refusal) -> &'static str {
    match refusal.reason {
        Reason::TokenInvalid => "check that the whole token was copied, or ask the operator for a new one",
        Reason::TokenExpired => "ask the operator for a new token",
        Reason::TokenUsed => "a token works once; ask the operator for a new one",
        Reason::Incompatible => "install the version that the coordinator runs",
        Reason::Unavailable if refusal.message.contains("ertificate") => {
            "the coordinator's certificate is not accepted: check this machine's clock, then the token"
        }
        Reason::Unavailable => "check the address in the token, the network and that the coordinator runs",
        _ => "ask the operator",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_advice() {
        let advice = |reason, message: &str| advice(&Refusal::new(reason, message));
        assert!(advice(Reason::TokenUsed, "used").contains("once"));
        assert!(advice(Reason::Unavailable, "invalid peer certificate: Expired").contains("clock"));
        assert!(advice(Reason::Unavailable, "connection refused").contains("network"));
    }
}
