//! A policy in words, and what it would say to a plan before anybody submits it.

use std::fmt::Display;

use eosfed_common::assignment::{Assignment, TrainingWork, Work};
use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{AssignmentId, InvalidId};
use eosfed_common::plan::{Mode, Normalisation, Plan, SpecialistPlan};
use eosfed_common::task::Keep;

use super::{Approval, Leaving, Policy, objections};

/// What the policy allows, a sentence each.
#[must_use]
pub fn explain(policy: &Policy) -> Vec<String> {
    let Policy { allow, may_leave, min_institutions, max_epochs, hours, approval } = policy;
    let kinds = allow.job_kinds.iter().map(|_| "specialist");
    let mut lines = vec![
        "imagery and labels never leave".to_owned(),
        words("may leave", may_leave.iter().map(|what| what.name())),
        words("kinds of job", kinds),
        words("modes", &allow.modes),
        words("tasks", &allow.tasks),
        words("backbones", &allow.backbones),
        words("strategies for rounds", &allow.strategies),
        format!("joint results combine at least {min_institutions} institutions"),
        format!("an assignment has at most {max_epochs} epochs"),
        hours.map_or_else(
            || "work may start at any time".to_owned(),
            |hours| format!("work may start in the hours {hours} UTC"),
        ),
        match approval {
            Approval::Automatic => "no job waits for a person".to_owned(),
            Approval::Manual => "each job waits for `eosfed-client approve JOB --state DIR`".to_owned(),
        },
    ];
    if !policy.lets_out(Leaving::Metrics) {
        lines.push("losses and scores are dropped from what is sent".to_owned());
    }
    lines
}

fn words<T: Display>(what: &str, list: impl IntoIterator<Item = T>) -> String {
    let list: Vec<String> = list.into_iter().map(|word| word.to_string()).collect();
    if list.is_empty() { format!("{what}: none") } else { format!("{what}: {}", list.join(", ")) }
}

/// For each kind of assignment that the plan would make: its description and the policy's objections.
///
/// # Errors
/// Never for a plan that [`Plan::parse`] has made.
pub fn explain_plan(policy: &Policy, plan: &Plan) -> Result<Vec<(String, Vec<String>)>, InvalidId> {
    let mut findings = Vec::new();
    for specialist in &plan.specialists {
        for (what, work) in works(plan) {
            let assignment = assignment(plan, specialist, work)?;
            let who = specialist.institution.as_ref().map_or_else(String::new, |name| format!(" at {name}"));
            findings.push((format!("{what} for {}{who}", specialist.name), objections(policy, &assignment)));
        }
    }
    Ok(findings)
}

fn works(plan: &Plan) -> Vec<(&'static str, Work)> {
    let training = TrainingWork {
        mode: plan.mode,
        strategy: plan.rounds.as_ref().map(|rounds| rounds.strategy.name().to_owned()),
        base: None,
        initial_seed: plan.seed,
        normalisation: None,
        seed: plan.seed,
        schedule: [0.0, 1.0],
        keep: Keep::Last,
        settings: plan.training.clone(),
    };
    let training = ("training", Work::Training(Box::new(training)));
    match plan.normalisation {
        Normalisation::Federated => vec![("statistics", Work::Statistics), training],
        Normalisation::Local | Normalisation::Given { .. } => vec![training],
    }
}

fn assignment(plan: &Plan, specialist: &SpecialistPlan, work: Work) -> Result<Assignment, InvalidId> {
    let institution = match &specialist.institution {
        Some(name) => name.clone(),
        None => "anyone".parse()?,
    };
    Ok(Assignment {
        id: AssignmentId { job: "j-00000000".parse()?, round: 0, attempt: 1, institution },
        job_name: plan.name.clone(),
        model: plan.model_of(specialist),
        deadline: Timestamp(u64::MAX),
        min_institutions: if plan.mode == Mode::OneShot { 1 } else { plan.participation.min },
        accepted: false,
        work,
    })
}
