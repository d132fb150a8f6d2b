//! The invariants of a simulation.

use std::collections::BTreeMap;
use std::fmt;

use eosfed_aggregation::{AggregationInput, Server, Update, WeightsReader, aggregate};
use eosfed_common::assignment::BlobRef;
use eosfed_common::card::{Card, TrainingMode};
use eosfed_common::ids::IdempotencyKey;
use eosfed_common::ledger::Verifier;
use eosfed_common::model::{named, signature, warm_start};
use eosfed_common::plan::JobSpec;
use eosfed_common::report::EvaluationReport;
use eosfed_common::weights::{Signature, WeightsFile, write};
use eosfed_coordinator::domain::closed::ClosedRound;
use eosfed_coordinator::domain::job::Job;
use eosfed_coordinator::domain::round::{Contribution, ParticipantState, RoundKind};
use eosfed_coordinator::domain::statistics::pool;
use eosfed_coordinator::engine::Core;
use eosfed_coordinator::storage::{Blobs, ready};

use crate::network::Submission;
use crate::site::Site;

/// A violation of an invariant.
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

/// Checks a job that has ended against the records of the institutions.
///
/// # Errors
/// The first violation.
pub fn check_invariants(
    core: &Core,
    job: &Job,
    history: &[ClosedRound],
    sites: &[Site],
    blobs: &dyn Blobs,
) -> Result<(), Violation> {
    receipts(job, history, sites)?;
    let complete: Vec<_> = history.iter().filter(|closed| closed.complete).collect();
    for (place, closed) in complete.iter().enumerate() {
        let index = closed.round.index as usize;
        // An evaluation skips a specialist that no institution can score.
        let in_order = matches!(closed.round.kind, RoundKind::Evaluate(_)) && index >= place;
        if !in_order && index != place {
            broken(format!("round {index} was completed in place {place}"))?;
        }
        let counted = closed.round.submitted();
        let min = job.spec.participation().min;
        if counted < min as usize {
            broken(format!("round {index} closed with {counted} of {min}"))?;
        }
        let next = complete
            .get(place + 1)
            .map_or((job.global_model, job.optimizer_state), |next| (next.base, next.optimizer_state));
        match closed.round.kind {
            RoundKind::Train(step) => recompute(job, &complete, (closed, step), next, blobs)?,
            RoundKind::Statistics => pooled(job, closed)?,
            RoundKind::OneShot | RoundKind::Evaluate(_) => {}
        }
    }
    products(core, job, &complete)?;
    started(job, &complete, blobs)?;
    for blob in job.needs() {
        if blobs.local(blob.digest).is_none() {
            broken(format!("{} is gone, and the job needs it", blob.digest))?;
        }
    }
    Ok(())
}

/// The ledger is one chain, and the state in memory agrees with its newest event.
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

