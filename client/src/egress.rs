//! The gate in front of everything that leaves this institution. It reads the site policy again each
//! time it is asked, so that a change takes effect at once, and logs what a change means.

#[cfg(test)]
mod fields;
mod public_words;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use eosfed_common::assignment::{Assignment, Work};
use eosfed_common::ids::DataSetName;
use eosfed_common::refusal::{Reason, Refusal};
use tokio::time::Instant;

use crate::data_sets::no_longer;
use crate::policy::{
    Egress, Limits, Observation, Policy, PolicyStatus, PolicyWatch, demanded, objections, objections_to_noise,
};
use crate::privacy::Mechanism;
use crate::settings::{load_policies, load_policy};
use crate::site_log::{Entry, EntryKind, SiteLog, text};
use public_words::public_words;

/// Where the site policy comes from.
pub trait PolicySource: fmt::Debug + Send + Sync + 'static {
    /// The policy as it is now.
    ///
    /// # Errors
    /// A sentence that says why it cannot be read.
    fn read(&self) -> Result<Policy, String>;
}

/// The policy in a file.
#[derive(Debug)]
pub struct PolicyFile(pub PathBuf);

impl PolicySource for PolicyFile {
    fn read(&self) -> Result<Policy, String> {
        load_policy(&self.0).map_err(|error| error.to_string())
    }
}

/// The policies in two files: of a site and of one of its data sets.
#[derive(Debug)]
pub struct DataSetPolicyFile {
    /// The site's.
    pub site: PathBuf,
    /// The data set's.
    pub own: PathBuf,
}

impl PolicySource for DataSetPolicyFile {
    fn read(&self) -> Result<Policy, String> {
        load_policies(&self.site, &self.own).map_err(|error| error.to_string())
    }
}

/// The data sets with names; of those with a policy of their own, where it comes from, joined with the site's.
pub type DataSetPolicies = BTreeMap<DataSetName, Option<Arc<dyn PolicySource>>>;

/// Whether something may leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    /// It may leave now.
    Allowed,
    /// It may not leave now. Time or a person will change that.
    Held(String),
    /// The policy forbids it.
    Denied(Refusal),
}

/// The stage of an assignment's result.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// The work continues.
    Unfinished,
    /// Weights.
    Weights {
        /// Where they are kept if they may not leave.
        kept: PathBuf,
        /// The clipping and noise that they have.
        mechanism: Option<Mechanism>,
    },
    /// Statistics or scores.
    Numbers,
    /// Nothing but a failure that is reported.
    Failed,
}

/// The work that a change of the policy may concern.
#[derive(Debug, Clone)]
pub struct WorkInHand {
    /// The assignment.
    pub assignment: Assignment,
    /// The stage of its result.
    pub stage: Stage,
    /// The data set that it is for, by its name.
    pub dataset: Option<DataSetName>,
}

/// The gate; clones share it.
#[derive(Debug, Clone)]
pub struct EgressGate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    site: Watched,
    /// Those without a policy of their own have the site's.
    data_sets: BTreeMap<DataSetName, Option<Watched>>,
    started: Instant,
    log: SiteLog,
}

#[derive(Debug)]
struct Watched {
    source: Arc<dyn PolicySource>,
    watch: Mutex<PolicyWatch>,
}

impl Watched {
    fn new(source: Arc<dyn PolicySource>, settle_time: Duration) -> Self {
        let watch = Mutex::new(PolicyWatch::new(source.read(), settle_time));
        Self { source, watch }
    }
}

impl EgressGate {
    /// A gate over the policy of a site, and over those of data sets. A change counts after it has lasted for
    /// `settle_time`, and is noted.
    #[must_use]
    pub fn new(
        site: Arc<dyn PolicySource>,
        data_sets: &DataSetPolicies,
        settle_time: Duration,
        log: SiteLog,
    ) -> Self {
        let own = |source: &Option<Arc<dyn PolicySource>>| {
            source.as_ref().map(|source| Watched::new(Arc::clone(source), settle_time))
        };
        let data_sets = data_sets.iter().map(|(name, source)| (name.clone(), own(source))).collect();
        let site = Watched::new(site, settle_time);
        Self(Arc::new(Shared { site, data_sets, started: Instant::now(), log }))
    }

