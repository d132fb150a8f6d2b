//! The jobs that are simulated, one of each kind. Most are small heads over a release, so that a round's
//! arithmetic takes microseconds and everything about it is real.

use std::collections::BTreeMap;

use eosfed_client::policy::{Allow, Approval, Egress, Policy};
use eosfed_common::assignment::BlobRef;
use eosfed_common::card::{BandNormalisation, Card, Energy, Provenance, TrainingMode};
use eosfed_common::digest::Digest;
use eosfed_common::finite::Finite;
use eosfed_common::ids::InstitutionName;
use eosfed_common::model::{Backbone, ModelSpec, Task, signature};
use eosfed_common::plan::{JobKind, JobSpec, StrategyName};
use eosfed_common::weights::{Signature, Tensors, write};
use eosfed_coordinator::domain::institution::{Enrolment, Institution};
use eosfed_coordinator::domain::registry::Release;
use eosfed_coordinator::domain::{Change, Registry};
use eosfed_coordinator::storage::{Blobs, ready};
use rand::RngExt as _;
use rand_chacha::ChaCha12Rng;
use strum::VariantArray as _;

use crate::clock::START;

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
    let all = vec![Egress::FrozenWeights, Egress::Updates, Egress::Metrics, Egress::Statistics];
    Policy {
        allow: Allow {
            job_kinds: JobKind::VARIANTS.to_vec(),
            tasks: Task::ALL.to_vec(),
            backbones: Backbone::ALL.to_vec(),
            strategies: StrategyName::VARIANTS.to_vec(),
        },
        may_leave: if withdrawn { Vec::new() } else { all },
        min_institutions: 1,
        max_epochs: 10,
        hours: None,
        approval: Approval::Automatic,
    }
}

/// Institutions that have joined, and a release of specialists: of two whose weights are there for an
/// evaluation, else of one under whose name any bytes are.
#[must_use]
pub fn beginning(names: &[InstitutionName], kind: JobKind, blobs: &dyn Blobs) -> Change {
    let digest = Digest::of(b"anything");
    let enrolment = Some(Enrolment { secret: digest, request: digest, at: START });
    let joined = |name: &InstitutionName| Institution {
        name: name.clone(),
        invitation: None,
        enrolment: enrolment.clone(),
    };
    let specialists = if kind == JobKind::Evaluation { vec!["first", "second"] } else { vec!["first"] };
    let cards: Vec<_> = specialists.iter().map(|name| card(name, names, kind, blobs)).collect();
    let mut registry = Registry::default();
    for card in &cards {
        registry.specialists.insert((card.name.clone(), 1), card.clone());
    }
    let manifest = registry.cut(cards.clone(), "made for this".to_owned(), START).unwrap();
    Change {
        institutions: names.iter().map(joined).collect(),
        specialists: cards,
        releases: vec![Release { manifest, key: None }],
        ..Change::default()
    }
}

fn card(name: &str, names: &[InstitutionName], kind: JobKind, blobs: &dyn Blobs) -> Card {
    let model = ModelSpec {
        backbone: Backbone::Atto,
        task: Task::Classification,
        bands: vec!["red".to_owned()],
        classes: vec!["field".to_owned(), "wood".to_owned()],
        target: None,
    };
    let staged = blobs.stage().unwrap();
    if kind == JobKind::Evaluation {
        let signature = signature(&model);
        write(staged.path(), &signature, &trained(&signature, name.len() as u64, None)).unwrap();
    } else {
        std::fs::write(staged.path(), name).unwrap();
    }
    let BlobRef { digest: weights, size: weights_bytes } = ready(blobs.ingest(staged)).unwrap();
    let (mean, std) = (Finite::ZERO, Finite::literal(1.0));
    Card {
        name: name.parse().unwrap(),
        version: 1,
        weights,
        weights_bytes,
        model,
        normalisation: vec![BandNormalisation { band: "red".to_owned(), mean, std }],
        input_size: None,
        provenance: Provenance {
            job: "j-00000000".parse().unwrap(),
            mode: TrainingMode::OneShot,
            institutions: names.to_vec(),
            rounds: 0,
            samples: 1,
            seed: 0,
            frozen_at: START,
            initial: None,
        },
        metrics: BTreeMap::new(),
        energy: Energy::default(),
        licence: "CC-BY-4.0".to_owned(),
    }
}

