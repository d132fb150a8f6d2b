//! The jobs that are simulated, one of each kind. Most are small heads over a release, so that a round's
//! arithmetic takes microseconds and everything about it is real.

use eosfed_client::policy::{Allow, Approval, Egress, Limits, Policy};
use eosfed_common::assignment::BlobRef;
use eosfed_common::card::{Card, Provenance, TrainingMode};
use eosfed_common::identity::Identity;
use eosfed_common::ids::InstitutionName;
use eosfed_common::model::{Backbone, Task, signature};
use eosfed_common::plan::{JobKind, JobSpec, StrategyName};
use eosfed_common::weights::Encoding;
use eosfed_common::weights::write;
use eosfed_coordinator::domain::Member;
use eosfed_coordinator::domain::registry::Release;
use eosfed_coordinator::domain::{Change, Registry};
use eosfed_coordinator::storage::{Blobs, ready};
use eosfed_testkit::plans::{self, Plan};
use eosfed_testkit::training::trained;
use eosfed_testkit::{cards, signing};
use rand::RngExt as _;
use rand_chacha::ChaCha12Rng;
use strum::VariantArray as _;

use crate::clock::START;

const CLASSES: [&str; 2] = ["field", "wood"];
/// The specialist of a job of rounds. It starts from the one of the release.
const SHARED: &str = "[{ name = \"all\", bands = [\"red\", \"nir\"], start_from = \"first@1\" }]";

/// How the updates of a job are encoded. The policies allow all, so the first of a list is taken.
const ENCODINGS: [&str; 6] = [
    "[\"f32\"]",
    "[\"bf16\"]",
    "[\"int8\", \"f32\"]",
    "[\"top-k\"]",
    "[\"top-k-bf16\", \"int8\"]",
    "[\"f32\", \"int8\"]",
];

/// The kind of a seed's job. Whole specialists have megabytes of weights, so there are few of them.
#[must_use]
pub const fn kind_of(seed: u64) -> JobKind {
    match seed % 100 {
        10 => JobKind::OneShot,
        20 => JobKind::Rounds,
        30 | 60 | 90 => JobKind::Evaluation,
        25 | 50 | 75 => JobKind::Statistics,
        _ => JobKind::Downstream,
    }
}

/// Most institutions in a job of this kind.
#[must_use]
pub const fn most_institutions(kind: JobKind) -> usize {
    match kind {
        JobKind::OneShot | JobKind::Rounds | JobKind::Evaluation => 3,
        JobKind::Downstream | JobKind::Statistics => 5,
    }
}

/// The names of so many institutions.
#[must_use]
pub fn names(count: usize) -> Vec<InstitutionName> {
    (0..count).map(|index| format!("site-{index}").parse().unwrap()).collect()
}

/// The policy of institutions: it allows everything, or lets nothing leave.
#[must_use]
pub fn policy(withdrawn: bool) -> Policy {
    let results = [Egress::FrozenWeights, Egress::Updates, Egress::Metrics, Egress::Statistics];
    let others = [Egress::Provenance, Egress::Failures, Egress::DataStatement];
    let all = results.into_iter().chain(others).collect();
    Policy {
        allow: Allow {
            job_kinds: JobKind::VARIANTS.to_vec(),
            tasks: Task::ALL.to_vec(),
            backbones: Backbone::ALL.to_vec(),
            strategies: StrategyName::VARIANTS.to_vec(),
            individual_updates: true,
            warm_start: false,
            encodings: Encoding::ALL.to_vec(),
        },
        may_leave: if withdrawn { Vec::new() } else { all },
        min_institutions: 1,
        max_epochs: 10,
        min_samples: 1,
        min_steps: 1,
        max_gpu_memory_percent: 100,
        limits: Limits::default(),
        hours: None,
        approval: Approval::Automatic,
        privacy: None,
    }
}

/// Institutions that have joined, and a release of specialists: of two whose weights are there for an
/// evaluation, of one where a training starts from it, else of one under whose name any bytes are.
#[must_use]
pub fn beginning(names: &[InstitutionName], kind: JobKind, blobs: &dyn Blobs) -> Change {
    let joined = |name: &InstitutionName| {
        let key = signing::institution(name.as_str()).public();
        Member::enrolled(Identity::institution(name.clone()), None, START).with_signing_key(key)
    };
    let specialists = if kind == JobKind::Evaluation { vec!["first", "second"] } else { vec!["first"] };
    let cards: Vec<_> = specialists.iter().map(|name| card(name, names, kind, blobs)).collect();
    let mut registry = Registry::default();
    for card in &cards {
        registry.specialists.insert((card.name.clone(), 1), card.clone());
    }
    let manifest = registry.cut(cards.clone(), "made for this".to_owned(), START).unwrap();
    Change {
        members: names.iter().map(joined).collect(),
        specialists: cards,
        releases: vec![Release { manifest, key: None }],
        ..Change::default()
    }
}