    /// The status of the policy for the work in hand now, or of the site's without any. A change is logged with its
    /// consequence for the work.
    #[must_use]
    pub fn policy_status(&self, work: Option<&WorkInHand>) -> PolicyStatus {
        self.status(work.and_then(|work| work.dataset.as_ref()), work)
    }

    /// The status of the policy for a data set now.
    #[must_use]
    pub fn policy_of(&self, dataset: Option<&DataSetName>) -> PolicyStatus {
        self.status(dataset, None)
    }

    /// The data sets with a policy of their own.
    pub fn data_sets(&self) -> impl Iterator<Item = &DataSetName> {
        self.0.data_sets.iter().filter(|(_, own)| own.is_some()).map(|(name, _)| name)
    }

    fn status(&self, dataset: Option<&DataSetName>, work: Option<&WorkInHand>) -> PolicyStatus {
        let own = match dataset.map(|name| (name, self.0.data_sets.get(name))) {
            None | Some((_, Some(None))) => None,
            Some((name, Some(Some(own)))) => Some((name, own)),
            // Nobody says any more what may leave of it.
            Some((name, None)) => return PolicyStatus::Unreadable(no_longer(Some(name))),
        };
        let watched = own.map_or(&self.0.site, |(_, own)| own);
        let found = watched.source.read();
        let mut watch = watched.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let Observation { status, change } = watch.observe(found, self.0.started.elapsed());
        drop(watch);
        if let Some(change) = change {
            let of = own.map_or_else(String::new, |(name, _)| format!("for the data set `{name}`, "));
            let change = format!("{of}{change}; {}", consequence(&status, work));
            tracing::warn!("policy changed: {change}");
            let kind = EntryKind::PolicyChanged { change: text(&change) };
            let entry = match work {
                Some(work) => Entry::of(&work.assignment.id, kind),
                None => Entry::new(kind),
            };
            self.0.log.note(entry);
        }
        status
    }

    /// Whether the result of an assignment may leave.
    #[must_use]
    pub fn result(&self, work: &WorkInHand) -> Permission {
        match self.settled(work) {
            Ok(policy) => of_result(&policy, work),
            Err(why) => Permission::Held(why),
        }
    }

    /// The limits under which the result of an assignment may leave now, by one reading of the policy.
    ///
    /// # Errors
    /// A sentence that says why it may not leave.
    pub fn limits_of_result(&self, work: &WorkInHand) -> Result<Limits, String> {
        let policy = self.settled(work)?;
        match of_result(&policy, work) {
            Permission::Allowed => Ok(policy.limits),
            Permission::Held(why) => Err(why),
            Permission::Denied(refusal) => Err(refusal.message),
        }
    }

    /// The limits that hold now: those of the policy, and the default ones while it is not clear.
    #[must_use]
    pub fn limits(&self, work: Option<&WorkInHand>) -> Limits {
        match self.policy_status(work) {
            PolicyStatus::Settled(policy) => policy.limits,
            PolicyStatus::Unreadable(_) | PolicyStatus::Unsettled => Limits::default(),
        }
    }

    /// Whether losses and validation scores of an assignment may leave.
    #[must_use]
    pub fn metrics(&self, work: &WorkInHand) -> Permission {
        self.word(work, Egress::Metrics)
    }

    /// Whether something beside the result of an assignment may leave.
    #[must_use]
    pub fn word(&self, work: &WorkInHand, what: Egress) -> Permission {
        match self.settled(work) {
            Ok(policy) if policy.allows(what) => Permission::Allowed,
            Ok(_) => {
                let message = format!("`may_leave` lacks `{}`", what.name());
                Permission::Denied(Refusal::new(Reason::Policy, message))
            }
            Err(why) => Permission::Held(why),
        }
    }

