//! The site policy: what the institution allows its daemon to do. Pure: [`decide`] takes a policy, an
//! assignment and the time, and lists every objection at once. Everything that is not allowed is refused.

mod both;
mod changes;
mod earlier;
mod explain;
mod hours;
mod limits;
mod privacy;
mod summary;
mod terms;
mod watch;

use eosfed_common::assignment::{Assignment, TrainingWork, Work};
use eosfed_common::clock::Timestamp;
use eosfed_common::model::{Backbone, Task};
use eosfed_common::plan::{JobKind, StrategyName, Training};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::weights::Encoding;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use strum::{EnumString, IntoStaticStr};

pub use changes::changes;
pub use explain::{explain, explain_job};
pub use hours::Hours;
pub use limits::{Limit, Limits};
pub use privacy::{Privacy, demanded, objections_to_noise, objections_to_spending, objections_to_spent};
pub use terms::{Approval as GivenApproval, Terms, WorkTerms};
pub use watch::{Observation, PolicyStatus, PolicyWatch, Reading};

pub(crate) use earlier::advice;
#[cfg(test)]
pub(crate) use privacy::WITHOUT_NOISE;

/// The commented file that `join` writes; it allows nothing.
pub const SAMPLE: &str = include_str!("../../samples/policy.toml");

/// What may leave the institution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Egress {
    /// Final weights of a specialist that was trained here.
    FrozenWeights,
    /// Weights after a round of federated training.
    Updates,
    /// Losses and validation scores, also of the average that a round starts from.
    Metrics,
    /// Moments of each band, the unit of its numbers and the range of 98 % of them: in rounds of statistics, and beside
    /// updates of a head.
    Statistics,
    /// Energy spent and its emissions, and the size and resolution of tiles.
    Provenance,
    /// Sentences about failures, which may name classes and values of the data set. Paths are left out.
    Failures,
    /// What is said of the data set: its name, task and bands, the sizes of its parts, and a digest of the names
    /// of its samples.
    DataStatement,
    /// The names of the classes in a data statement.
    ClassNames,
    /// A summary of the policy itself.
    PolicySummary,
    /// When and how long each phase and each epoch of the work lasted, to the collector in the settings; and with
    /// each call, the job that it belongs to.
    Traces,
}

impl Egress {
    /// Its name in policies.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Whether a person has to approve a job.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, IntoStaticStr, EnumString, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Approval {
    /// No approval is needed.
    Automatic,
    /// Each job waits for `eosfed-client approve`.
    #[default]
    Manual,
}

impl Approval {
    /// Its name in policies.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Which work is allowed; an empty list allows none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Allow {
    /// Kinds of job.
    pub job_kinds: Vec<JobKind>,
    /// Tasks.
    pub tasks: Vec<Task>,
    /// Encoders.
    pub backbones: Vec<Backbone>,
    /// Strategies, in federated rounds.
    pub strategies: Vec<StrategyName>,
    /// How updates of federated rounds may be encoded.
    pub encodings: Vec<Encoding>,
    /// Whether a strategy may publish the update of one institution, as Krum and multi-Krum do.
    pub individual_updates: bool,
    /// Whether a one-shot job may start from weights that the coordinator sends.
    pub warm_start: bool,
}

impl Default for Allow {
    /// Nothing is allowed; the updates of no job are sent, and would be sent as they are.
    fn default() -> Self {
        Self {
            job_kinds: Vec::new(),
            tasks: Vec::new(),
            backbones: Vec::new(),
            strategies: Vec::new(),
            encodings: vec![Encoding::F32],
            individual_updates: false,
            warm_start: false,
        }
    }
}

/// The contents of `policy.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Which work is allowed.
    #[serde(default)]
    pub allow: Allow,
    /// What may leave.
    #[serde(default)]
    pub may_leave: Vec<Egress>,
    /// Fewest institutions in an aggregate.
    #[serde(default = "default_min_institutions")]
    pub min_institutions: u32,
    /// Most epochs in one assignment.
    #[serde(default = "default_max_epochs")]
    pub max_epochs: u32,
    /// Fewest samples in the training part, for training and for statistics.
    #[serde(default = "default_min_samples")]
    pub min_samples: u64,
    /// Fewest optimiser steps in one assignment.
    #[serde(default = "default_min_steps")]
    pub min_steps: u64,
    /// Most of the memory of a GPU that the tensors of one training may use, in percent.
    #[serde(default = "all_of_it", deserialize_with = "gpu_percent")]
    #[schemars(range(min = 1, max = 100))]
    pub max_gpu_memory_percent: u8,
    /// What is allowed for each job and each day (UTC).
    #[serde(default)]
    pub limits: Limits,
    /// When work may start. Default: at any time.
    pub hours: Option<Hours>,
    /// Whether a person has to approve a job.
    #[serde(default)]
    pub approval: Approval,
    /// Clipping and noise of updates of federated training, with a budget. Default: none.
    pub privacy: Option<Privacy>,
}

