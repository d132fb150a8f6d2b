//! A coordinator with a dashboard, whose store was filled with a federation of any size.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use eosfed_common::ablation::{Ablation, Without};
use eosfed_common::assignment::{BlobRef, CurvePoint};
use eosfed_common::card::{BandNormalisation, Card, Energy, EnergySource};
use eosfed_common::clock::{Clock as _, SystemClock, Timestamp};
use eosfed_common::digest::Digest;
use eosfed_common::finite::Finite;
use eosfed_common::head::HeadFile;
use eosfed_common::identity::{Identity, Role};
use eosfed_common::ids::{IdempotencyKey, InstitutionName, JobId, LeaseToken};
use eosfed_common::ledger::{Actor, Entry, EventKind};
use eosfed_common::model::{Task, initial_tensors};
use eosfed_common::plan::JobSpec;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::scoring::ScoredPart;
use eosfed_common::weights::write;
use eosfed_testkit::plans::{DOWNSTREAM, EVALUATION, ONE_SHOT, Plan, ROUNDS};
use eosfed_testkit::{signing, submissions};

use super::super::Dashboard;
use crate::domain::closed::ClosedRound;
use crate::domain::curve::{Curve, CurveId};
use crate::domain::job::{JobState, TrainedHead};
use crate::domain::member::Member;
use crate::domain::member::keys::Key;
use crate::domain::round::{Contribution, ParticipantState, Rejection, Round, RoundKind};
use crate::domain::{Change, Federation, Job, Submission};
use crate::engine::{Handle, Options};
use crate::overview::Overviews;
use crate::sessions::{Sessions, Viewer};
use crate::storage::{Blobs as _, FileBlobs, MemoryStore, STAGING, Store as _, ready};
use crate::testing::{enrolled, finished, key, name, rng, token};
use crate::traffic::Traffic;

/// A coordinator with a dashboard.
pub(super) struct World {
    pub(super) dashboard: Dashboard,
    /// The job with the rounds.
    pub(super) job: JobId,
    _folder: tempfile::TempDir,
}

/// How large the federation is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) institutions: usize,
    pub(super) rounds: u32,
}

/// Text that wants to be more than text.
pub(super) fn hostile() -> String {
    format!(
        "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> \u{5e9}\u{5dc}\u{5d5}\u{5dd} {}",
        "w".repeat(200)
    )
}

/// What people and institutions have written.
#[derive(Debug, Clone)]
struct Texts {
    paused: String,
    refusal: String,
    rejection: String,
    failure: String,
    licence: String,
    note: String,
    /// Names of heads over the release.
    heads: Vec<String>,
    /// How long a round takes.
    round_seconds: u64,
    /// Specialists beside the two of the plan.
    others: &'static [(&'static str, &'static [&'static str], u64)],
}

impl Texts {
    fn hostile() -> Self {
        let paused = hostile().chars().take(76).collect();
        let [refusal, rejection, failure, licence, note] = [(); 5].map(|()| hostile());
        let heads = vec![hostile().chars().take(60).collect()];
        Self { paused, refusal, rejection, failure, licence, note, heads, round_seconds: 20, others: &[] }
    }

    /// For pictures.
    fn friendly() -> Self {
        Self {
            paused: "glacier outlines".to_owned(),
            refusal: "`may_leave` lacks `frozen_weights`".to_owned(),
            rejection: "its step has 9.3 times the median length of this round; at most 4 times counts"
                .to_owned(),
            failure: "the disk of the state folder has 1.2 GB free, and the work needs 3.4 GB".to_owned(),
            licence: "CC-BY-4.0".to_owned(),
            note: "spring: six specialists of four institutions".to_owned(),
            heads: vec!["flood extent".to_owned(), "land cover, five of six".to_owned()],
            round_seconds: 2200,
            others: &[
                ("coast-water", &["green", "nir", "swir"], 2210),
                ("river-floods", &["vv", "vh"], 1640),
                ("north-forest-types", &["red", "red_edge_1", "nir"], 3075),
                ("south-crops", &["blue", "green", "red", "nir"], 2718),
            ],
        }
    }
}

/// Names of institutions, a few of which are good to look at.
pub(super) fn names(number: usize) -> Vec<String> {
    const NAMES: [&str; 8] = [
        "east",
        "west",
        "north",
        "south",
        "river-basin-authority",
        "university-of-the-coast",
        "delta-survey",
        "alpine-institute",
    ];
    (0..number)
        .map(|at| NAMES.get(at).map_or_else(|| format!("site-{at:03}"), |name| (*name).to_owned()))
        .collect()
}