    /// The policy, or a sentence that says why it cannot be asked now.
    fn settled(&self, work: &WorkInHand) -> Result<Box<Policy>, String> {
        match self.policy_status(Some(work)) {
            PolicyStatus::Settled(policy) => Ok(policy),
            PolicyStatus::Unreadable(why) => Err(unreadable(&why)),
            PolicyStatus::Unsettled => Err(UNSETTLED.to_owned()),
        }
    }
}

impl EgressGate {
    /// A refusal or a failure, as far as it may leave. Objections of the policy, and of this version to what
    /// the coordinator has sent, say nothing of the data set. Of others, only the reason leaves unless the
    /// policy allows `failures`: that of the data set, or without one those of all, since the sentence may be about any.
    #[must_use]
    pub fn described(&self, why: &Refusal, dataset: Option<&DataSetName>) -> Refusal {
        if matches!(why.reason, Reason::Policy | Reason::Incompatible) {
            return why.clone();
        }
        let all = || self.data_sets().map(Some).chain([None]).collect();
        let about: Vec<_> = dataset.map_or_else(all, |name| vec![Some(name)]);
        let allows = |status: PolicyStatus| match status {
            PolicyStatus::Settled(policy) => policy.allows(Egress::Failures),
            PolicyStatus::Unreadable(_) | PolicyStatus::Unsettled => false,
        };
        if about.into_iter().all(|name| allows(self.policy_of(name))) {
            Refusal::new(why.reason, public_words(&why.message))
        } else {
            Refusal::new(why.reason, REASON_ONLY)
        }
    }
}

/// What is sent instead of a description.
const REASON_ONLY: &str =
    "the site policy lets only the reason leave; the institution's log has the description";

/// Why everything waits after a change of the policy.
const UNSETTLED: &str = "the site policy has just been changed; nothing leaves until the change counts";

/// Why weights wait that have no noise yet.
const NO_NOISE_YET: &str = "the site policy demands noise, and the update has none yet";

/// Whether weights have no noise, and the policy demands some.
fn lacks_noise(policy: &Policy, work: &WorkInHand) -> bool {
    matches!(work.stage, Stage::Weights { mechanism: None, .. })
        && demanded(policy, &work.assignment).is_some()
}

/// The policy's objections to the result of an assignment.
fn refusal(policy: &Policy, work: &WorkInHand) -> Option<Refusal> {
    let mut objections = objections(policy, &work.assignment);
    if let Stage::Weights { mechanism: Some(mechanism), .. } = &work.stage
        && let Some(privacy) = demanded(policy, &work.assignment)
    {
        objections.extend(objections_to_noise(&privacy, mechanism));
    }
    (!objections.is_empty()).then(|| {
        let message = format!("the site policy no longer allows this: {}", objections.join("; "));
        Refusal::new(Reason::Policy, message)
    })
}

/// Whether a policy lets the result of an assignment leave.
fn of_result(policy: &Policy, work: &WorkInHand) -> Permission {
    match refusal(policy, work) {
        None if lacks_noise(policy, work) => Permission::Held(NO_NOISE_YET.to_owned()),
        None => Permission::Allowed,
        Some(refusal) => Permission::Denied(refusal),
    }
}

/// The message about a policy that cannot be read, with what to do.
#[must_use]
pub fn unreadable(why: &str) -> String {
    format!("the site policy cannot be read and therefore denies everything; correct it: {why}")
}

