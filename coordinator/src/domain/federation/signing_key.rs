//! The signing keys of institutions: enrolled with a certificate, replaced by enrolling again.

use eosfed_common::identity::Identity;
use eosfed_common::ids::InstitutionName;
use eosfed_common::ledger::EventKind;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::signing::{KeySignature, PublicKey, Statement};

use super::Federation;
use super::members::about;
use crate::domain::change::Change;
use crate::domain::member::Member;

impl Federation {
    /// Adds a signing key to the change of an enrolment or of a renewal. A renewal may bring the first key
    /// of an institution, and does not replace one: a stolen certificate must not change who signs.
    ///
    /// # Errors
    /// [`Reason::Forbidden`] if another key is enrolled.
    pub fn with_signing_key(
        &self,
        mut change: Change,
        identity: &Identity,
        key: Option<PublicKey>,
    ) -> Result<Change, Refusal> {
        let Some(key) = key else { return Ok(change) };
        let changed = change.members.iter_mut().find(|one| one.identity() == *identity);
        let known = match &changed {
            Some(member) => member.signing_key(),
            None => self.members.get(identity).and_then(Member::signing_key),
        };
        match (known, changed) {
            (None, Some(member)) => {
                *member = member.with_signing_key(key);
                let kind = EventKind::SigningKeyEnrolled { key };
                change.events.push(about(identity.clone().into(), identity, kind));
                Ok(change)
            }
            (Some(known), _) if known == key => Ok(change),
            (Some(_) | None, _) => Err(other_key(identity)),
        }
    }

    /// Checks that an institution has signed a statement with the key that it has enrolled.
    ///
    /// # Errors
    /// [`Reason::NotSigned`] with what to do.
    pub fn check_signed<S: Statement>(
        &self,
        institution: &InstitutionName,
        statement: &S,
        signature: &KeySignature,
    ) -> Result<(), Refusal> {
        let member = self.members.get(&Identity::institution(institution.clone()));
        let Some(key) = member.and_then(Member::signing_key) else {
            let message = format!(
                "institution `{institution}` has enrolled no signing key; its client does so when it renews its \
                 certificate, at its next start"
            );
            return Err(Refusal::new(Reason::NotSigned, message));
        };
        signature.verify(statement, &[key]).map_err(|error| {
            let message = format!(
                "the signature of institution `{institution}` under its {} does not count: {error}",
                S::KIND
            );
            Refusal::new(Reason::NotSigned, message)
        })
    }
}

fn other_key(identity: &Identity) -> Refusal {
    let message = format!(
        "{} has enrolled another signing key, which only a new enrolment replaces: ask an operator for a token \
         (`eosfed institution re-enrol {}`)",
        identity.shown(),
        identity.name
    );
    Refusal::new(Reason::Forbidden, message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use eosfed_common::digest::Digest;
    use eosfed_common::ledger::Actor;
    use eosfed_common::signing::StatisticsStatement;
    use eosfed_testkit::signing;

    use super::*;
    use crate::domain::member::keys::Key;
    use crate::testing::{NOW, name};

    fn key(of: u8) -> Key {
        Key { fingerprint: Digest::of(&[of]), expires_at: NOW.plus(Duration::from_secs(60)), authority: None }
    }

    fn west() -> Identity {
        Identity::institution(name("west"))
    }

    /// West has joined before there were signing keys.
    fn before() -> Federation {
        let mut federation = Federation::default();
        let members = vec![Member::enrolled(west(), Some(key(1)), NOW)];
        federation.merge(Change { members, ..Change::default() });
        federation
    }

    fn renewed(federation: &Federation, signing_key: &str) -> Result<Federation, Refusal> {
        let change = federation.renew(&west(), key(1), key(1), NOW).unwrap();
        let public = signing::institution(signing_key).public();
        let mut after = federation.clone();
        after.merge(federation.with_signing_key(change, &west(), Some(public))?);
        Ok(after)
    }

    #[test]
    fn a_renewal_brings_the_first_signing_key_and_replaces_none() {
        let first = renewed(&before(), "west").unwrap();
        assert_eq!(renewed(&first, "west").unwrap(), first);
        assert_eq!(renewed(&first, "thief").unwrap_err().reason, Reason::Forbidden);
    }

    #[test]
    fn a_new_enrolment_replaces_the_signing_key_and_a_repeated_one_does_not() {
        let mut federation = renewed(&before(), "west").unwrap();
        let mut invited = federation.members[&west()].clone();
        invited = invited.invite("secret", Duration::from_secs(60), Actor::Operator(name("ada")), NOW);
        federation.members.insert(west(), invited);
        let redeemed = |federation: &Federation, signing_key: &str| {
            let change = federation.redeem(&west(), "secret", "request", key(2), NOW).unwrap();
            let public = signing::institution(signing_key).public();
            federation.with_signing_key(change, &west(), Some(public))
        };
        let change = redeemed(&federation, "new west").unwrap();
        federation.merge(change);
        let key = federation.members[&west()].signing_key();
        assert_eq!(key, Some(signing::institution("new west").public()));
        assert!(redeemed(&federation, "new west").unwrap().is_empty());
        assert_eq!(redeemed(&federation, "thief").unwrap_err().reason, Reason::Forbidden);
    }

    #[test]
    fn a_statement_counts_with_the_enrolled_key_only() {
        let federation = renewed(&before(), "west").unwrap();
        let assignment = "j-0a1b2c3d.0.1.west".parse().unwrap();
        let statement = StatisticsStatement { assignment, bands: Digest::of(b"") };
        let signed = |by: &str, of: &str| {
            let signature = signing::institution(by).sign(&statement);
            federation.check_signed(&name(of), &statement, &signature).map_err(|refusal| refusal.message)
        };
        assert_eq!(signed("west", "west"), Ok(()));
        assert!(signed("east", "west").unwrap_err().contains("institution `west` under its statistics"));
        assert!(signed("east", "east").unwrap_err().contains("no signing key"));
    }
}