/// Each acknowledged update is counted in exactly one round, or excluded with a reason in it; and
/// nothing is counted that its institution did not send.
fn receipts(job: &Job, history: &[ClosedRound], sites: &[Site]) -> Result<(), Violation> {
    let mut counted: BTreeMap<&IdempotencyKey, u32> = BTreeMap::new();
    // Incomplete attempts pass their results on to the next one, but an evaluation has one attempt at each
    // round.
    let ends = |closed: &&ClosedRound| closed.complete || matches!(closed.round.kind, RoundKind::Evaluate(_));
    let ended: Vec<_> = history.iter().filter(ends).map(|closed| &closed.round).collect();
    let last = job.current().or_else(|| history.last().map(|closed| &closed.round));
    let open = last.filter(|last| !ended.iter().any(|round| round.index == last.index));
    for round in ended.into_iter().chain(open) {
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
            if let ParticipantState::Submitted { key, contribution, .. } = &participant.state {
                let sent = sites.iter().find(|site| site.name == *name).and_then(|site| site.sent.get(key));
                if !sent.is_some_and(|sent| is_what_was_sent(contribution, sent)) {
                    broken(format!("what counts of {name} under key {key} is not what it sent"))?;
                }
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
                    let name = &site.name;
                    let round = receipt.round;
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

fn is_what_was_sent(contribution: &Contribution, sent: &Submission) -> bool {
    match (contribution, sent) {
        (
            Contribution::Update { weights, report, statistics, start_metrics, .. },
            Submission::Update(sent),
        ) => {
            // Those of an earlier round's average are left out.
            let scored = start_metrics.is_empty() || *start_metrics == sent.start_metrics;
            *weights == sent.weights && **report == sent.report && *statistics == sent.statistics && scored
        }
        (Contribution::Statistics(bands), Submission::Statistics(sent)) => *bands == sent.bands,
        (Contribution::Evaluation(report), Submission::Scores(sent)) => *report == sent.report,
        _ => false,
    }
}

/// The first round starts from the encoder of the specialist that the plan names, however often the coordinator
/// has ended before.
fn started(job: &Job, complete: &[&ClosedRound], blobs: &dyn Blobs) -> Result<(), Violation> {
    let (JobSpec::Rounds(spec), Some(first)) = (&job.spec, complete.first()) else { return Ok(()) };
    let Some(start) = job.starts.get(&spec.specialist.name) else {
        return broken("the job has forgotten what it starts from");
    };
    let (model, there) = (spec.model(), signature(&start.model));
    let file = WeightsFile::open(&blobs.local(start.weights.digest).unwrap()).unwrap();
    let found = file.check(&there).unwrap();
    let value = |name: &str| found.values(name).iter().collect();
    let made = warm_start(&model, &named(&start.model.bands), spec.seed, value);
    let staged = blobs.stage().unwrap();
    let digest = write(staged.path(), &signature(&model), &made).unwrap();
    if first.base.map(|base| base.digest) == Some(digest) {
        return Ok(());
    }
    broken(format!("the first round starts from {:?} and not from the encoder of {start}", first.base))
}

/// The normalisation equals that of the submitted statistics.
fn pooled(job: &Job, closed: &ClosedRound) -> Result<(), Violation> {
    let moments = closed.round.contributions().filter_map(|(_, contribution)| match contribution {
        Contribution::Statistics(bands) => Some(bands),
        Contribution::Update { .. } | Contribution::Evaluation { .. } => None,
    });
    let pooled = pool(moments, job.max_share()).map_err(|error| Violation(error.to_string()))?;
    if job.normalisation.as_deref() == Some(&pooled) {
        return Ok(());
    }
    broken(format!("the normalisation is {:?} and not that of the statistics", job.normalisation))
}

/// The results of a job follow from its rounds.
fn products(core: &Core, job: &Job, complete: &[&ClosedRound]) -> Result<(), Violation> {
    let cards: Vec<_> = cards(core, job).collect();
    let one_shot = complete.iter().filter(|closed| closed.round.kind == RoundKind::OneShot);
    for (name, contribution) in one_shot.flat_map(|closed| closed.round.contributions()) {
        let Contribution::Update { weights, .. } = contribution else { continue };
        let own = |card: &Card| card.provenance.institutions.iter().eq([name]);
        if !cards.iter().any(|card| own(card) && card.weights == weights.digest) {
            broken(format!("there is no specialist of the update of {name}"))?;
        }
    }
    let shared = cards.iter().filter(|card| card.provenance.mode != TrainingMode::OneShot);
    let shared = shared.map(|card| card.weights);
    let trained = shared.chain(job.trained.iter().map(|head| head.weights.digest));
    for weights in trained {
        if Some(weights) != job.global_model.map(|blob| blob.digest) {
            broken(format!("{weights} was made, which are not the last weights"))?;
        }
    }
    Ok(())
}

fn cards<'a>(core: &Core, job: &'a Job) -> impl Iterator<Item = Card> + use<'a> {
    let all: Vec<Card> = core.read(|state| state.registry.specialists.values().cloned().collect());
    all.into_iter().filter(|card| job.produced.contains(&(card.name.clone(), card.version)))
}

/// The results of a job as comparable text.
#[must_use]
pub fn made(core: &Core, job: &Job, history: &[ClosedRound]) -> Vec<String> {
    let specialists = cards(core, job).map(|card| format!("{} {}", card.name, card.weights));
    let head = job.trained.iter().map(|head| format!("head {}", head.weights.digest));
    let scores = history.iter().filter(|closed| closed.complete).flat_map(|closed| {
        closed.round.contributions().filter_map(move |(name, contribution)| match contribution {
            Contribution::Evaluation(EvaluationReport { samples, metrics, scoring: _, energy: _ }) => {
                Some(format!("{:?} {name} {samples} {metrics:?}", closed.round.kind))
            }
            Contribution::Update { .. } | Contribution::Statistics(_) => None,
        })
    });
    let normalisation = job.normalisation.iter().map(|bands| format!("{bands:?}"));
    specialists.chain(head).chain(scores).chain(normalisation).collect()
}

/// The weights after a round equal the aggregate of its counted updates, bit for bit.
fn recompute(
    job: &Job,
    complete: &[&ClosedRound],
    (closed, step): (&ClosedRound, u32),
    (next, next_state): (Option<BlobRef>, Option<BlobRef>),
    blobs: &dyn Blobs,
) -> Result<(), Violation> {
    let rounds = &job.spec.federated().unwrap().rounds;
    let signature = job.target_of(&job.cohort[0]).unwrap().signature();
    let open = |blob: BlobRef, signature: &Signature| {
        WeightsReader::open(&blobs.local(blob.digest).unwrap(), signature).unwrap()
    };
    let mut parts = Vec::new();
    for (name, contribution) in closed.round.contributions() {
        let Contribution::Update { weights, report, since, .. } = contribution else { continue };
        let behind = closed.round.index - since;
        let start = open(complete[*since as usize].base.unwrap(), &signature);
        let sent = match report.encoding.code(rounds.top_k_share) {
            None => open(*weights, &signature),
            Some(code) => {
                let path = blobs.local(weights.digest).unwrap();
                WeightsReader::open_step(&path, &signature, code, &start).unwrap()
            }
        };
        let base = (behind > 0).then_some(start);
        let exponent = rounds.asynchronous.map_or(0.0, |rules| rules.exponent);
        parts.push((sent, (name, report.samples, (1.0 + f64::from(behind)).powf(-exponent)), base));
    }
    let facts: Vec<_> = parts.iter().map(|(_, facts, _)| *facts).collect();
    let weights = eosfed_coordinator::domain::weighting::weights(&rounds.weighting, rounds.max_share, &facts);
    let updates: Vec<_> = (parts.iter().zip(weights))
        .map(|((weights, _, base), weight)| Update { weights, weight, base: base.as_ref() })
        .collect();
    let strategy = rounds.strategy;
    let server = rounds.server;
    let names = Server::of(strategy, server).state_signature(&signature);
    let optimizer_state = closed.optimizer_state.zip(names.as_ref()).map(|(blob, names)| open(blob, names));
    let now = open(closed.base.unwrap(), &signature);
    let optimizer_state = optimizer_state.as_ref();
    let input = AggregationInput {
        strategy,
        server,
        signature: &signature,
        global_model: &now,
        optimizer_state,
        step,
    };
    let made = aggregate(&input, &updates).unwrap();
    let file = blobs.stage().unwrap();
    if Some(write(file.path(), &signature, &made.weights).unwrap()) != next.map(|blob| blob.digest) {
        broken(format!("the weights after round {step} are not those of its updates"))?;
    }
    if let (Some(state), Some(names)) = (&made.optimizer_state, &names)
        && Some(write(file.path(), names, state).unwrap()) != next_state.map(|blob| blob.digest)
    {
        broken(format!("the server step after round {step} remembers something else"))?;
    }
    Ok(())
}
