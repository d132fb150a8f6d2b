//! The simulation's record of an institution: its behaviour, its submissions and the answers. It checks the
//! invariants of the daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use eosfed_client::retry::{Recovery, recovery};
use eosfed_common::assignment::BlobRef;
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::ids::{AssignmentId, IdempotencyKey, InstitutionName};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::weights::{Signature, Tensors, write};

use crate::network::{Answer, Call, Submission};

/// How an institution behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// It is honest and works.
    Honest,
    /// Its training gives NaN, which its daemon must not send.
    Diverges,
    /// It sometimes declines or fails, and its data and its disk are sometimes unavailable.
    Unreliable,
    /// From some point in time its site policy lets nothing leave.
    Withdraws,
    /// Its client is malicious: its uploads hold NaN.
    SendsNotFinite,
    /// Its client is malicious: the values of its uploads are a thousand times too large.
    SendsHuge,
    /// Its client is malicious: its uploads lack a tensor.
    SendsMisshapen,
}

impl Behaviour {
    /// Whether its client is malicious.
    #[must_use]
    pub const fn is_malicious(self) -> bool {
        matches!(self, Self::SendsNotFinite | Self::SendsHuge | Self::SendsMisshapen)
    }
}

/// A planted mistake of daemons, which must be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// They start from an empty journal.
    ForgottenJournal,
    /// They submit each time under another idempotency key.
    NewKeys,
}

/// A receipt: the coordinator has acknowledged a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Index of the round.
    pub round: u32,
    /// The call's key.
    pub key: IdempotencyKey,
    /// When the result was recorded.
    pub at: Timestamp,
}

/// An institution.
#[derive(Debug)]
pub struct Site {
    /// Its name.
    pub name: InstitutionName,
    /// How it behaves.
    pub behaviour: Behaviour,
    /// What the coordinator has acknowledged.
    pub receipts: Vec<Receipt>,
    /// The keys of all work that its journal ever held.
    pub keys: BTreeSet<IdempotencyKey>,
    /// What it has submitted, by key.
    pub sent: BTreeMap<IdempotencyKey, Submission>,
    /// The newest result, until there is a final answer to it.
    unanswered: Option<(AssignmentId, IdempotencyKey)>,
    /// The blobs that were uploaded instead of other weights.
    forged: BTreeMap<Digest, BlobRef>,
    /// The signature of the weights that it is asked for, if it is asked for some.
    signature: Option<Signature>,
}

impl Site {
    /// An institution without submissions, whose weights have this signature.
    #[must_use]
    pub fn new(name: InstitutionName, behaviour: Behaviour, signature: Option<Signature>) -> Self {
        Self {
            name,
            behaviour,
            receipts: Vec::new(),
            keys: BTreeSet::new(),
            sent: BTreeMap::new(),
            unanswered: None,
            forged: BTreeMap::new(),
            signature,
        }
    }

    /// Records a result in the journal.
    ///
    /// # Errors
    /// If another one has no final answer yet.
    pub fn has_result(&mut self, id: &AssignmentId, key: &IdempotencyKey) -> Result<(), String> {
        if let Some((earlier, other)) = self.unanswered.as_ref().filter(|(_, other)| other != key) {
            return Err(format!(
                "{} has a result of {id} under key {key} while there is no final answer to {earlier} under \
                 key {other}",
                self.name
            ));
        }
        self.unanswered = Some((id.clone(), key.clone()));
        Ok(())
    }

    /// Records a submission that leaves the daemon.
    ///
    /// # Errors
    /// If the daemon submits another result before the final answer, or other content under the same key.
    pub fn submits(&mut self, submission: &Submission) -> Result<(), String> {
        let id = submission.assignment();
        let key = submission.key();
        self.has_result(id, key)?;
        let Some(first) = self.sent.get(key) else {
            self.sent.insert(key.clone(), submission.clone());
            return Ok(());
        };
        let lease = match first {
            Submission::Update(update) => update.token.clone(),
            Submission::Statistics(statistics) => statistics.token.clone(),
            Submission::Scores(scores) => scores.token.clone(),
        };
        // Points may have come with a heartbeat since. They are told of the work, and are no part of its result.
        if submission.clone().under(lease).without_points() == first.clone().without_points() {
            return Ok(());
        }
        Err(format!("{} submits {id} under key {key} again, with another content", self.name))
    }

