//! A state folder with a site log, as a daemon leaves them.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use eosfed_common::assignment::{BlobRef, Lease};
use eosfed_common::clock::{Clock as _, ManualClock, SystemClock, Timestamp};
use eosfed_common::digest::Digest;
use eosfed_common::identity::Identity;
use eosfed_common::ids::AssignmentId;
use eosfed_common::plan::JobKind;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::traffic::ByteCounts;
use eosfed_coordinator::tls::Authority;
use eosfed_testkit::submissions;
use eosfed_transport::keys::KeyAndRequest;

use crate::budgets::Usage;
use crate::dashboard::SitePages;
use crate::journal::{Journal as _, SiteJournal};
use crate::policy::{Terms, explain};
use crate::privacy::{Charge, Mechanism};
use crate::settings::load_policy;
use crate::site::Site;
use crate::site_log::{
    Approved, Entry, EntryKind, NoisedUpdate, Record, Sending, SiteLog, SiteLogSettings, Why, lines, text,
};
use crate::state::{HeldAssignment, Outcome, State, Update};
use crate::testing::training;

/// The bytes of the file of weights that is on its way.
pub(super) const WEIGHTS: &[u8] = b"weights of round 4";

/// Rounds of the job in the log; the last one is being submitted.
const ROUNDS: u32 = 4;

const POLICY: &str = r#"
may_leave = ["updates", "metrics", "statistics", "data_statement"]
min_institutions = 3
max_epochs = 5
min_samples = 200
approval = "manual"

[allow]
job_kinds = ["rounds", "evaluation"]
tasks = ["segmentation", "classification"]
backbones = ["convnextv2_atto", "convnextv2_femto"]
strategies = ["fed-avg", "fed-prox"]

[limits]
assignments_per_day = 40
upload_mb_per_day = 600
download_mb_per_day = 900

[privacy]
clip = 1.0
noise_multiplier = 2.0
max_epsilon = 8.0
delta = 1e-5
"#;

/// A state folder and the pages over it.
pub(super) struct World {
    pub(super) site: Site,
    pub(super) pages: SitePages,
    log: SiteLog,
    clock: Arc<ManualClock>,
    folder: tempfile::TempDir,
}

