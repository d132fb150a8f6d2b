//! A description of a policy, and its objections to a job before the job is submitted.

use std::fmt::Display;

use eosfed_common::assignment::{Assignment, BlobRef, TrainingWork, Work};
use eosfed_common::card::ReleaseManifest;
use eosfed_common::clock::Timestamp;
use eosfed_common::counted::counted;
use eosfed_common::head::{HeadFile, HeadOver};
use eosfed_common::ids::{AssignmentId, InstitutionName, InvalidId, ReleaseNumber};
use eosfed_common::plan::{
    DownstreamSpec, FederatedTraining, JobSpec, OneShotSpecialist, RoundsSpec, SharedNormalisation, Training,
};
use eosfed_common::task::Keep;
use eosfed_common::training_target::TrainingTarget;
use eosfed_common::weights::DEFAULT_TOP_K_SHARE;

use super::{Approval, Egress, Policy, objections, objections_to_evaluation, privacy};

/// What `data_statement` lets leave.
const STATED: &str =
    "the coordinator is told name, task, bands and sizes of the data set, a digest of its samples' names";

/// A sentence for each permission of the policy.
#[must_use]
pub fn explain(policy: &Policy) -> Vec<String> {
    let Policy {
        allow,
        may_leave,
        min_institutions,
        max_epochs,
        min_samples,
        min_steps,
        max_gpu_memory_percent,
        limits,
        hours,
        approval,
        privacy: _,
    } = policy;
    let mut lines = vec![
        "imagery and labels never leave".to_owned(),
        words("may leave", may_leave.iter().map(|what| what.name())),
        "weights leave with the number of training samples, the normalisation of a specialist, and name \
         and digest of the file that it started from"
            .to_owned(),
        words("kinds of job", &allow.job_kinds),
        words("tasks", &allow.tasks),
        words("backbones", &allow.backbones),
        words("strategies for federated rounds", &allow.strategies),
        words("encodings of updates", &allow.encodings),
        format!(
            "joint results combine at least {}, as the coordinator says",
            counted(*min_institutions, "institution")
        ),
        if allow.individual_updates {
            "`krum` and `multi-krum` may publish the update of this institution alone".to_owned()
        } else {
            "no strategy that may publish the update of one institution alone".to_owned()
        },
        if allow.warm_start {
            "one-shot jobs may start from weights that the coordinator sends".to_owned()
        } else {
            "one-shot jobs do not start from weights that the coordinator sends".to_owned()
        },
        format!(
            "an assignment has at most {} and at least {}",
            counted(*max_epochs, "epoch"),
            counted(*min_steps, "step")
        ),
        format!("training and statistics use at least {}", counted(*min_samples, "sample")),
        hours.map_or_else(
            || "work may start at any time".to_owned(),
            |hours| format!("work may start in the hours {hours} UTC"),
        ),
        match approval {
            Approval::Automatic => "no job waits for a person".to_owned(),
            Approval::Manual => "each job waits for `eosfed-client approve JOB --state DIR`".to_owned(),
        },
    ];
    if *max_gpu_memory_percent < 100 {
        lines.push(format!("tensors of a training use at most {max_gpu_memory_percent} % of a GPU's memory"));
    }
    lines.extend(privacy::explain(policy));
    lines.extend(limits.words());
    if !policy.allows(Egress::Metrics) {
        lines.push("losses and scores are dropped from what is sent".to_owned());
    }
    lines.push(match (policy.allows(Egress::DataStatement), policy.allows(Egress::ClassNames)) {
        (false, _) => "nothing is stated of the data set; plans can require a statement".to_owned(),
        (true, false) => format!("{STATED}, without the names of its classes"),
        (true, true) => format!("{STATED} and the names of its classes"),
    });
    lines.push(if policy.allows(Egress::PolicySummary) {
        "the coordinator is told the lists and numbers of this policy, without hours, limits and budget"
            .to_owned()
    } else {
        "the coordinator is told nothing of this policy but the rules that a declined offer breaks".to_owned()
    });
    if policy.allows(Egress::Traces) {
        lines.push(
            "how long each phase of the work lasts goes to the collector of client.toml, if it names one"
                .to_owned(),
        );
    }
    if !policy.allows(Egress::Failures) {
        lines.push("a failure is reported by its reason alone, without a description".to_owned());
    }
    lines
}

fn words<T: Display>(what: &str, list: impl IntoIterator<Item = T>) -> String {
    let list: Vec<String> = list.into_iter().map(|word| word.to_string()).collect();
    if list.is_empty() { format!("{what}: none") } else { format!("{what}: {}", list.join(", ")) }
}

