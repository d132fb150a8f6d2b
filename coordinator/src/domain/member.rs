//! Members of a federation (institutions, operators and readers): how an invitation is redeemed, and when
//! access is taken back. Which key a member has is the affair of [`keys`].

pub mod keys;

use std::time::Duration;

use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::identity::{Identity, Role};
use eosfed_common::ids::InstitutionName;
use eosfed_common::ledger::Actor;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::signing::PublicKey;
use eosfed_common::view::MemberState;
use serde::{Deserialize, Serialize};

use keys::{Key, Keys};

use super::shared_policy::SharedPolicy;
use super::stated::Stated;

/// Longest time for which an invitation may be open.
pub const MAX_VALIDITY: Duration = Duration::from_secs(30 * 86_400);

/// An open invitation. Only a hash of its secret is kept: whoever reads the store cannot join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// SHA-256 of the secret's text.
    pub secret: Digest,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Who has made it. Absent in records of before it was kept.
    #[serde(default)]
    pub by: Option<Actor>,
}

/// How a member came to its certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// The invitation that was redeemed.
    pub secret: Digest,
    /// Digest of the signing request that it was redeemed with.
    pub request: Digest,
    /// When.
    pub at: Timestamp,
    /// The keys that certificates of this enrolment may have. Absent until the first call of a member that
    /// has enrolled before the coordinator kept them: its key is then the one of that call.
    #[serde(default)]
    pub keys: Option<Keys>,
    /// Who has made the invitation. Absent in records of before it was kept, and for the first operator.
    #[serde(default)]
    pub invited_by: Option<Actor>,
    /// The key that an institution signs its submissions with. Absent until the first renewal of one that
    /// has enrolled before there were such keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<PublicKey>,
    /// What an institution has said of its data set. Absent until it says something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated: Option<Box<Stated>>,
    /// What an institution shares of its policy. Absent until it shares something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Box<SharedPolicy>>,
}

/// That access was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// When.
    pub at: Timestamp,
    /// The operator.
    pub by: InstitutionName,
    /// Why, in the operator's words.
    pub reason: String,
    /// Whether the member is left out of lists.
    pub removed: bool,
}

/// Somebody who may call the coordinator, or who is invited to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// What it may do.
    #[serde(default = "institution")]
    pub role: Role,
    /// Its name, as its certificate has it.
    pub name: InstitutionName,
    /// An invitation that nobody has redeemed.
    pub invitation: Option<Invitation>,
    /// Its enrolment.
    pub enrolment: Option<Enrolment>,
    /// Set while its access is taken back.
    #[serde(default)]
    pub revoked: Option<Revocation>,
}

/// Records of before schema 4 are of institutions only.
const fn institution() -> Role {
    Role::Institution
}

impl Member {
    /// Somebody nobody has heard of yet.
    #[must_use]
    pub fn unknown(identity: Identity) -> Self {
        let Identity { role, name } = identity;
        Self { role, name, invitation: None, enrolment: None, revoked: None }
    }

    /// A member with this key.
    #[must_use]
    pub fn enrolled(identity: Identity, key: Option<Key>, at: Timestamp) -> Self {
        let unknown = Digest::of(b"");
        let keys = key.map(Keys::new);
        let enrolment = Some(Enrolment {
            secret: unknown,
            request: unknown,
            at,
            keys,
            invited_by: None,
            signing_key: None,
            stated: None,
            policy: None,
        });
        Self { enrolment, ..Self::unknown(identity) }
    }