    /// Whether a training or an evaluation may begin.
    ///
    /// # Errors
    /// If a result has no final answer yet.
    pub fn starts_trainer(&self) -> Result<(), String> {
        match &self.unanswered {
            None => Ok(()),
            Some((id, key)) => Err(format!(
                "{} starts its trainer while there is no final answer to {id} under key {key}",
                self.name
            )),
        }
    }

    /// Records an acknowledged submission.
    pub fn acknowledged(&mut self, submission: &Submission, at: Timestamp) {
        let round = submission.assignment().round;
        let key = submission.key().clone();
        self.receipts.push(Receipt { round, key, at });
    }

    /// Records an answer that has reached the daemon.
    ///
    /// # Errors
    /// If the coordinator has refused weights that the daemon should not have sent.
    pub fn answered(&mut self, call: &Call, answer: &Result<Answer, Refusal>) -> Result<(), String> {
        let Some((held, _)) = &self.unanswered else { return Ok(()) };
        let final_for = match answer {
            Ok(_) => call.concludes(),
            Err(refusal) => match recovery(refusal.reason) {
                Recovery::Abandon | Recovery::Halt => call.may_end(held),
                Recovery::Retry | Recovery::Reaccept => None,
            },
        };
        if final_for == Some(held) {
            self.unanswered = None;
        }
        match answer {
            Err(refusal) if !self.behaviour.is_malicious() && is_about_weights(refusal.reason) => {
                Err(format!("{} has sent weights that its daemon should have kept: {refusal}", self.name))
            }
            _ => Ok(()),
        }
    }

    /// The bytes that are uploaded for a file of weights.
    pub fn to_upload(&mut self, path: &Path, blob: BlobRef) -> (Vec<u8>, BlobRef) {
        if let (true, Some(signature)) = (self.behaviour.is_malicious(), &self.signature) {
            let bytes = match read(path, signature) {
                Some(mut tensors) => {
                    let forged = path.with_extension("forged");
                    let mut signature = signature.clone();
                    corrupt(self.behaviour, &mut signature, &mut tensors);
                    write(&forged, &signature, &tensors).unwrap();
                    std::fs::read(&forged).unwrap()
                }
                None => corrupt_step(self.behaviour, std::fs::read(path).unwrap()),
            };
            let other = BlobRef { digest: Digest::of(&bytes), size: bytes.len() as u64 };
            self.forged.insert(blob.digest, other);
            return (bytes, other);
        }
        (std::fs::read(path).unwrap(), blob)
    }

    /// The blob that was uploaded instead of these weights.
    #[must_use]
    pub fn uploaded(&self, blob: BlobRef) -> BlobRef {
        self.forged.get(&blob.digest).copied().unwrap_or(blob)
    }
}

/// Reasons of refusals that a check of a file of weights gives.
const fn is_about_weights(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::WeightsMalformed
            | Reason::TensorSet
            | Reason::ShapeMismatch
            | Reason::DtypeMismatch
            | Reason::NotFinite
    )
}

/// The weights of a file; nothing if it holds an encoded step.
fn read(path: &Path, signature: &Signature) -> Option<Tensors> {
    let file = eosfed_common::weights::WeightsFile::open(path).unwrap();
    let checked = file.check(signature).ok()?;
    Some(signature.0.keys().map(|name| (name.clone(), checked.values(name).iter().collect())).collect())
}

/// An encoded step in whose last values every bit is set, or nearly, or that is shorter.
fn corrupt_step(behaviour: Behaviour, mut bytes: Vec<u8>) -> Vec<u8> {
    let last = bytes.len() - 4;
    match behaviour {
        Behaviour::Honest | Behaviour::Diverges | Behaviour::Unreliable | Behaviour::Withdraws => {}
        Behaviour::SendsNotFinite => bytes[last..].fill(0xFF),
        Behaviour::SendsHuge => bytes[last..].fill(0x7E),
        Behaviour::SendsMisshapen => bytes.truncate(last),
    }
    bytes
}

fn corrupt(behaviour: Behaviour, signature: &mut Signature, tensors: &mut Tensors) {
    let first = signature.0.keys().next().unwrap().clone();
    match behaviour {
        Behaviour::Honest | Behaviour::Diverges | Behaviour::Unreliable | Behaviour::Withdraws => {}
        Behaviour::SendsNotFinite => tensors.get_mut(&first).unwrap()[0] = f32::NAN,
        Behaviour::SendsHuge => {
            tensors.values_mut().flatten().for_each(|value| *value = (*value + 0.1) * 1000.0);
        }
        Behaviour::SendsMisshapen => {
            signature.0.remove(&first);
            tensors.remove(&first);
        }
    }
}