impl World {
    /// Nobody was invited and nothing has happened.
    pub(super) async fn empty() -> Self {
        let store = MemoryStore::default();
        let state = Federation::default();
        let mut builder = Builder {
            store: store.clone(),
            state,
            now: SystemClock.now(),
            texts: Texts::hostile(),
            files: Vec::new(),
        };
        builder.people();
        Self::of(&store, &[], "j-00000000".parse().unwrap()).await
    }

    /// A federation with jobs, specialists, a release, scores and an open round.
    pub(super) async fn filled(size: Size) -> Self {
        Self::with(size, Texts::hostile()).await
    }

    /// The same with texts that are good to look at.
    pub(super) async fn friendly(size: Size) -> Self {
        Self::with(size, Texts::friendly()).await
    }

    async fn with(size: Size, texts: Texts) -> Self {
        let store = MemoryStore::default();
        let state = Federation::default();
        let mut builder =
            Builder { store: store.clone(), state, now: SystemClock.now(), texts, files: Vec::new() };
        builder.members(size.institutions);
        builder.finished();
        builder.evaluation();
        builder.head();
        builder.paused();
        let job = builder.rounds(size);
        Self::of(&store, &builder.files, job).await
    }

    async fn of(store: &MemoryStore, files: &[Vec<u8>], job: JobId) -> Self {
        // In memory, where that is possible: the disk of a machine that builds is often nearly full.
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = tempfile::tempdir_in(place).unwrap();
        let blobs = Arc::new(FileBlobs::open(folder.path()).unwrap());
        for bytes in files {
            let blob = BlobRef::of(bytes);
            ready(blobs.append("west", blob, 0, bytes)).unwrap();
            ready(blobs.finish("west", blob)).unwrap();
        }
        let options = Options::new(folder.path().join(STAGING), signing::coordinator().key().clone());
        let clock = Arc::new(SystemClock);
        let engine = Handle::start(Box::new(store.clone()), blobs, clock, rng(1), options).await.unwrap();
        let traffic = Traffic::new(Arc::new(SystemClock));
        for (at, name) in names(400).into_iter().enumerate() {
            if at % 6 != 3 {
                let member = Identity::institution(name.parse().unwrap());
                let _ = traffic.note(&member);
                traffic.note_version(&member, "0.1.0");
            }
        }
        let overviews = Overviews::new(engine.clone(), traffic.clone(), folder.path().to_owned());
        let dashboard = Dashboard::new(engine, traffic, Sessions::default(), overviews);
        Self { dashboard, job, _folder: folder }
    }

    /// The secret of a link of a member who has this key.
    pub(super) async fn link(&self, role: Role, who: &str) -> String {
        let identity = Identity { role, name: name(who) };
        let now = self.dashboard.engine.now();
        let viewer = Viewer { identity, key: personal_key() };
        self.dashboard.sessions.link(viewer, now, &mut rng(now.0))
    }

    /// The cookie of a session.
    pub(super) async fn cookie(&self, role: Role, who: &str) -> String {
        let link = self.link(role, who).await;
        let now = self.dashboard.engine.now();
        let session = self.dashboard.sessions.login(&link, now, &mut rng(now.0 + 1)).unwrap();
        format!("eosfed-session={session}")
    }
}

/// The key of the operator and of the reader.
fn personal_key() -> Key {
    Key { fingerprint: Digest::of(b"personal"), expires_at: Timestamp(u64::MAX), authority: None }
}

/// Fills a store.
struct Builder {
    store: MemoryStore,
    state: Federation,
    now: Timestamp,
    texts: Texts,
    /// The bytes of blobs.
    files: Vec<Vec<u8>>,
}

impl Builder {
    fn commit(&mut self, change: Change) {
        self.files.extend(change.documents.iter().cloned());
        ready(self.store.commit(&change, &[])).unwrap();
        self.state.merge(change);
    }

    fn ago(&self, seconds: u64) -> Timestamp {
        Timestamp(self.now.0 - seconds * 1000)
    }

    fn members(&mut self, institutions: usize) {
        let names = names(institutions.max(2));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.commit(enrolled(&names));
        self.people();
    }

    fn people(&mut self) {
        let person = |role, who: &str| {
            Member::enrolled(Identity { role, name: name(who) }, Some(personal_key()), self.ago(86_400))
        };
        let people = vec![person(Role::Operator, "ada"), person(Role::Reader, "rita")];
        self.commit(Change { members: people, ..Change::default() });
    }

