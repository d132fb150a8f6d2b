//! What must hold whatever happens.

use std::collections::BTreeMap;
use std::fmt;

use eosfed_aggregation::{Operand, Recipe, Server, Update, aggregate};
use eosfed_common::assignment::BlobRef;
use eosfed_common::ids::IdempotencyKey;
use eosfed_common::ledger::Verifier;
use eosfed_common::weights::{Signature, write};
use eosfed_coordinator::domain::closed::ClosedRound;
use eosfed_coordinator::domain::job::Job;
use eosfed_coordinator::domain::round::{Contribution, ParticipantState};
use eosfed_coordinator::engine::Core;
use eosfed_coordinator::storage::{Blobs, ready};

use crate::site::Site;

/// A rule that was broken, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(pub String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn broken(what: impl Into<String>) -> Result<(), Violation> {
    Err(Violation(what.into()))
}

/// Looks at a job that rests and at what the institutions remember.
///
/// # Errors
/// The first rule that does not hold.
pub fn judge(job: &Job, history: &[ClosedRound], sites: &[Site], blobs: &dyn Blobs) -> Result<(), Violation> {
    receipts(job, history, sites)?;
    let complete: Vec<_> = history.iter().filter(|closed| closed.complete).collect();
    for (index, closed) in complete.iter().enumerate() {
        if closed.round.index as usize != index {
            broken(format!("round {} was completed in place {index}", closed.round.index))?;
        }
        let counted = closed.round.submitted();
        let min = job.spec.participation().min;
        if counted < min as usize {
            broken(format!("round {index} closed with {counted} of {min}"))?;
        }
        let next = complete
            .get(index + 1)
            .map_or((job.global_model, job.optimizer_state), |next| (next.base, next.optimizer_state));
        recompute(job, &complete, closed, next, blobs)?;
    }
    for blob in job.needs() {
        if blobs.local(blob.digest).is_none() {
            broken(format!("{} is gone, and the job needs it", blob.digest))?;
        }
    }
    Ok(())
}

/// The ledger is one chain, and what is in memory is what its newest event says.
///
/// # Errors
/// Where it is broken.
pub fn ledger(core: &Core) -> Result<(), Violation> {
    let mut verifier = Verifier::default();
    for line in ready(core.events(0, usize::MAX)).unwrap() {
        verifier.line(&line).map_err(|broken| Violation(broken.to_string()))?;
    }
    let head = verifier.finish().unwrap().head;
    if head == ready(core.ledger_head()) { Ok(()) } else { broken(format!("the ledger ends at {head:?}")) }
}

/// Each acknowledged update is counted in exactly one round, or set aside with a reason in it; and
/// nothing is counted that its institution did not send.
fn receipts(job: &Job, history: &[ClosedRound], sites: &[Site]) -> Result<(), Violation> {
    let mut counted: BTreeMap<&IdempotencyKey, u32> = BTreeMap::new();
    // Attempts that came to nothing have handed what they had to the next.
    let last = job.current().or_else(|| history.last().map(|closed| &closed.round));
    let complete = history.iter().filter(|closed| closed.complete).map(|closed| &closed.round);
    let open = last.filter(|last| !history.iter().any(|one| one.complete && one.round.index == last.index));
    for round in complete.chain(open) {
        for (name, participant) in &round.participants {
            let aside = participant.rejections().filter_map(|rejection| rejection.key.as_ref());
            let submitted = match &participant.state {
                ParticipantState::Submitted { key, .. } => Some(key),
                _ => None,
            };
            let own = sites.iter().find(|site| site.name == *name).map(|site| &site.keys);
            if let Some(foreign) = submitted.filter(|key| own.is_some_and(|own| !own.contains(*key))) {
                broken(format!("an update of {name} counts that it never sent: {foreign}"))?;
            }
            for key in aside.chain(submitted) {
                *counted.entry(key).or_default() += 1;
            }
        }
    }
    for site in sites {
        for receipt in &site.receipts {
            match counted.get(&receipt.key) {
                Some(1) => {}
                found => {
                    let (name, round) = (&site.name, receipt.round);
                    broken(format!(
                        "an acknowledged update of {name} for round {round} is counted {found:?} times"
                    ))?;
                }
            }
        }
        for pair in site.receipts.windows(2) {
            if pair[0].key == pair[1].key && pair[0].at != pair[1].at {
                broken(format!("{} has two receipts for one update", site.name))?;
            }
        }
    }
    Ok(())
}

/// The weights after a round are those that its counted updates give, to the bit.
fn recompute(
    job: &Job,
    complete: &[&ClosedRound],
    closed: &ClosedRound,
    (next, next_memory): (Option<BlobRef>, Option<BlobRef>),
    blobs: &dyn Blobs,
) -> Result<(), Violation> {
    let rounds = &job.spec.federated().unwrap().rounds;
    let signature = job.target_of(&job.cohort[0]).unwrap().signature();
    let open = |blob: BlobRef, signature: &Signature| {
        Operand::open(&blobs.local(blob.digest).unwrap(), signature).unwrap()
    };
    let mut parts = Vec::new();
    for (name, contribution) in closed.round.contributions() {
        let Contribution::Update { weights, report, norm: _, since } = contribution else { continue };
        let behind = closed.round.index - since;
        let base = (behind > 0).then(|| open(complete[*since as usize].base.unwrap(), &signature));
        let exponent = rounds.asynchronous.map_or(0.0, |rules| rules.exponent);
        parts.push((
            open(*weights, &signature),
            (name, report.samples, (1.0 + f64::from(behind)).powf(-exponent)),
            base,
        ));
    }
    let facts: Vec<_> = parts.iter().map(|(_, facts, _)| *facts).collect();
    let weights = eosfed_coordinator::domain::weighting::weights(&rounds.weighting, rounds.max_share, &facts);
    let updates: Vec<_> = (parts.iter().zip(weights))
        .map(|((weights, _, base), weight)| Update { weights, weight, base: base.as_ref() })
        .collect();
    let (strategy, server) = (rounds.strategy, rounds.server);
    let names = Server::of(strategy, server).memory(&signature);
    let memory = closed.optimizer_state.zip(names.as_ref()).map(|(blob, names)| open(blob, names));
    let now = open(closed.base.unwrap(), &signature);
    let (memory, step) = (memory.as_ref(), closed.round.index);
    let recipe = Recipe { strategy, server, signature: &signature, now: &now, memory, step };
    let made = aggregate(&recipe, &updates).unwrap();
    let file = blobs.stage().unwrap();
    if Some(write(file.path(), &signature, &made.weights).unwrap()) != next.map(|blob| blob.digest) {
        broken(format!("the weights after round {step} are not those of its updates"))?;
    }
    if let (Some(memory), Some(names)) = (&made.memory, &names)
        && Some(write(file.path(), names, memory).unwrap()) != next_memory.map(|blob| blob.digest)
    {
        broken(format!("the server step after round {step} remembers something else"))?;
    }
    Ok(())
}
