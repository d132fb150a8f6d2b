//! A policy in words, and what it would say to a plan before anybody submits it.

use std::fmt::Display;

use eosfed_common::assignment::{Assignment, TrainingWork, Work};
use eosfed_common::card::ReleaseManifest;
use eosfed_common::clock::Timestamp;
use eosfed_common::head::{HeadFile, HeadOver};
use eosfed_common::ids::{AssignmentId, InstitutionName, InvalidId, ReleaseNumber};
use eosfed_common::plan::{HeadPlan, Mode, Normalisation, Plan};
use eosfed_common::task::Keep;
use eosfed_common::trainee::Trainee;

use super::{Approval, Leaving, Policy, objections, objections_to_evaluation};

/// What the policy allows, a sentence each.
#[must_use]
pub fn explain(policy: &Policy) -> Vec<String> {
    let Policy { allow, may_leave, min_institutions, max_epochs, hours, approval } = policy;
    let mut lines = vec![
        "imagery and labels never leave".to_owned(),
        words("may leave", may_leave.iter().map(|what| what.name())),
        words("kinds of job", &allow.job_kinds),
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
    if plan.evaluation.is_some() {
        let what = "scores of specialists (each decides about `allow.tasks` and `allow.backbones`)";
        findings.push((what.to_owned(), objections_to_evaluation(policy)));
    }
    for specialist in &plan.specialists {
        let Some(model) = plan.model_of(specialist) else { continue };
        let who = specialist.institution.as_ref().map_or_else(String::new, |name| format!(" at {name}"));
        for (what, work) in works(plan) {
            let trainee = Trainee::Specialist(model.clone());
            let assignment = assignment(plan, specialist.institution.as_ref(), trainee, work)?;
            findings.push((format!("{what} for {}{who}", specialist.name), objections(policy, &assignment)));
        }
    }
    if let Some(head) = &plan.head {
        let over = head_of(plan, head).into_iter();
        for (over, (_, work)) in
            over.flat_map(|over| works(plan).into_iter().map(move |work| (over.clone(), work)))
        {
            let assignment = assignment(plan, None, Trainee::Head(Box::new(over)), work)?;
            let what = "training of a head (the release under it decides about `allow.backbones`)";
            findings.push((what.to_owned(), objections(policy, &assignment)));
        }
    }
    Ok(findings)
}

/// A plan's head over a release of which nothing is known yet.
fn head_of(plan: &Plan, head: &HeadPlan) -> Option<HeadOver> {
    let number = head.release.unwrap_or(ReleaseNumber(1));
    let release =
        ReleaseManifest { number, created_at: Timestamp(0), note: String::new(), specialists: Vec::new() };
    Some(HeadOver { head: HeadFile::planned(plan, head, number, Vec::new())?, release })
}

fn works(plan: &Plan) -> Vec<(&'static str, Work)> {
    let Some(settings) = plan.training.clone() else { return Vec::new() };
    let training = TrainingWork {
        mode: plan.mode,
        strategy: plan.rounds.as_ref().map(|rounds| rounds.strategy.name().to_owned()),
        base: None,
        initial_seed: plan.seed,
        normalisation: None,
        seed: plan.seed,
        schedule: [0.0, 1.0],
        keep: Keep::Last,
        settings,
    };
    let training = ("training", Work::Training(Box::new(training)));
    match plan.normalisation {
        Normalisation::Federated => vec![("statistics", Work::Statistics), training],
        Normalisation::Local | Normalisation::Given { .. } => vec![training],
    }
}

fn assignment(
    plan: &Plan,
    institution: Option<&InstitutionName>,
    trainee: Trainee,
    work: Work,
) -> Result<Assignment, InvalidId> {
    let institution = match institution {
        Some(name) => name.clone(),
        None => "anyone".parse()?,
    };
    Ok(Assignment {
        id: AssignmentId { job: "j-00000000".parse()?, round: 0, attempt: 1, institution },
        job_name: plan.name.clone(),
        trainee,
        deadline: Timestamp(u64::MAX),
        min_institutions: if plan.mode == Mode::OneShot { 1 } else { plan.participation.min },
        accepted: false,
        work,
    })
}