    /// A one-shot job that has made two specialists and a release.
    fn finished(&mut self) {
        let plan = Plan::new(ONE_SHOT).set("name", "the first specialists").text();
        let outcome = finished(&self.state, &plan);
        let mut change = self.state.settle(outcome, self.ago(80_000)).unwrap();
        self.dress(&mut change.specialists);
        for release in &mut change.releases {
            release.manifest.note.clone_from(&self.texts.note);
            self.dress(&mut release.manifest.specialists);
        }
        self.commit(change);
        self.ablations();
    }

    /// What the specialists of the release contribute to heads over it.
    fn ablations(&mut self) {
        // Name, weight and score without it.
        const MEASURED: [(&str, f64, f64); 6] = [
            ("east-nir", 0.92, 0.498),
            ("river-floods", 0.77, 0.681),
            ("west-rgb", 0.44, 0.702),
            ("coast-water", 0.31, 0.717),
            ("south-crops", 0.15, 0.731),
            ("north-forest-types", 0.08, 0.744),
        ];
        for (at, head) in self.texts.heads.clone().into_iter().enumerate() {
            let release = &self.state.registry.release(None).unwrap().manifest;
            let without = release.specialists.iter().filter_map(|card| {
                let measured = MEASURED.iter().skip(at).find(|(name, ..)| *name == card.name.as_str());
                measured.map(|(_, weight, score)| Without {
                    weights: card.weights,
                    selection: (at == 0).then_some(Finite::literal(*weight)),
                    score: Finite::literal(*score),
                })
            });
            let ablation = Ablation {
                release: release.number,
                head,
                task: Task::Segmentation,
                part: ScoredPart::Test,
                samples: 412,
                metric: "miou".to_owned(),
                unit: String::new(),
                all: Finite::literal(0.731),
                without: without.collect(),
            };
            let (_, change) = self.state.record_ablation(ablation, name("ada"), self.ago(7000)).unwrap();
            self.commit(change);
        }
    }

    /// What the cards of real specialists have, and cards of others like the first.
    fn dress(&self, cards: &mut Vec<Card>) {
        let Some(first) = cards.iter().min_by_key(|card| card.name.clone()).cloned() else { return };
        for (at, (name, bands, samples)) in self.texts.others.iter().enumerate() {
            let mut card = first.clone();
            card.name = name.parse().unwrap();
            card.model.bands = bands.iter().map(|band| (*band).to_owned()).collect();
            let one = card.normalisation[0].clone();
            let of = |band: &&str| BandNormalisation { band: (*band).to_owned(), ..one.clone() };
            card.normalisation = bands.iter().map(of).collect();
            card.provenance.samples = *samples;
            card.weights = Digest::of(name.as_bytes());
            card.weights_bytes += 4_300 * at as u64;
            cards.push(card);
        }
        cards.sort_by_key(|card| card.name.clone());
        for (at, card) in cards.iter_mut().enumerate() {
            card.provenance.samples = card.provenance.samples.max(1870);
            card.licence.clone_from(&self.texts.licence);
            let score = 0.83 - 0.017 * at as f64;
            card.metrics = [("macro_f1", score), ("accuracy", score + 0.03)]
                .map(|(name, score)| (name.to_owned(), Finite::literal(score)))
                .into();
            card.energy = energy(0.21 + 0.03 * at as f64);
        }
    }

    fn submit(&self, spec: JobSpec, id: &str, ago: u64) -> (JobId, Change) {
        let key: IdempotencyKey = key(u64::from(id.as_bytes()[9]) + 500);
        let submission = Submission { id: id.parse().unwrap(), key, spec, by: name("ada") };
        self.state.submit_job(submission, self.ago(ago)).unwrap()
    }

    /// A job that is paused because institutions have refused it.
    fn paused(&mut self) {
        let name = self.texts.paused.clone();
        let spec = JobSpec::parse(&Plan::new(ONE_SHOT).set("name", name).text()).unwrap();
        let (id, change) = self.submit(spec, "j-0000000b", 7200);
        self.commit(change);
        let mut job = self.state.job(&id).unwrap().clone();
        let JobState::Collecting(mut round) = job.state else { panic!("it asks institutions") };
        let refusal = Refusal::new(Reason::Policy, self.texts.refusal.clone());
        let at = self.ago(3000);
        for participant in round.participants.values_mut() {
            participant.state = ParticipantState::Refused { at, refusal: refusal.clone() };
        }
        let next = crate::domain::job::Next::Collect(round);
        job.state = JobState::Paused { at, why: "round 1 has closed with 0 of 2 results".to_owned(), next };
        self.commit(Change { jobs: vec![job], ..Change::default() });
    }