impl World {
    /// An institution that has joined and whose daemon has never run.
    pub(super) fn empty() -> Self {
        let folder =
            tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o700)).tempdir().unwrap();
        let site = Site::at(folder.path());
        let now = SystemClock.now();
        let authority = Authority::open(&Authority::create(now).unwrap()).unwrap();
        let KeyAndRequest { key_pem, request_pem } = KeyAndRequest::generate("coast").unwrap();
        let identity = Identity::institution("university-of-the-coast".parse().unwrap());
        let valid_for = Duration::from_secs(80 * 86_400);
        let certificate_pem = authority.certify(&request_pem, &identity, now, valid_for).unwrap();
        let pair = eosfed_transport::keys::KeyAndCertificate { key_pem, certificate_pem };
        site.replace_identity(&pair, authority.certificate_pem()).unwrap();
        std::fs::write(site.policy(), POLICY).unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp(now.0 - 6 * 3_600_000)));
        let log =
            SiteLog::new(&site.log(), SiteLogSettings::default(), Arc::<ManualClock>::clone(&clock) as _);
        let (pages, _) = SitePages::new(&site, Arc::new(SystemClock));
        Self { site, pages, log, clock, folder }
    }

    /// One that has answered offers, trained and sent, with this text wherever somebody else may write.
    pub(super) fn filled(said: &str) -> Self {
        let world = Self::empty();
        world.start();
        world.refusals(said);
        for round in 0..ROUNDS {
            world.round(round, said);
        }
        world.submitting(said);
        world
    }

    pub(super) fn note(&self, minutes: u64, entry: Entry) {
        self.clock.advance(Duration::from_secs(60 * minutes));
        self.log.record(entry).unwrap();
    }

    fn start(&self) {
        let policy = load_policy(&self.site.policy()).unwrap();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        self.note(0, Entry::new(EntryKind::Started { version, policy: lines(explain(&policy)) }));
        let stated = Sending {
            record: Record::DataStatement,
            what: "task, bands and sizes of the data set".to_owned(),
            bytes: Some(412),
            weights: None,
            words: vec!["data_statement".to_owned()],
        };
        self.note(1, Entry::new(EntryKind::Sending(stated.clone())));
        self.note(0, Entry::new(EntryKind::Sent(stated)));
    }

    /// Two offers that the policy refuses.
    fn refusals(&self, said: &str) {
        let why = [
            "`allow.job_kinds` lacks `one-shot`; `may_leave` lacks `frozen_weights`",
            "`allow.strategies` lacks `krum`, which may publish the update of one institution alone",
        ];
        for (at, why) in why.into_iter().enumerate() {
            let id: AssignmentId = format!("j-00c0ffe{at}.0.1.university-of-the-coast").parse().unwrap();
            let mut work = training(if at == 0 { JobKind::OneShot } else { JobKind::Rounds });
            said.clone_into(&mut work.job_name);
            let terms = lines(Terms::of(&work).words());
            self.note(3, Entry::of(&id, EntryKind::Asked { name: None, terms, digest: None }));
            let refusal = Refusal::new(Reason::Policy, why);
            self.note(0, Entry::of(&id, EntryKind::Refused(Why::new(&refusal, &refusal))));
        }
    }

    pub(super) fn id(round: u32) -> AssignmentId {
        format!("j-0a1b2c3d.{round}.1.university-of-the-coast").parse().unwrap()
    }

    fn terms(said: &str) -> Terms {
        let mut work = training(JobKind::Rounds);
        said.clone_into(&mut work.job_name);
        Terms::of(&work)
    }

    /// One round: asked, approved, accepted, trained, sent.
    fn round(&self, round: u32, said: &str) {
        let (id, terms) = (Self::id(round), Self::terms(said));
        let asked =
            EntryKind::Asked { name: None, terms: lines(terms.words()), digest: Some(terms.digest()) };
        self.note(20, Entry::of(&id, asked));
        let approved = Approved {
            by: "m.duval".to_owned(),
            given: self.clock.now(),
            terms: terms.digest(),
            rounds: 20,
            until: self.clock.now().plus(Duration::from_secs(30 * 86_400)),
        };
        if round == 0 {
            let why = "each job waits for `eosfed-client approve j-0a1b2c3d`".to_owned();
            self.note(0, Entry::of(&id, EntryKind::Waits { why }));
            self.note(14, Entry::of_job(&id.job, EntryKind::Approved(approved.clone())));
        }
        self.note(1, Entry::of(&id, EntryKind::Accepted { approval: Some(approved), dataset: None }));
        let file = format!("weights of round {}", round + 1);
        let digest = Digest::of(file.as_bytes());
        let spending = "clipped to 1, noise multiplier 2, epsilon spent".to_owned();
        let update = NoisedUpdate {
            job_name: text(said),
            clip: "1".to_owned(),
            noise_multiplier: "2".to_owned(),
            dataset: None,
        };
        self.note(22, Entry::of(&id, EntryKind::NoiseAdded { digest, spending, update: Some(update) }));
        let mechanism = Mechanism { clip: 1.0, noise_multiplier: 2.0 };
        let charge = Charge {
            assignment: id.clone(),
            job_name: text(said),
            mechanism,
            digest,
            at: self.clock.now(),
            dataset: None,
        };
        self.site.charge(charge).unwrap();
        let weights = self.sending(Record::Weights, "the file of weights", file.len() as u64, digest);
        let report = self.sending(Record::TrainingReport, "912 samples, 2 scores", 388, digest);
        self.note(0, Entry::of(&id, EntryKind::Sending(weights.clone())));
        if round + 1 == ROUNDS {
            return;
        }
        self.note(1, Entry::of(&id, EntryKind::Sending(report.clone())));
        self.note(0, Entry::of(&id, EntryKind::Sent(weights)));
        self.note(0, Entry::of(&id, EntryKind::Sent(report)));
        self.note(0, Entry::of(&id, EntryKind::Ended { how: "the result was accepted".to_owned() }));
    }

    fn sending(&self, record: Record, what: &str, bytes: u64, digest: Digest) -> Sending {
        let words = ["updates", "metrics"].map(str::to_owned).to_vec();
        Sending { record, what: what.to_owned(), bytes: Some(bytes), weights: Some(digest), words }
    }

    /// The journal of a daemon that submits the last round, and the counts.
    fn submitting(&self, said: &str) {
        let id = Self::id(ROUNDS - 1);
        let folder = self.site.folder(&id);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(self.file(), WEIGHTS).unwrap();
        let mut assignment = training(JobKind::Rounds);
        said.clone_into(&mut assignment.job_name);
        assignment.id = id;
        let held = HeldAssignment {
            assignment,
            lease: Lease { token: "0".repeat(32).parse().unwrap(), expires_at: Timestamp(100) },
            key: "1".repeat(32).parse().unwrap(),
            since: self.clock.now(),
            wait: None,
            dataset: None,
        };
        let weights = BlobRef { digest: Digest::of(WEIGHTS), size: WEIGHTS.len() as u64 };
        let report = submissions::report(912, Vec::new());
        let update = Update {
            file: self.file(),
            weights,
            report,
            statistics: Vec::new(),
            start_metrics: BTreeMap::new(),
            mechanism: None,
            encoded: None,
        };
        let outcome = Outcome::Update(Box::new(update));
        SiteJournal::of(&self.site, 0).store(&State::Submitting { held: Box::new(held), outcome }).unwrap();
        self.site.record_sent(&ByteCounts { weights: 56_304_128, metrics: 48_220, control: 9_344 }).unwrap();
        let mut usage = Usage::default();
        usage.look_at(self.clock.now());
        (0..ROUNDS).for_each(|round| usage.take_assignment(&Self::id(round)));
        usage.take(&Self::id(0).job, crate::budgets::Direction::Up, 56_304_128);
        usage.take(&Self::id(0).job, crate::budgets::Direction::Down, 42_190_000);
        self.site.write_json("usage.json", &usage).unwrap();
        assert_eq!(BTreeSet::from([self.folder.path()]), BTreeSet::from([self.site.path()]));
    }

    /// The file that is on its way.
    pub(super) fn file(&self) -> PathBuf {
        self.site.folder(&Self::id(ROUNDS - 1)).join("weights.safetensors")
    }
}
