//! Who may call: invitations, enrolment, keys, and taking access back.

use std::time::Duration;

use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::identity::{Identity, Role};
use eosfed_common::ids::InstitutionName;
use eosfed_common::ledger::{Actor, Entry, EventKind};
use eosfed_common::refusal::{Reason, Refusal};

use super::Federation;
use crate::domain::change::Change;
use crate::domain::member::keys::{Key, KeyStatus, not_enrolled};
use crate::domain::member::{MAX_VALIDITY, Member, Revocation, invalid};

/// Longest reason of a revocation, in bytes.
pub const MAX_REASON: usize = 400;

/// An invitation that an operator wants to make.
#[derive(Debug, Clone, Copy)]
pub struct Invite<'a> {
    /// The secret of its token.
    pub secret: &'a str,
    /// How long it is open.
    pub valid_for: Duration,
    /// Whether it is for somebody who has enrolled before, or whose access was taken back.
    pub again: bool,
}

/// A revocation that an operator wants to make.
#[derive(Debug, Clone)]
pub struct Revoke {
    /// Whose access.
    pub of: Identity,
    /// Why.
    pub reason: String,
    /// Whether lists are to leave the member out.
    pub remove: bool,
}

impl Federation {
    /// Institutions, by name.
    pub fn institutions(&self) -> impl Iterator<Item = &Member> {
        self.members_of(Role::Institution)
    }

    /// Members of a role, by name.
    pub fn members_of(&self, role: Role) -> impl Iterator<Item = &Member> {
        self.members.values().filter(move |one| one.role == role)
    }

    /// A member, whether lists show it or not.
    ///
    /// # Errors
    /// [`Reason::NotFound`].
    pub fn member(&self, identity: &Identity) -> Result<&Member, Refusal> {
        self.members.get(identity).ok_or_else(|| unknown(identity))
    }

    /// The members that have access by a certificate of another authority than the one of this name.
    #[must_use]
    pub fn certified_by_another(&self, authority: &Digest, now: Timestamp) -> Vec<Identity> {
        let by_another = |one: &&Member| {
            let keys = one.enrolment.as_ref().and_then(|done| done.keys.as_ref());
            keys.and_then(|keys| keys.current.authority).as_ref() != Some(authority)
        };
        let active = self.members.values().filter(|one| one.has_access(now));
        active.filter(by_another).map(Member::identity).collect()
    }

    /// The members whose certificates expire within this time, or have expired, each with when.
    pub fn expiring(&self, within: Duration, now: Timestamp) -> impl Iterator<Item = (Identity, Timestamp)> {
        let active = self.members.values().filter(|one| one.is_active());
        active.filter_map(move |one| {
            let at = one.expires_at()?;
            (at.since(now) < within).then(|| (one.identity(), at))
        })
    }

    /// What a key is to the member that a certificate names.
    ///
    /// # Errors
    /// As [`Member::key_status`].
    pub fn key_status(&self, identity: &Identity, key: &Key, now: Timestamp) -> Result<KeyStatus, Refusal> {
        self.members.get(identity).ok_or_else(|| not_enrolled(identity))?.key_status(key, now)
    }

    /// Invites somebody.
    ///
    /// # Errors
    /// [`Reason::Malformed`] if the invitation would be open for no time or for too long;
    /// [`Reason::WrongState`] if somebody who is enrolled is invited as if for the first time;
    /// [`Reason::NotFound`] if nobody of this name was there before who is invited again.
    pub fn invite(
        &self,
        identity: &Identity,
        invite: Invite<'_>,
        by: Actor,
        now: Timestamp,
    ) -> Result<Change, Refusal> {
        let Invite { secret, valid_for, again } = invite;
        if valid_for.is_zero() || valid_for > MAX_VALIDITY {
            let message = format!(
                "an invitation may be open for 1 second to 30 days, found `{}s`",
                valid_for.as_secs()
            );
            return Err(Refusal::new(Reason::Malformed, message));
        }
        let known = self.members.get(identity);
        let enrolled = known.is_some_and(|one| one.enrolment.is_some());
        match (enrolled, again) {
            (true, false) => return Err(enrolled_already(identity)),
            (false, true) => return Err(never_enrolled(identity)),
            (true, true) | (false, false) => {}
        }
        let member = known.cloned().unwrap_or_else(|| Member::unknown(identity.clone()));
        let expires_at = now.plus(valid_for);
        let kind = match identity.role {
            Role::Institution => EventKind::InstitutionInvited { expires_at },
            Role::Operator | Role::Reader => {
                EventKind::PersonInvited { person: identity.clone().into(), expires_at }
            }
        };
        let events = vec![about(by.clone(), identity, kind)];
        Ok(Change { members: vec![member.invite(secret, valid_for, by, now)], events, ..Change::default() })
    }

    /// Redeems an invitation. Doing so again, with the same request, changes nothing.
    ///
    /// # Errors
    /// A reason of the `TOKEN_` family.
    pub fn redeem(
        &self,
        identity: &Identity,
        secret: &str,
        request_pem: &str,
        key: Key,
        now: Timestamp,
    ) -> Result<Change, Refusal> {
        let before = self.members.get(identity).ok_or_else(invalid)?;
        let after = before.redeem(secret, request_pem, key, now)?;
        if after == *before {
            return Ok(Change::default());
        }
        let (request, key) = (Digest::of(request_pem.as_bytes()), Some(key.fingerprint));
        let kind = match identity.role {
            Role::Institution => EventKind::InstitutionEnrolled { request, key },
            Role::Operator | Role::Reader => EventKind::PersonEnrolled { request, key },
        };
        Ok(own(after, kind))
    }