/// What the policy, as it is now, means for the work in hand.
fn consequence(status: &PolicyStatus, work: Option<&WorkInHand>) -> String {
    let Some(work) = work else { return "it applies to the next offer".to_owned() };
    let WorkInHand { assignment, stage, dataset: _ } = work;
    let job = &assignment.id.job;
    let policy = match status {
        PolicyStatus::Settled(policy) => policy,
        PolicyStatus::Unreadable(_) | PolicyStatus::Unsettled => {
            return format!("nothing of job {job} is sent until it can be read again");
        }
    };
    if *stage == Stage::Failed {
        return format!("job {job} has failed here already");
    }
    if refusal(policy, work).is_some() {
        return match stage {
            Stage::Weights { kept, .. } => {
                format!("the finished weights of job {job} are kept at {} and not sent", kept.display())
            }
            Stage::Numbers => format!("the result of job {job} is not sent"),
            Stage::Unfinished | Stage::Failed => {
                format!("the work on job {job} is stopped, and no result of it is sent")
            }
        };
    }
    let metrics = matches!(assignment.work, Work::Training(_)) && !policy.allows(Egress::Metrics);
    let suffix = if metrics { "; its losses and scores are not sent" } else { "" };
    format!("the work on job {job} continues{suffix}")
}

#[cfg(test)]
mod tests {
    use eosfed_common::clock::SystemClock;
    use eosfed_common::plan::JobKind;

    use super::*;
    use crate::policy::Privacy;
    use crate::site_log::SiteLogSettings;
    use crate::testing::{permissive, training};

    #[derive(Debug, Default)]
    struct Given(Mutex<Option<Policy>>);

    impl Given {
        fn set(&self, policy: Option<Policy>) {
            *self.0.lock().unwrap() = policy;
        }
    }

    impl PolicySource for Given {
        fn read(&self) -> Result<Policy, String> {
            self.0.lock().unwrap().clone().ok_or_else(|| "it is gone".to_owned())
        }
    }

    fn log(folder: &tempfile::TempDir) -> SiteLog {
        SiteLog::new(folder.path(), SiteLogSettings::default(), Arc::new(SystemClock))
    }

    fn work(stage: Stage) -> WorkInHand {
        WorkInHand { assignment: training(JobKind::OneShot), stage, dataset: None }
    }

    #[test]
    fn each_check_reads_the_policy_again() {
        let source = Arc::new(Given::default());
        source.set(Some(permissive()));
        let folder = tempfile::tempdir().unwrap();
        let read = Arc::clone(&source) as Arc<dyn PolicySource>;
        let gate = EgressGate::new(read, &DataSetPolicies::new(), Duration::ZERO, log(&folder));
        let work = work(Stage::Unfinished);
        assert_eq!((gate.result(&work), gate.metrics(&work)), (Permission::Allowed, Permission::Allowed));
        source.set(Some(Policy { may_leave: vec![Egress::FrozenWeights], ..permissive() }));
        assert_eq!(gate.result(&work), Permission::Allowed);
        assert!(matches!(gate.metrics(&work), Permission::Denied(_)));
        source.set(Some(Policy { max_epochs: 1, ..permissive() }));
        let Permission::Denied(refusal) = gate.result(&work) else { panic!("it must be denied") };
        assert!(refusal.reason == Reason::Policy && refusal.message.contains("max_epochs"), "{refusal}");
        source.set(None);
        for permission in [gate.result(&work), gate.metrics(&work)] {
            let Permission::Held(why) = permission else { panic!("it must be held: {permission:?}") };
            assert!(why.contains("denies everything") && why.contains("it is gone"), "{why}");
        }
    }