fn card(name: &str, names: &[InstitutionName], kind: JobKind, blobs: &dyn Blobs) -> Card {
    let model = cards::model(Task::Classification, &["red"], &CLASSES);
    let staged = blobs.stage().unwrap();
    if matches!(kind, JobKind::Evaluation | JobKind::Rounds) {
        let signature = signature(&model);
        write(staged.path(), &signature, &trained(&signature, name.len() as u64, None)).unwrap();
    } else {
        std::fs::write(staged.path(), name).unwrap();
    }
    let BlobRef { digest: weights, size: weights_bytes } = ready(blobs.ingest(staged)).unwrap();
    let known = cards::card();
    Card {
        name: name.parse().unwrap(),
        weights,
        weights_bytes,
        model,
        normalisation: cards::normalisation(&["red"], 0.0, 1.0),
        input_size: None,
        antialias: false,
        provenance: Provenance {
            mode: TrainingMode::OneShot,
            institutions: names.to_vec(),
            frozen_at: START,
            ..known.provenance
        },
        ..known
    }
}

/// How a job goes.
struct Shape<'a> {
    min: usize,
    max: usize,
    attempts: u32,
    rounds: u32,
    strategy: &'a str,
    asynchronous: bool,
    encodings: &'a str,
    /// Whether updates of a large norm are excluded.
    norm_factor: bool,
}

/// A plan of this kind for these institutions, drawn from `rng`.
#[must_use]
pub fn draw(rng: &mut ChaCha12Rng, kind: JobKind, names: &[InstitutionName]) -> JobSpec {
    let strategies = [
        "{ name = \"fed-avg\" }",
        "{ name = \"fed-prox\", mu = 0.01 }",
        "{ name = \"fed-avg-m\" }",
        "{ name = \"fed-adam\", tau = 1e-3 }",
        "{ name = \"fed-yogi\" }",
        "{ name = \"fed-adagrad\", tau = 1e-3 }",
        "{ name = \"median\" }",
        "{ name = \"trimmed-mean\", trim = 0.2 }",
        "{ name = \"geometric-median\" }",
        "{ name = \"norm-bounded-mean\", bound = 2.0 }",
    ];
    let asynchronous = rng.random_ratio(1, 4);
    let strategy = strategies[rng.random_range(0..if asynchronous { 6 } else { strategies.len() })];
    let min = rng.random_range(1..=names.len());
    let max = if asynchronous { min } else { rng.random_range(min..=names.len()) };
    let norm_factor = rng.random_ratio(1, 3);
    let (rounds, attempts) = (rng.random_range(1..=3), rng.random_range(2..=4));
    let encodings = ENCODINGS[rng.random_range(0..ENCODINGS.len())];
    let shape = Shape { min, max, attempts, rounds, strategy, asynchronous, encodings, norm_factor };
    parse(kind, names, &shape)
}

/// A plan in which all take part in every round, so that its result is always the same.
#[must_use]
pub fn complete(rng: &mut ChaCha12Rng, kind: JobKind, names: &[InstitutionName]) -> JobSpec {
    let strategies =
        ["{ name = \"fed-avg\" }", "{ name = \"fed-adam\", tau = 1e-3 }", "{ name = \"median\" }"];
    let (min, max) = (names.len(), names.len());
    let strategy = strategies[rng.random_range(0..strategies.len())];
    let (asynchronous, norm_factor) = (false, false);
    // What an encoding drops goes into the next step, also if its update's receipt is lost and the round closes.
    let encodings = ENCODINGS[rng.random_range(0..ENCODINGS.len())];
    let (rounds, attempts) = (2, 3);
    let shape = Shape { min, max, attempts, rounds, strategy, asynchronous, encodings, norm_factor };
    parse(kind, names, &shape)
}

fn parse(kind: JobKind, names: &[InstitutionName], shape: &Shape<'_>) -> JobSpec {
    let plan = Plan::new(plans::of(kind)).set("name", "simulated").deadline("2h");
    let mut plan =
        plan.participants(shape.min, shape.max).set("participation.lease_expiries", shape.attempts);
    if kind != JobKind::Evaluation {
        plan = plan.set("participation.attempts", shape.attempts);
    }
    match kind {
        JobKind::OneShot => own_specialists(small(plan).without("release"), names),
        JobKind::Rounds => federated(small(plan).without("release"), shape).set_toml("specialist", SHARED),
        JobKind::Downstream => federated(small(plan), shape)
            .set("head.bands", vec!["red", "nir"])
            .set_toml("head.composition.selection", "{ kind = \"all\" }")
            .set_toml("head.composition.fusion", "{ kind = \"concatenate\" }"),
        JobKind::Evaluation | JobKind::Statistics => plan,
    }
    .spec()
}

/// With little to learn.
fn small(plan: Plan) -> Plan {
    plan.set("model.task", "classification").set("model.classes", CLASSES.to_vec()).set("training.epochs", 1)
}

fn federated(plan: Plan, shape: &Shape<'_>) -> Plan {
    let mut plan = plan.rounds(shape.rounds, shape.strategy).set_toml("rounds.encodings", shape.encodings);
    plan = plan.set("rounds.top_k_share", 0.1);
    if shape.asynchronous {
        plan = plan.set("rounds.asynchronous.max_staleness", 3);
    }
    if shape.norm_factor {
        plan = plan.set("admission.norm_factor", 3.0);
    }
    plan
}

fn own_specialists(plan: Plan, names: &[InstitutionName]) -> Plan {
    let own: Vec<String> = names.iter().map(|name| format!("of-{name}")).collect();
    let own: Vec<_> =
        own.iter().zip(names).map(|(own, name)| (own.as_str(), name.as_str(), &["red"][..])).collect();
    plan.specialists(&own)
}
