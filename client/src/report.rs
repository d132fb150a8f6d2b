//! The documents of [`crate::document`] about a state folder, as commands print them and as the institution's
//! page shows them.

use std::path::Path;

use eosfed_common::clock::Timestamp;
use eosfed_common::ids::{DataSetName, InvalidId};
use eosfed_common::plan::{JobKind, JobSpec};

use crate::budgets::usage;
use crate::document::{
    DataSetSpent, DataSetStatus, DeviceStatus, ExplainedAssignment, ExplainedPlan, ExplainedPolicy,
    ExplainedUpdate, JobSpent, LimitsReport, PrivacyReport, Status, Waiting,
};
use crate::journal::{Journal as _, SiteJournal};
use crate::policy::{Policy, Privacy, explain, explain_job};
use crate::privacy::{Spending, epsilon};
use crate::settings::{Settings, load_policies, load_policy};
use crate::site::{Site, SiteError};
use crate::state::State;

/// The delta that is used where the policy has none.
pub const DEFAULT_DELTA: f64 = 1e-5;
/// Most jobs whose use of limits is listed.
const MAX_JOBS: usize = 50;

/// The institution, its present work and what is used of its limits.
///
/// # Errors
/// If a file of the state folder cannot be read.
pub fn status(site: &Site, now: Timestamp) -> Result<Status, SiteError> {
    let credentials = site.credentials()?;
    let devices = devices(site)?;
    let state = SiteJournal::of(site, 0).load()?;
    let held = state.held();
    let running = site.is_locked()?;
    let limits = load_policy(&site.policy()).ok().map(|policy| limits(site, &policy, now)).transpose()?;
    let busy = devices.iter().filter(|one| one.assignment.is_some()).count();
    let queue = (running && devices.len() > 1 && busy == devices.len()).then(|| {
        format!("all {busy} devices are at work; other offers are looked at as soon as one of them is free")
    });
    Ok(Status {
        institution: credentials.institution,
        certificate_ends: credentials.not_after.to_string(),
        signing_key: credentials.signing_key.map(|key| key.public()),
        coordinator_keys: credentials.pinned.0,
        daemon: if running { "running" } else { "not running" }.to_owned(),
        phase: state.name().to_owned(),
        assignment: held.map(|held| held.assignment.id.clone()),
        job: held.map(|held| held.assignment.job_name.clone()),
        data_set: held.and_then(|held| held.dataset.clone()),
        since: held.map(|held| held.since.to_string()),
        waiting_for: waiting(&state),
        data_sets: data_sets(site),
        devices,
        queue,
        sent_bytes: site.sent()?,
        limits,
    })
}

/// The data sets of the settings. The imagery itself is not looked at.
fn data_sets(site: &Site) -> Vec<DataSetStatus> {
    let Ok(settings) = Settings::load(&site.settings()) else { return Vec::new() };
    let policy_of = |own: Option<&Path>| match own {
        Some(own) => load_policies(&site.policy(), own),
        None => load_policy(&site.policy()),
    };
    let status = |(name, path): (Option<&DataSetName>, &Path)| {
        let own = settings.dataset.policies().find(|(of, _)| Some(*of) == name).map(|(_, own)| own);
        DataSetStatus {
            name: name.cloned(),
            path: path.to_owned(),
            policy: own.map(Path::to_owned),
            problem: policy_of(own).err().map(|error| error.to_string()),
        }
    };
    settings.dataset.all().map(status).collect()
}

/// The present work on each device, where there are several.
fn devices(site: &Site) -> Result<Vec<DeviceStatus>, SiteError> {
    let places =
        Settings::load(&site.settings()).map(|settings| settings.trainer.places()).unwrap_or_default();
    let journals = SiteJournal::all(site).last().map_or(0, |journal| journal.lane() + 1);
    let lanes = places.len().max(journals);
    let mut devices = Vec::new();
    for lane in 0..lanes {
        let (state, device) = (SiteJournal::of(site, lane).load()?, places.get(lane).copied());
        let held = state.held();
        if device.is_none() && held.is_none() {
            continue;
        }
        devices.push(DeviceStatus {
            device,
            phase: state.name().to_owned(),
            assignment: held.map(|held| held.assignment.id.clone()),
            job: held.map(|held| held.assignment.job_name.clone()),
            data_set: held.and_then(|held| held.dataset.clone()),
            since: held.map(|held| held.since.to_string()),
            waiting_for: waiting(&state),
        });
    }
    Ok(if devices.len() > 1 { devices } else { Vec::new() })
}

fn waiting(state: &State) -> Option<Waiting> {
    state.wait().map(|wait| Waiting {
        condition: wait.condition.kind,
        message: wait.condition.message.clone(),
        since: wait.since.to_string(),
        tries: wait.tries,
    })
}

/// What is used of the limits of a policy.
///
/// # Errors
/// If the record of it cannot be read.
pub fn limits(site: &Site, policy: &Policy, now: Timestamp) -> Result<LimitsReport, SiteError> {
    Ok(LimitsReport { policy: policy.limits, used: usage(site)?.used(now, MAX_JOBS) })
}

/// What updates have spent of the privacy budget.
#[must_use]
pub fn privacy(policy: Option<Privacy>, spending: &Spending) -> PrivacyReport {
    let delta = policy.map_or(DEFAULT_DELTA, |privacy| privacy.delta);
    let jobs = spending.by_job().into_iter().map(|(job, spent)| JobSpent {
        job: job.clone(),
        name: spent.name,
        updates: spent.updates as u64,
        epsilon: epsilon(spent.divergence, delta),
    });
    let data_sets = spending.by_data_set().into_iter().map(|(name, (updates, divergence))| DataSetSpent {
        name: name.clone(),
        updates: updates as u64,
        epsilon: epsilon(divergence, delta),
    });
    PrivacyReport {
        policy,
        delta,
        epsilon: spending.epsilon(delta),
        epsilon_of_replacement: spending.epsilon_of_replacement(delta),
        updates: spending.updates().len() as u64,
        updates_left: policy.map(|privacy| privacy.updates_left(spending)),
        jobs: jobs.collect(),
        data_sets: data_sets.collect(),
    }
}

/// What a policy allows, without a plan.
#[must_use]
pub fn policy(policy: Policy) -> ExplainedPolicy {
    let sentences = explain(&policy);
    ExplainedPolicy { policy, sentences, plan: None }
}

/// What a policy would refuse of a plan, where updates have spent so much.
///
/// # Errors
/// Never for a job that [`JobSpec::parse`] has made.
pub fn plan(policy: &Policy, spec: &JobSpec, spending: &Spending) -> Result<ExplainedPlan, InvalidId> {
    let assignments: Vec<_> = explain_job(policy, spec)?
        .into_iter()
        .map(|(assignment, objections)| ExplainedAssignment { assignment, objections })
        .collect();
    let federated = matches!(spec.kind(), JobKind::Rounds | JobKind::Downstream);
    let privacy = policy.privacy.filter(|_| federated).map(|privacy| ExplainedUpdate {
        has_room: privacy.has_room(spending),
        sentence: privacy.next_update(spending),
    });
    let refused = assignments.iter().any(|one| !one.objections.is_empty())
        || privacy.as_ref().is_some_and(|update| !update.has_room);
    Ok(ExplainedPlan { name: spec.name().to_owned(), kind: spec.kind(), refused, assignments, privacy })
}
