//! The jobs that are simulated: small heads over a release, so that a round's arithmetic takes
//! microseconds and everything about it is real.

use std::collections::BTreeMap;

use eosfed_common::assignment::{Assignment, BlobRef};
use eosfed_common::card::{BandNormalisation, Card, Energy, Provenance, TrainingMode};
use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::finite::Finite;
use eosfed_common::ids::InstitutionName;
use eosfed_common::model::{Backbone, ModelSpec, Task};
use eosfed_common::plan::JobSpec;
use eosfed_coordinator::domain::institution::{Enrolment, Institution};
use eosfed_coordinator::domain::registry::Release;
use eosfed_coordinator::domain::{Change, Registry};
use rand::RngExt as _;
use rand_chacha::ChaCha12Rng;

/// When the simulation begins.
pub const START: Timestamp = Timestamp(1_795_000_000_000);

/// The names of so many institutions.
#[must_use]
pub fn names(count: usize) -> Vec<InstitutionName> {
    (0..count).map(|index| format!("site-{index}").parse().unwrap()).collect()
}

/// Institutions that have joined, and a release of one specialist.
#[must_use]
pub fn beginning(names: &[InstitutionName]) -> Change {
    let digest = Digest::of(b"weights of a specialist");
    let enrolment = Some(Enrolment { secret: digest, request: digest, at: START });
    let joined = |name: &InstitutionName| Institution {
        name: name.clone(),
        invitation: None,
        enrolment: enrolment.clone(),
    };
    let card = Card {
        name: "shared".parse().unwrap(),
        version: 1,
        weights: digest,
        weights_bytes: 23,
        model: ModelSpec {
            backbone: Backbone::Atto,
            task: Task::Classification,
            bands: vec!["red".to_owned()],
            classes: vec!["field".to_owned(), "wood".to_owned()],
            target: None,
        },
        normalisation: vec![BandNormalisation {
            band: "red".to_owned(),
            mean: Finite::ZERO,
            std: Finite::literal(1.0),
        }],
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
    };
    let mut registry = Registry::default();
    registry.specialists.insert((card.name.clone(), 1), card.clone());
    let manifest = registry.cut(vec![card.clone()], "made for this".to_owned(), START).unwrap();
    Change {
        institutions: names.iter().map(joined).collect(),
        specialists: vec![card],
        releases: vec![Release { manifest, key: None }],
        ..Change::default()
    }
}

/// A plan for `count` institutions, drawn from `rng`.
#[must_use]
pub fn draw(rng: &mut ChaCha12Rng, count: usize) -> JobSpec {
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
    let min = rng.random_range(1..=count);
    let max = if asynchronous { min } else { rng.random_range(min..=count) };
    let extra = if asynchronous { "asynchronous = { max_staleness = 3 }" } else { "" };
    let admission = if rng.random_ratio(1, 3) { "[admission]\nnorm_factor = 3.0" } else { "" };
    text(min, max, rng.random_range(1..=3), strategy, extra, admission, rng.random_range(2..=4))
}

/// A plan in which all take part in every round, so that its result is always the same.
#[must_use]
pub fn complete(rng: &mut ChaCha12Rng, count: usize) -> JobSpec {
    let strategies =
        ["{ name = \"fed-avg\" }", "{ name = \"fed-adam\", tau = 1e-3 }", "{ name = \"median\" }"];
    text(count, count, 2, strategies[rng.random_range(0..strategies.len())], "", "", 3)
}

fn text(
    min: usize,
    max: usize,
    rounds: u32,
    strategy: &str,
    extra: &str,
    admission: &str,
    attempts: u32,
) -> JobSpec {
    let text = format!(
        r#"
        version = 2
        name = "simulated"
        kind = "downstream"
        seed = 7
        [model]
        task = "classification"
        classes = ["field", "wood"]
        [head]
        bands = ["red", "nir"]
        composition = {{ selection = {{ kind = "all" }}, fusion = {{ kind = "concatenate" }} }}
        [participation]
        min = {min}
        max = {max}
        deadline = "2h"
        attempts = {attempts}
        lease_expiries = {attempts}
        [rounds]
        count = {rounds}
        strategy = {strategy}
        {extra}
        {admission}
        [training]
        epochs = 1
        batch_size = 8
        learning_rate = 1e-3
        "#
    );
    JobSpec::parse(&text).unwrap()
}

/// What an honest trainer makes of an assignment: bytes that follow from its seed and its base.
#[must_use]
pub fn trained(assignment: &Assignment, seed: u64, base: Option<BlobRef>) -> eosfed_common::weights::Tensors {
    let base = base.map_or_else(String::new, |base| base.digest.to_hex());
    let mix = Digest::of(format!("{seed} {base}").as_bytes()).to_hex();
    assignment.training_target.initial_weights(u64::from_str_radix(&mix[..13], 16).unwrap())
}