    #[test]
    fn an_update_leaves_with_the_noise_that_the_policy_demands_and_no_other() {
        let privacy = Privacy { clip: 1.0, noise_multiplier: 0.8, max_epsilon: 8.0, delta: 1e-5 };
        let source = Arc::new(Given::default());
        source.set(Some(Policy { privacy: Some(privacy), ..permissive() }));
        let folder = tempfile::tempdir().unwrap();
        let read = Arc::clone(&source) as Arc<dyn PolicySource>;
        let gate = EgressGate::new(read, &DataSetPolicies::new(), Duration::ZERO, log(&folder));
        let with = |mechanism| {
            let stage = Stage::Weights { kept: "x".into(), mechanism };
            gate.result(&WorkInHand { assignment: training(JobKind::Rounds), stage, dataset: None })
        };
        assert!(matches!(with(None), Permission::Held(why) if why.contains("demands noise")));
        assert_eq!(with(Some(privacy.mechanism())), Permission::Allowed);
        let weaker = Mechanism { noise_multiplier: 0.7, ..privacy.mechanism() };
        assert!(matches!(with(Some(weaker)), Permission::Denied(_)));
        source.set(Some(permissive()));
        assert_eq!(with(None), Permission::Allowed);
    }

    #[test]
    fn a_data_set_with_a_policy_of_its_own_is_asked_by_name() {
        let [site, own] = [permissive(), Policy { may_leave: Vec::new(), ..permissive() }].map(|policy| {
            let source = Arc::new(Given::default());
            source.set(Some(policy));
            source as Arc<dyn PolicySource>
        });
        let folder = tempfile::tempdir().unwrap();
        let name = |text: &str| -> Option<DataSetName> { Some(text.parse().unwrap()) };
        let policies =
            DataSetPolicies::from([(name("inland").unwrap(), Some(own)), (name("coast").unwrap(), None)]);
        let gate = EgressGate::new(site, &policies, Duration::ZERO, log(&folder));
        let result = |dataset| gate.result(&WorkInHand { dataset, ..work(Stage::Numbers) });
        assert_eq!((result(None), result(name("coast"))), (Permission::Allowed, Permission::Allowed));
        assert!(matches!(result(name("inland")), Permission::Denied(_)));
        let Permission::Held(why) = result(name("sea")) else { panic!("nobody lets it leave") };
        assert!(why.contains("`sea`") && why.contains("no longer in client.toml"), "{why}");
        // What may be about any of them needs the word of all.
        let why = Refusal::new(Reason::DataUnfit, "2 data sets fit");
        assert_eq!(gate.described(&why, name("coast").as_ref()).message, "2 data sets fit");
        for dataset in [None, name("inland")] {
            assert_eq!(gate.described(&why, dataset.as_ref()).message, REASON_ONLY);
        }
    }

    #[test]
    fn nothing_leaves_while_a_change_is_unsettled() {
        let source = Arc::new(Given::default());
        source.set(Some(permissive()));
        let folder = tempfile::tempdir().unwrap();
        let read = Arc::clone(&source) as Arc<dyn PolicySource>;
        let gate = EgressGate::new(read, &DataSetPolicies::new(), Duration::from_secs(3600), log(&folder));
        source.set(Some(Policy { max_epochs: 99, ..permissive() }));
        assert!(matches!(gate.result(&work(Stage::Numbers)), Permission::Held(_)));
    }

    #[test]
    fn a_change_is_explained_for_the_work_in_hand() {
        let nothing = PolicyStatus::Settled(Box::new(Policy { may_leave: Vec::new(), ..permissive() }));
        let said = |status: &PolicyStatus, stage| consequence(status, Some(&work(stage)));
        let weights = said(&nothing, Stage::Weights { kept: "/state/withheld/x".into(), mechanism: None });
        assert_eq!(
            weights,
            "the finished weights of job j-0a1b2c3d are kept at /state/withheld/x and not sent"
        );
        assert!(said(&nothing, Stage::Unfinished).contains("is stopped"));
        let quiet = Policy { may_leave: vec![Egress::FrozenWeights], ..permissive() };
        let quiet = PolicyStatus::Settled(Box::new(quiet));
        assert!(said(&quiet, Stage::Unfinished).contains("continues; its losses and scores are not sent"));
        let unreadable = PolicyStatus::Unreadable("gone".to_owned());
        assert!(said(&unreadable, Stage::Numbers).contains("until it can be read again"));
        assert_eq!(consequence(&nothing, None), "it applies to the next offer");
    }
}