    /// Its role and name.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity { role: self.role, name: self.name.clone() }
    }

    /// Whether it has enrolled and its access was not taken back.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.enrolment.is_some() && self.revoked.is_none()
    }

    /// Its state. Who was revoked stays so until it joins again.
    #[must_use]
    pub const fn state(&self) -> MemberState {
        match (&self.revoked, &self.enrolment) {
            (Some(_), _) => MemberState::Revoked,
            (None, Some(_)) => MemberState::Joined,
            (None, None) => MemberState::Invited,
        }
    }

    /// When the certificate that it uses expires, as far as it is known.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        Some(self.enrolment.as_ref()?.keys.as_ref()?.current.expires_at)
    }

    /// Who has invited it the last time, as far as it is known.
    #[must_use]
    pub fn invited_by(&self) -> Option<&Actor> {
        let open = self.invitation.as_ref().and_then(|open| open.by.as_ref());
        open.or_else(|| self.enrolment.as_ref().and_then(|done| done.invited_by.as_ref()))
    }

    /// Whether it has access now: it has enrolled, its access was not taken back, and its certificate has not
    /// expired, as far as that is known.
    #[must_use]
    pub fn has_access(&self, now: Timestamp) -> bool {
        self.is_active() && self.expires_at().is_none_or(|at| now < at)
    }

    /// The key that it signs with, if it has enrolled one.
    #[must_use]
    pub fn signing_key(&self) -> Option<PublicKey> {
        self.enrolment.as_ref()?.signing_key
    }

    /// With this signing key, if it is enrolled.
    #[must_use]
    pub fn with_signing_key(&self, key: PublicKey) -> Self {
        let mut member = self.clone();
        if let Some(enrolment) = &mut member.enrolment {
            enrolment.signing_key = Some(key);
        }
        member
    }

    /// What it has said of its data set.
    #[must_use]
    pub fn stated(&self) -> Option<&Stated> {
        self.enrolment.as_ref()?.stated.as_deref()
    }

    /// What it shares of its policy.
    #[must_use]
    pub fn shared_policy(&self) -> Option<&SharedPolicy> {
        self.enrolment.as_ref()?.policy.as_deref()
    }

    /// With this shared of its policy, if it is enrolled.
    #[must_use]
    pub fn with_policy(&self, shared: SharedPolicy) -> Self {
        let mut member = self.clone();
        if let Some(enrolment) = &mut member.enrolment {
            enrolment.policy = Some(Box::new(shared));
        }
        member
    }

    /// With this said of its data set, if it is enrolled.
    #[must_use]
    pub fn with_stated(&self, stated: Stated) -> Self {
        let mut member = self.clone();
        if let Some(enrolment) = &mut member.enrolment {
            enrolment.stated = Some(Box::new(stated));
        }
        member
    }

    /// Whether lists show it.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.invitation.is_some() || self.revoked.as_ref().is_none_or(|revoked| !revoked.removed)
    }

    /// With an invitation, which replaces an open one. A member that is enrolled keeps its key until the
    /// invitation is redeemed with another one.
    #[must_use]
    pub fn invite(&self, secret: &str, valid_for: Duration, by: Actor, now: Timestamp) -> Self {
        let expires_at = now.plus(valid_for);
        let invitation = Invitation { secret: Digest::of(secret.as_bytes()), expires_at, by: Some(by) };
        Self { invitation: Some(invitation), ..self.clone() }
    }

    /// Without access, and without an open invitation.
    #[must_use]
    pub fn revoke(&self, revocation: Revocation) -> Self {
        Self { invitation: None, revoked: Some(revocation), ..self.clone() }
    }

    /// Redeems the invitation for a key: no other key counts from then on. Redeeming it again with the same
    /// request succeeds, so that a client whose answer got lost need not ask for another token.
    ///
    /// # Errors
    /// [`Reason::TokenInvalid`], [`Reason::TokenExpired`] or [`Reason::TokenUsed`].
    pub fn redeem(&self, secret: &str, request_pem: &str, key: Key, now: Timestamp) -> Result<Self, Refusal> {
        // Hashes are compared, not secrets: where two hashes differ says nothing about the secret.
        let secret = Digest::of(secret.as_bytes());
        let request = Digest::of(request_pem.as_bytes());
        if let Some(done) = self.enrolment.as_ref().filter(|done| done.secret == secret) {
            return match &self.revoked {
                Some(_) => Err(invalid()),
                None if done.request == request => Ok(self.clone()),
                None => Err(used(done.at)),
            };
        }
        match &self.invitation {
            Some(open) if open.secret == secret && now >= open.expires_at => Err(expired(open.expires_at)),
            Some(open) if open.secret == secret => {
                let (keys, invited_by) = (Some(Keys::new(key)), open.by.clone());
                // Signed with a new key, which is enrolled next; what was stated was signed with the old one.
                let enrolment = Some(Enrolment {
                    secret,
                    request,
                    at: now,
                    keys,
                    invited_by,
                    signing_key: None,
                    stated: None,
                    policy: None,
                });
                Ok(Self { invitation: None, enrolment, revoked: None, ..self.clone() })
            }
            Some(_) | None => Err(invalid()),
        }
    }
}