    /// Makes the first operator, of the identity that lies in the coordinator's own state folder; nothing
    /// when there is an operator, or has been one.
    #[must_use]
    pub fn first_operator(&self, name: &InstitutionName, key: Key, now: Timestamp) -> Change {
        if self.members_of(Role::Operator).any(|one| one.enrolment.is_some()) {
            return Change::default();
        }
        let identity = Identity { role: Role::Operator, name: name.clone() };
        let person = Actor::from(identity.clone());
        let kind = EventKind::FirstOperator { person, key: key.fingerprint };
        let events = vec![Entry::new(Actor::Coordinator, kind)];
        let members = vec![Member::enrolled(identity, Some(key), now)];
        Change { members, events, ..Change::default() }
    }

    /// Notes that a key is used for the first time.
    ///
    /// # Errors
    /// As [`Member::key_status`].
    pub fn use_key(&self, identity: &Identity, key: Key, now: Timestamp) -> Result<Change, Refusal> {
        let before = self.members.get(identity).ok_or_else(|| not_enrolled(identity))?;
        let after = before.use_key(key, now)?;
        if after == *before {
            return Ok(Change::default());
        }
        Ok(own(after, EventKind::KeyUsed { key: key.fingerprint }))
    }

    /// Adds the key of a renewal that was asked for with the key `used`.
    ///
    /// # Errors
    /// As [`Member::renew`].
    pub fn renew(
        &self,
        identity: &Identity,
        used: Key,
        renewed: Key,
        now: Timestamp,
    ) -> Result<Change, Refusal> {
        let before = self.members.get(identity).ok_or_else(|| not_enrolled(identity))?;
        let after = before.renew(used, renewed, now)?;
        let Key { fingerprint, expires_at, authority: _ } = renewed;
        Ok(own(after, EventKind::CertificateRenewed { expires_at, key: Some(fingerprint) }))
    }

    /// Takes access back, until the member redeems another invitation. Doing so again changes only whether
    /// lists leave it out.
    ///
    /// # Errors
    /// [`Reason::NotFound`]; [`Reason::WrongState`] for the last operator whose certificate is valid; [`Reason::TooLarge`] for a reason
    /// that is too long.
    pub fn revoke(&self, revoke: Revoke, by: InstitutionName, now: Timestamp) -> Result<Change, Refusal> {
        let Revoke { of, reason, remove } = revoke;
        if reason.len() > MAX_REASON {
            let message = format!("a reason has at most {MAX_REASON} bytes, found {}", reason.len());
            return Err(Refusal::new(Reason::TooLarge, message));
        }
        let before = self.member(&of)?;
        let done = before.revoked.as_ref().is_some_and(|revoked| revoked.removed || !remove);
        if done && before.invitation.is_none() {
            return Ok(Change::default());
        }
        let mut others =
            self.members_of(Role::Operator).filter(|one| one.has_access(now) && one.name != of.name);
        if of.role == Role::Operator && before.has_access(now) && others.next().is_none() {
            return Err(last_operator(&of.name));
        }
        let revocation = Revocation { at: now, by: by.clone(), reason: reason.clone(), removed: remove };
        let kind = match of.role {
            Role::Institution => EventKind::InstitutionRevoked { reason, removed: remove },
            Role::Operator | Role::Reader => {
                EventKind::PersonRevoked { person: of.clone().into(), reason, removed: remove }
            }
        };
        let events = vec![about(Actor::Operator(by), &of, kind)];
        Ok(Change { members: vec![before.revoke(revocation)], events, ..Change::default() })
    }
}

/// An event about a member; the ledger names institutions apart.
pub(super) fn about(actor: Actor, identity: &Identity, kind: EventKind) -> Entry {
    let entry = Entry::new(actor, kind);
    match identity.role {
        Role::Institution => entry.at(&identity.name),
        Role::Operator | Role::Reader => entry,
    }
}

/// What a member itself has done.
fn own(member: Member, kind: EventKind) -> Change {
    let identity = member.identity();
    let events = vec![about(identity.clone().into(), &identity, kind)];
    Change { members: vec![member], events, ..Change::default() }
}

fn enrolled_already(identity: &Identity) -> Refusal {
    let Identity { role, name } = identity;
    let message = format!(
        "{} is enrolled already; `eosfed {role} re-enrol {name}` makes a token with which it can join again \
         with a new key",
        identity.shown()
    );
    Refusal::new(Reason::WrongState, message)
}

fn never_enrolled(identity: &Identity) -> Refusal {
    let Identity { role, name } = identity;
    let message =
        format!("{} has never enrolled; invite it with `eosfed {role} invite {name}`", identity.shown());
    Refusal::new(Reason::NotFound, message)
}

fn last_operator(name: &InstitutionName) -> Refusal {
    let message = format!(
        "`{name}` is the last operator with a valid certificate; first invite another one with `eosfed operator \
         invite NAME` and let them join with the token, then revoke this one"
    );
    Refusal::new(Reason::WrongState, message)
}

fn unknown(identity: &Identity) -> Refusal {
    let message = format!("there is no {}; check its role and its name", identity.shown());
    Refusal::new(Reason::NotFound, message)
}

#[cfg(test)]
mod tests;