/// How a job goes.
struct Shape<'a> {
    min: usize,
    max: usize,
    attempts: u32,
    rounds: u32,
    strategy: &'a str,
    /// More keys of `[rounds]`, and further tables.
    extra: &'a str,
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
    let staleness = if asynchronous { "asynchronous = { max_staleness = 3 }" } else { "" };
    let admission = if rng.random_ratio(1, 3) { "[admission]\nnorm_factor = 3.0" } else { "" };
    let extra = &format!("{staleness}\n{admission}");
    let (rounds, attempts) = (rng.random_range(1..=3), rng.random_range(2..=4));
    parse(kind, names, &Shape { min, max, attempts, rounds, strategy, extra })
}

/// A plan in which all take part in every round, so that its result is always the same.
#[must_use]
pub fn complete(rng: &mut ChaCha12Rng, kind: JobKind, names: &[InstitutionName]) -> JobSpec {
    let strategies =
        ["{ name = \"fed-avg\" }", "{ name = \"fed-adam\", tau = 1e-3 }", "{ name = \"median\" }"];
    let (min, max) = (names.len(), names.len());
    let strategy = strategies[rng.random_range(0..strategies.len())];
    parse(kind, names, &Shape { min, max, attempts: 3, rounds: 2, strategy, extra: "" })
}

fn parse(kind: JobKind, names: &[InstitutionName], shape: &Shape<'_>) -> JobSpec {
    let Shape { min, max, attempts, rounds, strategy, extra } = shape;
    let specialist = "[model]\nbackbone = \"convnextv2_atto\"\ntask = \"classification\"\n\
                      classes = [\"field\", \"wood\"]\n[training]\nepochs = 1\nbatch_size = 8\n\
                      learning_rate = 1e-3\n";
    let federated = format!("[rounds]\ncount = {rounds}\nstrategy = {strategy}\n{extra}\n");
    let tables = match kind {
        JobKind::OneShot => specialist.to_owned() + &names.iter().map(own_specialist).collect::<String>(),
        JobKind::Rounds => format!(
            "{specialist}[[specialist]]\nname = \"all\"\nbands = [\"red\", \"nir\"]\n{federated}\
             [normalisation]\nfrom = \"federated\"\n"
        ),
        JobKind::Downstream => format!(
            "[model]\ntask = \"classification\"\nclasses = [\"field\", \"wood\"]\n[head]\n\
             bands = [\"red\", \"nir\"]\n\
             composition = {{ selection = {{ kind = \"all\" }}, fusion = {{ kind = \"concatenate\" }} }}\n\
             [training]\nepochs = 1\nbatch_size = 8\nlearning_rate = 1e-3\n{federated}"
        ),
        JobKind::Evaluation => "[evaluation]\n".to_owned(),
        JobKind::Statistics => "[statistics]\nbands = [\"red\", \"nir\"]\n".to_owned(),
    };
    let training = match kind {
        JobKind::OneShot | JobKind::Rounds | JobKind::Downstream => {
            ("seed = 7\n", format!("attempts = {attempts}\n"))
        }
        JobKind::Statistics => ("", format!("attempts = {attempts}\n")),
        JobKind::Evaluation => ("", String::new()),
    };
    let (seed, attempts_key) = training;
    let text = format!(
        "version = 2\nname = \"simulated\"\nkind = \"{kind}\"\n{seed}[participation]\nmin = {min}\n\
         max = {max}\ndeadline = \"2h\"\n{attempts_key}lease_expiries = {attempts}\n{tables}"
    );
    JobSpec::parse(&text).unwrap_or_else(|problems| panic!("{text}\n{problems}"))
}

fn own_specialist(name: &InstitutionName) -> String {
    format!("[[specialist]]\nname = \"of-{name}\"\ninstitution = \"{name}\"\nbands = [\"red\"]\n")
}

/// What an honest trainer makes: weights that follow from a seed and from those that it started from.
#[must_use]
pub fn trained(signature: &Signature, seed: u64, base: Option<Digest>) -> Tensors {
    let base = base.map_or_else(String::new, Digest::to_hex);
    let mix = Digest::of(format!("{seed} {base}").as_bytes()).to_hex();
    let mut state = u64::from_str_radix(&mix[..16], 16).unwrap();
    let mut value = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 1e8 - 0.08
    };
    let fill = |(name, shape): (&String, &Vec<usize>)| {
        (name.clone(), (0..shape.iter().product::<usize>()).map(|_| value()).collect())
    };
    signature.0.iter().map(fill).collect()
}