/// For each kind of assignment that the job would make: its description and the policy's objections.
///
/// # Errors
/// Never for a job that [`JobSpec::parse`] has made.
pub fn explain_job(policy: &Policy, spec: &JobSpec) -> Result<Vec<(String, Vec<String>)>, InvalidId> {
    let mut findings = Vec::new();
    match spec {
        JobSpec::OneShot(one_shot) => {
            for OneShotSpecialist { name, institution, bands, start_from } in &one_shot.specialists {
                let training_target = TrainingTarget::Specialist(one_shot.network.on(bands));
                let work = training(one_shot.seed, None, &one_shot.training);
                // Which weights are sent does not matter here, only whether some are.
                let sent = start_from.as_ref().map(|from| BlobRef::of(from.to_string().as_bytes()));
                let work = TrainingWork { base: sent, base_release: sent, ..work };
                let work = Work::Training(Box::new(work));
                let assignment = assignment(spec, institution.clone(), training_target, work)?;
                let what = format!("training for {name} at {institution}");
                findings.push((what, objections(policy, &assignment)));
            }
        }
        JobSpec::Rounds(rounds) => {
            for (what, work) in works(rounds) {
                let training_target = TrainingTarget::Specialist(rounds.model());
                let assignment = assignment(spec, anyone()?, training_target, work)?;
                let what = format!("{what} for {}", rounds.specialist.name);
                findings.push((what, objections(policy, &assignment)));
            }
        }
        JobSpec::Downstream(downstream) => {
            let training_target = TrainingTarget::Head(Box::new(head(downstream)));
            let federated = &downstream.federated;
            let work = training(downstream.seed, Some(federated), &federated.training);
            let work = Work::Training(Box::new(work));
            let assignment = assignment(spec, anyone()?, training_target, work)?;
            let what = "training of a head (`allow.backbones` is checked for the encoders of its release)";
            findings.push((what.to_owned(), objections(policy, &assignment)));
        }
        JobSpec::Statistics(statistics) => {
            let training_target = TrainingTarget::Bands(statistics.statistics.bands.clone());
            let assignment = assignment(spec, anyone()?, training_target, Work::Statistics)?;
            findings.push(("statistics of bands".to_owned(), objections(policy, &assignment)));
        }
        JobSpec::Evaluation(_) => {
            let what = "scores of specialists (`allow.tasks` and `allow.backbones` are checked for each)";
            findings.push((what.to_owned(), objections_to_evaluation(policy)));
        }
    }
    Ok(findings)
}

fn anyone() -> Result<InstitutionName, InvalidId> {
    "anyone".parse()
}

/// A job's head over a release whose specialists are not known yet.
fn head(spec: &DownstreamSpec) -> HeadOver {
    let number = spec.head.release.unwrap_or(ReleaseNumber(1));
    let release = ReleaseManifest::unsigned(number, Timestamp(0), String::new(), Vec::new());
    HeadOver { head: HeadFile::planned(spec, number, Vec::new()), release }
}

fn works(spec: &RoundsSpec) -> Vec<(&'static str, Work)> {
    let federated = &spec.federated;
    let training = training(spec.seed, Some(federated), &federated.training);
    let training = ("training", Work::Training(Box::new(training)));
    match spec.normalisation {
        SharedNormalisation::Federated => vec![("statistics", Work::Statistics), training],
        SharedNormalisation::Given { .. } => vec![training],
    }
}

fn training(seed: u64, federated: Option<&FederatedTraining>, settings: &Training) -> TrainingWork {
    TrainingWork {
        strategy: federated.map(|federated| federated.rounds.strategy.name()),
        base: None,
        base_release: None,
        base_model: None,
        initial_seed: seed,
        // A job of rounds brings its normalisation, and nothing here depends on its values.
        normalisation: federated.map(|_| Vec::new()),
        seed,
        schedule: [0.0, 1.0],
        keep: Keep::Last,
        settings: settings.clone(),
        encodings: federated.map_or_else(Vec::new, |federated| federated.rounds.encodings.clone()),
        top_k_share: federated.map_or(DEFAULT_TOP_K_SHARE, |federated| federated.rounds.top_k_share),
    }
}

fn assignment(
    spec: &JobSpec,
    institution: InstitutionName,
    training_target: TrainingTarget,
    work: Work,
) -> Result<Assignment, InvalidId> {
    Ok(Assignment {
        id: AssignmentId { job: "j-00000000".parse()?, round: 0, attempt: 1, institution },
        job_name: spec.name().to_owned(),
        kind: spec.kind(),
        training_target,
        deadline: Timestamp(u64::MAX),
        min_institutions: spec.min_institutions(),
        accepted: false,
        dataset: spec.participation().dataset.clone(),
        work,
    })
}
