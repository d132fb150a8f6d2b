//! What the coordinator signs: assignments, cards and releases. Whoever has a pulled release verifies it here,
//! without a coordinator.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::assignment::{Assignment, Offered};
use crate::card::{Card, LedgerHead, ReleaseManifest, TrainingMode};
use crate::ids::InstitutionName;
use crate::ledger::EventRef;
use crate::signing::{BadSignature, PublicKey, SignedUpdate, SigningKey, Statement};

/// Everything of a card except its signature.
struct CardStatement<'a>(&'a Card);

/// What an assignment says, without the state of its lease.
pub struct AssignmentStatement<'a>(pub &'a Assignment<Offered>);

/// Everything of a release except its signature.
struct ReleaseStatement<'a>(&'a ReleaseManifest);

fn unsigned<T: Serialize>(value: &T) -> Value {
    let mut value = serde_json::to_value(value).expect("a statement is plain data");
    if let Some(members) = value.as_object_mut() {
        members.remove("signature");
    }
    value
}

impl Statement for CardStatement<'_> {
    const KIND: &'static str = "card";

    fn content(&self) -> Value {
        unsigned(self.0)
    }
}

impl Statement for ReleaseStatement<'_> {
    const KIND: &'static str = "release";

    fn content(&self) -> Value {
        unsigned(self.0)
    }
}

impl Statement for AssignmentStatement<'_> {
    const KIND: &'static str = "assignment";

    fn content(&self) -> Value {
        let mut value = serde_json::to_value(self.0).expect("a statement is plain data");
        if let Some(members) = value.as_object_mut() {
            members.remove("accepted");
        }
        value
    }
}

/// Why a card or a release is not verified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// It has no signature.
    #[error("{0} is not signed: it was made by a coordinator of before there were signatures")]
    Unsigned(String),
    /// The coordinator's signature does not count.
    #[error("{what}: {why}")]
    Coordinator {
        /// The card or the release.
        what: String,
        /// Why not.
        why: BadSignature,
    },
    /// The signature of an institution does not count.
    #[error("{what}: the update of institution `{institution}`: {why}")]
    Institution {
        /// The card.
        what: String,
        /// Who.
        institution: InstitutionName,
        /// Why not.
        why: BadSignature,
    },
    /// The update of an institution is not one of this specialist.
    #[error("{what}: the signed update of institution `{institution}` must be {rule}, found `{found}`")]
    Update {
        /// The card.
        what: String,
        /// Who.
        institution: InstitutionName,
        /// The rule.
        rule: String,
        /// What was found.
        found: String,
    },
    /// A specialist of one institution without its signed update.
    #[error("{what}: a one-shot specialist has one signed update of its institution, found {found}")]
    Missing {
        /// The card.
        what: String,
        /// How many there are.
        found: usize,
    },
    /// A signed release without the head of the ledger.
    #[error("release {0}: `ledger`, the newest event when it was created, is missing")]
    NoLedger(u32),
}

/// The keys of institutions by name, from the cards' updates.
fn institution_keys(cards: &[Card]) -> BTreeMap<InstitutionName, Vec<PublicKey>> {
    let mut keys: BTreeMap<_, Vec<PublicKey>> = BTreeMap::new();
    for SignedUpdate { statement, signature } in cards.iter().flat_map(|card| &card.updates) {
        let known = keys.entry(statement.assignment.institution.clone()).or_default();
        if !known.contains(&signature.key) {
            known.push(signature.key);
        }
    }
    keys
}

impl Card {
    /// Signs it. Nothing of it may change afterwards.
    pub fn sign(&mut self, key: &SigningKey) {
        self.signature = Some(key.sign(&CardStatement(self)));
    }

    /// Its name and version, for sentences.
    fn shown(&self) -> String {
        format!("the card of `{}`", self.reference())
    }