const fn default_min_institutions() -> u32 {
    2
}

const fn default_max_epochs() -> u32 {
    100
}

const fn default_min_samples() -> u64 {
    50
}

const fn default_min_steps() -> u64 {
    20
}

const fn all_of_it() -> u8 {
    100
}

fn gpu_percent<'de, D: Deserializer<'de>>(d: D) -> Result<u8, D::Error> {
    let found = u64::deserialize(d)?;
    let percent = u8::try_from(found).ok().filter(|percent| (1..=100).contains(percent));
    percent.ok_or_else(|| {
        D::Error::custom(format!("`max_gpu_memory_percent` must be between 1 and 100, found `{found}`"))
    })
}

/// The policy's decision about an assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Accept it.
    Accept,
    /// Wait, for this reason.
    Wait(String),
    /// Decline it, for all these reasons.
    Refuse(Refusal),
}

impl Policy {
    /// Whether something may leave.
    #[must_use]
    pub fn allows(&self, what: Egress) -> bool {
        self.may_leave.contains(&what)
    }
}

/// Decides about an assignment. `approved` says whether a person has approved its job.
#[must_use]
pub fn decide(policy: &Policy, assignment: &Assignment, approved: bool, now: Timestamp) -> Decision {
    if let Some(refusal) = refused(&objections(policy, assignment)) {
        return Decision::Refuse(refusal);
    }
    if policy.approval == Approval::Manual && !approved {
        let job = &assignment.id.job;
        return Decision::Wait(format!(
            "job {job} waits for `eosfed-client approve {job} --state DIR`, which shows its terms with `--show`"
        ));
    }
    match policy.hours {
        Some(hours) if !hours.contain(now) => {
            Decision::Wait(format!("work may start in the hours {hours} UTC"))
        }
        _ => Decision::Accept,
    }
}

/// The refusal for these objections, if there are any.
#[must_use]
pub fn refused(objections: &[String]) -> Option<Refusal> {
    let message = || format!("the site policy does not allow this: {}", objections.join("; "));
    (!objections.is_empty()).then(|| Refusal::new(Reason::Policy, message()))
}

/// All objections of the policy to an assignment, at any time of day.
#[must_use]
pub fn objections(policy: &Policy, assignment: &Assignment) -> Vec<String> {
    let allow = &policy.allow;
    let mut list = Listing::default();
    list.kind(policy, assignment.kind);
    if let Some(task) = assignment.training_target.task() {
        list.unless(allow.tasks.contains(&task), format!("`allow.tasks` lacks `{task}`"));
    }
    for backbone in assignment.training_target.backbones() {
        list.unless(allow.backbones.contains(&backbone), format!("`allow.backbones` lacks `{backbone}`"));
    }
    if !matches!(assignment.work, Work::Evaluation(_)) {
        combined(policy, assignment, &mut list);
    }
    list.leaves(policy, word_of_result(assignment));
    if let Work::Training(work) = &assignment.work {
        training(policy, assignment.kind, work, &mut list);
    }
    list.0
}

/// The word of `may_leave` that lets the result of an assignment leave.
#[must_use]
pub const fn word_of_result(assignment: &Assignment) -> Egress {
    match (&assignment.work, assignment.kind) {
        (Work::Statistics, _) => Egress::Statistics,
        (Work::Evaluation(_), _) => Egress::Metrics,
        (Work::Training(_), JobKind::OneShot) => Egress::FrozenWeights,
        (Work::Training(_), _) => Egress::Updates,
    }
}

/// The policy's objections to the scoring of specialists that are not known yet.
#[must_use]
pub fn objections_to_evaluation(policy: &Policy) -> Vec<String> {
    let mut list = Listing::default();
    list.kind(policy, JobKind::Evaluation);
    list.leaves(policy, Egress::Metrics);
    list.0
}

/// Whether enough institutions are combined in the result; the training of a one-shot job combines nothing.
fn combined(policy: &Policy, assignment: &Assignment, list: &mut Listing) {
    let alone = assignment.kind == JobKind::OneShot && matches!(assignment.work, Work::Training(_));
    let enough = alone || assignment.min_institutions >= policy.min_institutions;
    let Policy { min_institutions, .. } = policy;
    let found = assignment.min_institutions;
    list.unless(enough, format!("`min_institutions` is {min_institutions}, found `{found}`"));
}