    /// A head that two institutions have trained over the release, with a weight for each specialist.
    fn head(&mut self) {
        let bands = r#"["blue", "green", "red", "red_edge_1", "nir", "swir", "vv", "vh"]"#;
        let plan = Plan::new(DOWNSTREAM).set("name", "flood extent").set_toml("head.bands", bands).text();
        let (id, change) = self.submit(JobSpec::parse(&plan).unwrap(), "j-00000007", 36_000);
        self.commit(change);
        let mut job = self.state.job(&id).unwrap().clone();
        let signature = job.head.as_ref().unwrap().signature.clone();
        let mut tensors = initial_tensors(&signature, 7);
        let learned = tensors.get_mut(HeadFile::SELECTION).unwrap();
        learned.iter_mut().zip([0.31, 0.92, 0.08, 0.77, 0.15, 0.44]).for_each(|(one, weight)| *one = weight);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("head");
        write(&path, &signature, &tensors).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let mut report = submissions::report(2400, Vec::new());
        report.metrics = [("mean_iou".to_owned(), Finite::literal(0.71))].into();
        job.trained = Some(Arc::new(TrainedHead {
            weights: BlobRef::of(&bytes),
            institutions: vec![name("east"), name("west")],
            rounds: 1,
            report,
            statistics: Vec::new(),
            statistics_from: None,
        }));
        job.state = JobState::Finished { at: self.ago(35_000) };
        self.files.push(bytes);
        self.commit(Change { jobs: vec![job], ..Change::default() });
    }

    /// An evaluation of both specialists by all institutions.
    fn evaluation(&mut self) {
        let spec = JobSpec::parse(EVALUATION).unwrap();
        let (id, change) = self.submit(spec, "j-0000000e", 40_000);
        self.commit(change);
        let mut job = self.state.job(&id).unwrap().clone();
        let JobState::Collecting(first) = job.state.clone() else { panic!("it asks institutions") };
        let rounds = (0..job.candidates.len() as u32).map(|index| {
            let mut round = Round { index, kind: RoundKind::Evaluate(index), ..first.clone() };
            for (at, participant) in round.participants.values_mut().enumerate() {
                let score = 0.45 + 0.5 * f64::from((at as u32 * 7 + index * 3) % 11) / 11.0;
                let mut report = submissions::scores(300 + at as u64, score);
                report.metrics.insert("macro_f1".to_owned(), Finite::literal(score));
                let contribution = Contribution::Evaluation(report);
                participant.state =
                    ParticipantState::Submitted { at: self.ago(39_000), key: key(9), contribution };
            }
            self.closed(&job, round, 39_000)
        });
        let rounds: Vec<_> = rounds.collect();
        job.state = JobState::Finished { at: self.ago(38_000) };
        self.commit(Change { jobs: vec![job], rounds, ..Change::default() });
    }

    fn closed(&self, job: &Job, round: Round, ago: u64) -> ClosedRound {
        ClosedRound {
            job: job.id.clone(),
            round,
            at: self.ago(ago),
            complete: true,
            base: None,
            optimizer_state: None,
            pruned: None,
        }
    }

    /// A job with so many closed rounds and one that is open.
    fn rounds(&mut self, size: Size) -> JobId {
        let plan = Plan::new(ROUNDS).set("name", "land cover of the coast").text();
        let mut spec = JobSpec::parse(&plan).unwrap();
        if let JobSpec::Rounds(rounds) = &mut spec {
            rounds.federated.rounds.count = size.rounds + 5;
            rounds.participation.min = 3.min(size.institutions as u32);
            rounds.participation.max = size.institutions as u32;
        }
        let (id, change) = self.submit(spec, "j-0a1b2c3d", 30_000);
        self.commit(change);
        let mut job = self.state.job(&id).unwrap().clone();
        let spec = job.spec.clone();
        let last = size.rounds;
        let cohort = job.cohort.clone();
        let opened = |index: u32| Round::open(&id, index, RoundKind::Train(index), &cohort, &spec, self.now);
        let closed: Vec<ClosedRound> =
            (0..last).map(|index| self.trained(&job, opened(index), last)).collect();
        let mut open = opened(last);
        let curves = self.under_way(&mut open);
        job.energy = Some(energy(0.8));
        job.state = JobState::Collecting(open);
        let job_id = job.id.clone();
        let event = Entry::new(Actor::Coordinator, EventKind::JobFinished).of(&job_id);
        self.commit(Change {
            jobs: vec![job],
            rounds: closed,
            curves,
            events: vec![event],
            ..Change::default()
        });
        id
    }