    /// Checks the coordinator's signature, and those of institutions with the keys that `institution` gives.
    ///
    /// # Errors
    /// The first of them that does not hold; [`Unverified::Unsigned`].
    pub fn verify(
        &self,
        coordinator: &[PublicKey],
        institution: impl Fn(&InstitutionName, PublicKey) -> Vec<PublicKey>,
    ) -> Result<(), Unverified> {
        let what = self.shown();
        let signature = self.signature.ok_or_else(|| Unverified::Unsigned(what.clone()))?;
        signature
            .verify(&CardStatement(self), coordinator)
            .map_err(|why| Unverified::Coordinator { what: what.clone(), why })?;
        let found = self.updates.len();
        if self.provenance.mode == TrainingMode::OneShot && found != 1 {
            return Err(Unverified::Missing { what, found });
        }
        self.updates.iter().try_for_each(|update| self.verify_update(update, &institution))
    }

    fn verify_update(
        &self,
        update: &SignedUpdate,
        keys: &impl Fn(&InstitutionName, PublicKey) -> Vec<PublicKey>,
    ) -> Result<(), Unverified> {
        let SignedUpdate { statement, signature } = update;
        let institution = statement.assignment.institution.clone();
        let of = &self.provenance;
        let wrong = |rule: String, found: String| Unverified::Update {
            what: self.shown(),
            institution: institution.clone(),
            rule,
            found,
        };
        if statement.assignment.job != of.job {
            return Err(wrong(format!("of job {}", of.job), statement.assignment.job.to_string()));
        }
        if !of.institutions.contains(&institution) {
            let named: Vec<_> = of.institutions.iter().map(InstitutionName::as_str).collect();
            return Err(wrong(format!("of one of {}", named.join(", ")), institution.to_string()));
        }
        let own = statement.weights == self.weights && statement.weights_bytes == self.weights_bytes;
        if of.mode == TrainingMode::OneShot && !own {
            let rule = format!("of the weights {} of {} bytes", self.weights, self.weights_bytes);
            return Err(wrong(rule, format!("{} of {} bytes", statement.weights, statement.weights_bytes)));
        }
        let known = keys(&institution, signature.key);
        update.verify(&known).map_err(|why| Unverified::Institution {
            what: self.shown(),
            institution: institution.clone(),
            why,
        })
    }
}

impl ReleaseManifest {
    /// Fills in the head of the ledger and the keys of institutions, and signs it.
    pub fn sign(&mut self, ledger: Option<EventRef>, key: &SigningKey) {
        self.ledger = ledger.map(|EventRef { sequence, hash }| LedgerHead { sequence, hash });
        self.institution_keys = institution_keys(&self.specialists);
        self.signature = Some(key.sign(&ReleaseStatement(self)));
    }

    /// Checks the coordinator's signature, which covers the cards too.
    ///
    /// # Errors
    /// If there is none, or it does not count.
    pub fn verify_signature(&self, coordinator: &[PublicKey]) -> Result<(), Unverified> {
        let what = format!("release {}", self.number);
        let signature = self.signature.ok_or_else(|| Unverified::Unsigned(what.clone()))?;
        let verified = signature.verify(&ReleaseStatement(self), coordinator);
        verified.map_err(|why| Unverified::Coordinator { what, why })
    }

    /// Checks the coordinator's signatures of the release and of its cards, and those of institutions. What
    /// has no signature is an error, unless `allow_unsigned`: then it is listed.
    ///
    /// # Errors
    /// The first signature that is missing or does not count.
    pub fn verify(&self, coordinator: &[PublicKey], allow_unsigned: bool) -> Result<Vec<String>, Unverified> {
        let mut notes = Vec::new();
        let mut note = |checked: Result<(), Unverified>| match checked {
            Err(unsigned @ Unverified::Unsigned(_)) if allow_unsigned => {
                notes.push(unsigned.to_string());
                Ok(())
            }
            other => other,
        };
        note(self.verify_signature(coordinator))?;
        if self.signature.is_some() && self.ledger.is_none() {
            return Err(Unverified::NoLedger(self.number.0));
        }
        for card in &self.specialists {
            let keys =
                |name: &InstitutionName, _| self.institution_keys.get(name).cloned().unwrap_or_default();
            note(card.verify(coordinator, keys))?;
        }
        Ok(notes)
    }

    /// The newest event of the ledger when it was created.
    #[must_use]
    pub fn ledger_event(&self) -> Option<EventRef> {
        self.ledger.map(|LedgerHead { sequence, hash }| EventRef { sequence, hash })
    }
}

#[cfg(test)]
mod tests;
