//! Institutions: invited, enrolled, and how an invitation is redeemed.

use std::time::Duration;

use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::ids::InstitutionName;
use eosfed_common::refusal::{Reason, Refusal};
use serde::{Deserialize, Serialize};

/// Longest time for which an invitation may be open.
pub const MAX_VALIDITY: Duration = Duration::from_secs(30 * 86_400);

/// An open invitation. Only a hash of its secret is kept: whoever reads the store cannot join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// SHA-256 of the secret's text.
    pub secret: Digest,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// How an institution came to its certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// The invitation that was redeemed.
    pub secret: Digest,
    /// Digest of the signing request that it was redeemed with.
    pub request: Digest,
    /// When.
    pub at: Timestamp,
}

/// A partner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Institution {
    /// Its name, as its certificate has it.
    pub name: InstitutionName,
    /// An invitation that nobody has redeemed.
    pub invitation: Option<Invitation>,
    /// Its enrolment.
    pub enrolment: Option<Enrolment>,
}

impl Institution {
    /// Somebody nobody has heard of yet.
    #[must_use]
    pub const fn unknown(name: InstitutionName) -> Self {
        Self { name, invitation: None, enrolment: None }
    }

    /// With an invitation, which replaces an open one. An institution that is enrolled may be
    /// invited again, to enrol with a new key.
    #[must_use]
    pub fn invite(&self, secret: &str, valid_for: Duration, now: Timestamp) -> Self {
        let expires_at = now.plus(valid_for);
        Self {
            invitation: Some(Invitation { secret: Digest::of(secret.as_bytes()), expires_at }),
            ..self.clone()
        }
    }

    /// Redeems the invitation. Redeeming it again with the same request succeeds, so that a client
    /// whose answer got lost need not ask for another token.
    ///
    /// # Errors
    /// [`Reason::TokenInvalid`], [`Reason::TokenExpired`] or [`Reason::TokenUsed`].
    pub fn redeem(&self, secret: &str, request_pem: &str, now: Timestamp) -> Result<Self, Refusal> {
        // Hashes are compared, not secrets: where two hashes differ says nothing about the secret.
        let secret = Digest::of(secret.as_bytes());
        let request = Digest::of(request_pem.as_bytes());
        if let Some(done) = self.enrolment.as_ref().filter(|done| done.secret == secret) {
            return if done.request == request { Ok(self.clone()) } else { Err(used(done.at)) };
        }
        match &self.invitation {
            Some(open) if open.secret == secret && now >= open.expires_at => Err(expired(open.expires_at)),
            Some(open) if open.secret == secret => Ok(Self {
                invitation: None,
                enrolment: Some(Enrolment { secret, request, at: now }),
                ..self.clone()
            }),
            Some(_) | None => Err(invalid()),
        }
    }
}

/// The refusal of a token that was never issued for this institution, or was replaced by a newer one.
#[must_use]
pub fn invalid() -> Refusal {
    let message = "the join token is not valid for this institution; ask the operator for a new one";
    Refusal::new(Reason::TokenInvalid, message)
}

fn expired(at: Timestamp) -> Refusal {
    let message = format!("the join token expired at {at}; ask the operator for a new one");
    Refusal::new(Reason::TokenExpired, message)
}

fn used(at: Timestamp) -> Refusal {
    let message =
        format!("the join token was used at {at}, with another key; ask the operator for a new one");
    Refusal::new(Reason::TokenUsed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn invited() -> Institution {
        Institution::unknown("west".parse().unwrap()).invite("secret", DAY, NOW)
    }

    #[test]
    fn a_token_works_once_and_a_lost_answer_does_no_harm() {
        let enrolled = invited().redeem("secret", "request", NOW).unwrap();
        assert_eq!(enrolled.redeem("secret", "request", NOW.plus(DAY * 2)), Ok(enrolled.clone()));
        assert_eq!(enrolled.redeem("secret", "other", NOW).unwrap_err().reason, Reason::TokenUsed);
    }

    #[test]
    fn wrong_and_late_tokens_are_told_apart() {
        assert_eq!(invited().redeem("guess", "request", NOW).unwrap_err().reason, Reason::TokenInvalid);
        let late = invited().redeem("secret", "request", NOW.plus(DAY)).unwrap_err();
        assert_eq!(late.reason, Reason::TokenExpired);
    }

    #[test]
    fn a_new_invitation_replaces_the_old_one_and_keeps_the_enrolment_until_it_is_redeemed() {
        let enrolled = invited().redeem("secret", "request", NOW).unwrap();
        let again = enrolled.invite("second", DAY, NOW);
        assert_eq!(again.enrolment, enrolled.enrolment);
        let replaced = again.invite("third", DAY, NOW);
        assert_eq!(replaced.redeem("second", "r", NOW).unwrap_err().reason, Reason::TokenInvalid);
        assert!(replaced.redeem("third", "r", NOW).is_ok());
    }

    #[test]
    fn no_secret_is_kept() {
        assert!(!serde_json::to_string(&invited()).unwrap().contains("\"secret\":\"secret\""));
    }
}