fn training(policy: &Policy, kind: JobKind, work: &TrainingWork, list: &mut Listing) {
    match (kind, work.strategy) {
        (JobKind::OneShot, None) => {
            list.unless(
                policy.privacy.is_none(),
                "`privacy` is set, and the weights of a one-shot job would leave without noise",
            );
            let fine = work.base.is_none() || policy.allow.warm_start;
            list.unless(fine, "`allow.warm_start` is false, and the job sends weights to start from");
            let released = work.base.is_none() || work.base_release.is_some();
            list.unless(
                released,
                "the weights to start from must be those of a released specialist, and the job names no release",
            );
        }
        (JobKind::Rounds, Some(strategy)) => {
            // The report of such a training contains the moments of each band.
            let shared = work.normalisation.is_some() || policy.allows(Egress::Statistics);
            list.unless(
                shared,
                "`may_leave` lacks `statistics`, and the job brings no normalisation for its bands",
            );
            aggregated(policy, strategy, list);
        }
        (JobKind::OneShot, Some(strategy)) => {
            list.unless(false, format!("a one-shot job has no strategy, found `{strategy}`"));
        }
        (_, None) => list.unless(false, format!("a {kind} job must name its strategy, found none")),
        (_, Some(strategy)) => aggregated(policy, strategy, list),
    }
    let names = || accepted(work).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    list.unless(encoding(policy, work).is_some(), format!("`allow.encodings` has none of {}", names()));
    let most = policy.max_epochs;
    let found = work.settings.epochs;
    list.unless(found <= most, format!("`max_epochs` is {most}, found `{found}`"));
}

/// The encoding of an update: the first one of the plan that the policy allows. Nothing if it allows none of them.
#[must_use]
pub fn encoding(policy: &Policy, work: &TrainingWork) -> Option<Encoding> {
    // A one-shot job sends weights as they are.
    if work.strategy.is_none() {
        return Some(Encoding::F32);
    }
    accepted(work).find(|encoding| policy.allow.encodings.contains(encoding))
}

/// The encodings that the plan accepts. Coordinators of before name none: they accept weights as they are.
fn accepted(work: &TrainingWork) -> impl Iterator<Item = Encoding> {
    let plain = work.encodings.is_empty().then_some(Encoding::F32);
    work.encodings.iter().copied().chain(plain)
}

/// Whether updates may be aggregated by this strategy.
fn aggregated(policy: &Policy, strategy: StrategyName, list: &mut Listing) {
    let allow = &policy.allow;
    list.unless(allow.strategies.contains(&strategy), format!("`allow.strategies` lacks `{strategy}`"));
    let Policy { min_institutions, .. } = policy;
    list.unless(
        *min_institutions <= 1 || allow.individual_updates || !strategy.may_reveal_individuals(),
        format!(
            "`min_institutions` is {min_institutions}, and `{strategy}` may publish the update of one \
             institution, which `allow.individual_updates` does not allow"
        ),
    );
}

/// The objections to work that so many samples are used for, in so many optimiser steps. The number of
/// samples is the institution's own and stays out of the sentences.
#[must_use]
pub fn objections_to_amount(policy: &Policy, work: &Work, samples: u64) -> Vec<String> {
    let mut list = Listing::default();
    let Policy { min_samples, min_steps, .. } = policy;
    let enough = matches!(work, Work::Evaluation(_)) || samples >= *min_samples;
    list.unless(enough, format!("`min_samples` is {min_samples}, and the training part has fewer"));
    if let Work::Training(work) = work {
        let Training { epochs, batch_size, accumulate, .. } = work.settings;
        list.unless(
            steps(&work.settings, samples) >= *min_steps,
            format!(
                "`min_steps` is {min_steps}, and {epochs} epochs with `batch_size` {batch_size} and \
                 `accumulate` {accumulate} have fewer"
            ),
        );
    }
    list.0
}

/// Optimiser steps of a training, as the trainer counts them.
fn steps(settings: &Training, samples: u64) -> u64 {
    let batches = samples.div_ceil(u64::from(settings.batch_size.max(1)));
    batches.div_ceil(u64::from(settings.accumulate.max(1))).saturating_mul(u64::from(settings.epochs))
}

#[derive(Default)]
struct Listing(Vec<String>);

impl Listing {
    fn unless(&mut self, fine: bool, objection: impl Into<String>) {
        if !fine {
            self.0.push(objection.into());
        }
    }

    fn kind(&mut self, policy: &Policy, kind: JobKind) {
        self.unless(policy.allow.job_kinds.contains(&kind), format!("`allow.job_kinds` lacks `{kind}`"));
    }

    fn leaves(&mut self, policy: &Policy, what: Egress) {
        self.unless(policy.allows(what), format!("`may_leave` lacks `{}`", what.name()));
    }
}

#[cfg(test)]
mod tests;