/// The refusal of a token that was never issued for this name, or was replaced by a newer one.
#[must_use]
pub fn invalid() -> Refusal {
    let message = "the join token is not valid for this name; ask an operator for a new one";
    Refusal::new(Reason::TokenInvalid, message)
}

fn expired(at: Timestamp) -> Refusal {
    let message = format!("the join token expired at {at}; ask an operator for a new one");
    Refusal::new(Reason::TokenExpired, message)
}

fn used(at: Timestamp) -> Refusal {
    let message = format!("the join token was used at {at}, with another key; ask an operator for a new one");
    Refusal::new(Reason::TokenUsed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn key() -> Key {
        Key { fingerprint: Digest::of(b"key"), expires_at: NOW.plus(DAY), authority: None }
    }

    fn invited() -> Member {
        invite(&Member::unknown(Identity::institution("west".parse().unwrap())), "secret")
    }

    fn invite(member: &Member, secret: &str) -> Member {
        member.invite(secret, DAY, Actor::Operator("ada".parse().unwrap()), NOW)
    }

    #[test]
    fn a_token_works_once_and_a_lost_answer_does_no_harm() {
        let enrolled = invited().redeem("secret", "request", key(), NOW).unwrap();
        let again = |request| enrolled.redeem("secret", request, key(), NOW.plus(DAY * 2));
        assert_eq!(again("request"), Ok(enrolled.clone()));
        assert_eq!(again("other").unwrap_err().reason, Reason::TokenUsed);
    }

    #[test]
    fn wrong_and_late_tokens_are_told_apart() {
        let redeem = |secret, at| invited().redeem(secret, "request", key(), at).unwrap_err().reason;
        assert_eq!(redeem("guess", NOW), Reason::TokenInvalid);
        assert_eq!(redeem("secret", NOW.plus(DAY)), Reason::TokenExpired);
    }

    #[test]
    fn a_new_invitation_replaces_the_old_one_and_keeps_the_enrolment_until_it_is_redeemed() {
        let enrolled = invited().redeem("secret", "request", key(), NOW).unwrap();
        assert_eq!(enrolled.invited_by().unwrap().to_string(), "operator:ada");
        let again = invite(&enrolled, "second");
        assert_eq!(again.enrolment, enrolled.enrolment);
        let replaced = invite(&again, "third");
        assert_eq!(replaced.redeem("second", "r", key(), NOW).unwrap_err().reason, Reason::TokenInvalid);
        assert!(replaced.redeem("third", "r", key(), NOW).is_ok());
    }

    #[test]
    fn a_revocation_ends_tokens_and_a_new_token_ends_the_revocation() {
        let enrolled = invited().redeem("secret", "request", key(), NOW).unwrap();
        let by = "ada".parse().unwrap();
        let revocation = Revocation { at: NOW, by, reason: "lost".to_owned(), removed: true };
        let revoked = invite(&enrolled, "second").revoke(revocation);
        assert!(!revoked.is_active() && !revoked.is_listed());
        for secret in ["secret", "second"] {
            let refused = revoked.redeem(secret, "request", key(), NOW).unwrap_err();
            assert_eq!(refused.reason, Reason::TokenInvalid);
        }
        let invited = invite(&revoked, "third");
        assert!(!invited.is_active() && invited.is_listed());
        assert!(invited.redeem("third", "request", key(), NOW).unwrap().is_active());
    }

    #[test]
    fn no_secret_is_kept() {
        assert!(!serde_json::to_string(&invited()).unwrap().contains("\"secret\":\"secret\""));
    }
}