    /// A round in which all have submitted but one, whose update was rejected.
    fn trained(&self, job: &Job, mut round: Round, all: u32) -> ClosedRound {
        let took = self.texts.round_seconds;
        let ago = u64::from(all - round.index) * took;
        round.opened_at = self.ago(ago + took - took / 20);
        let score = 0.9 - 0.6 / f64::from(round.index + 1).sqrt();
        for (at, participant) in round.participants.values_mut().enumerate() {
            participant.state = if at % 7 == 6 {
                let refusal = Refusal::new(Reason::NormOutlier, self.texts.rejection.clone());
                ParticipantState::Rejected(Rejection {
                    at: self.ago(ago),
                    key: None,
                    refusal,
                    weights: weights(at),
                })
            } else {
                ParticipantState::Submitted {
                    at: self.ago(ago),
                    key: key(9),
                    contribution: update(at, score),
                }
            };
        }
        self.closed(job, round, ago)
    }

    /// Institutions of an open round, some of which are at work.
    fn under_way(&self, round: &mut Round) -> Vec<Curve> {
        round.opened_at = self.ago(300);
        round.deadline = Timestamp(self.now.0 + 3_600_000);
        let index = round.index;
        let mut curves = Vec::new();
        for (at, (institution, participant)) in round.participants.iter_mut().enumerate() {
            participant.state = match at % 6 {
                0 => ParticipantState::Submitted { at: self.now, key: key(9), contribution: update(at, 0.8) },
                1 | 2 => self.leased(at, index),
                3 => ParticipantState::Refused {
                    at: self.now,
                    refusal: Refusal::new(Reason::Policy, "the policy does not allow `fed-prox`"),
                },
                4 => ParticipantState::Failed { at: self.now, message: self.texts.failure.clone() },
                _ => ParticipantState::Offered,
            };
            if at % 6 < 3 {
                let id = CurveId { asked_in: participant.asked_in.clone(), institution: institution.clone() };
                curves.push(Curve { id, points: points(at) });
            }
        }
        curves
    }

    fn leased(&self, at: usize, since: u32) -> ParticipantState {
        let lease = eosfed_common::assignment::Lease {
            token: token(at as u64 + 1),
            expires_at: Timestamp(self.now.0 + 3_600_000),
        };
        ParticipantState::Leased { lease, since, step: 140 + 30 * at as u64, steps: 400, loss: None }
    }
}

fn points(at: usize) -> Vec<CurvePoint> {
    let point = |epoch: u32| CurvePoint {
        step: u64::from(epoch) * 20,
        loss: Finite::literal(1.3 / f64::from(epoch).sqrt() + 0.03 * at as f64),
        metrics: BTreeMap::new(),
    };
    (1..=12).map(point).collect()
}

fn energy(kwh: f64) -> Energy {
    Energy { kwh: Finite::literal(kwh), source: EnergySource::Measured, co2e_g: None }
}

fn weights(at: usize) -> BlobRef {
    BlobRef { digest: Digest::of(format!("update {at}").as_bytes()), size: 14_000_000 }
}

fn update(at: usize, score: f64) -> Contribution {
    let mut report = submissions::report(900 + 13 * at as u64, Vec::new());
    report.metrics = [
        ("macro_f1".to_owned(), Finite::literal(score - 0.01)),
        ("accuracy".to_owned(), Finite::literal(score)),
        ("loss".to_owned(), Finite::literal(1.3 - score)),
    ]
    .into();
    report.energy = energy(0.004 + 0.001 * (at % 5) as f64);
    Contribution::Update {
        weights: weights(at),
        report: Box::new(report),
        norm: Finite::literal(1.4),
        since: 0,
        signed: None,
        statistics: None,
        start_metrics: BTreeMap::new(),
    }
}

/// The lease of an institution that is at work in the open round.
pub(super) fn lease_of(job: &Job) -> (InstitutionName, LeaseToken) {
    let round = job.current().unwrap();
    let leased = round.participants.iter().find_map(|(name, one)| match &one.state {
        ParticipantState::Leased { lease, .. } => Some((name.clone(), lease.token.clone())),
        _ => None,
    });
    leased.unwrap()
}
