//! Turning the results of rounds into specialists with complete cards, or into a head.

use std::collections::BTreeMap;

use eosfed_common::assignment::BlobRef;
use eosfed_common::card::{BandNormalisation, Card, MAX_UPDATES, Provenance, TrainingMode};
use eosfed_common::clock::Timestamp;
use eosfed_common::finite::Finite;
use eosfed_common::head::{Imagery, StatisticsFrom};
use eosfed_common::ids::{InstitutionName, SpecialistName};
use eosfed_common::model::ModelSpec;
use eosfed_common::plan::{JobSpec, Training};
use eosfed_common::report::TrainingReport;
use eosfed_common::scoring::Scoring;
use eosfed_common::signing::SignedUpdate;
use eosfed_common::weights::Encoding;

use super::{Job, TrainedHead};
use crate::domain::round::{Contribution, Round};
use crate::domain::statistics::pool;

/// The plan's description of a specialist.
struct Planned<'a> {
    name: &'a SpecialistName,
    model: ModelSpec,
    /// How tiles are resized.
    training: &'a Training,
    mode: TrainingMode,
    seed: u64,
    licence: &'a str,
}

/// The result of its training.
struct Frozen {
    weights: BlobRef,
    institutions: Vec<InstitutionName>,
    rounds: u32,
    report: TrainingReport,
    updates: Vec<SignedUpdate>,
}

impl Job {
    /// A specialist for each update of a one-shot round.
    pub(super) fn freeze_each(&self, round: &Round, now: Timestamp) -> Vec<Card> {
        let JobSpec::OneShot(spec) = &self.spec else { return Vec::new() };
        let freeze = |(name, contribution): (&InstitutionName, &Contribution)| {
            let specialist = spec.specialist_of(name)?;
            let planned = Planned {
                name: &specialist.name,
                model: spec.network.on(&specialist.bands),
                training: &spec.training,
                mode: TrainingMode::OneShot,
                seed: spec.seed,
                licence: &spec.licence,
            };
            let Contribution::Update { weights, report, signed, .. } = contribution else {
                return None;
            };
            let frozen = Frozen {
                weights: *weights,
                institutions: vec![name.clone()],
                rounds: 0,
                report: TrainingReport::clone(report),
                updates: signed.iter().map(|signed| SignedUpdate::clone(signed)).collect(),
            };
            Some(self.card(planned, frozen, now))
        };
        round.contributions().filter_map(freeze).collect()
    }

    /// The jointly trained specialist, from the last round's aggregate. `None` in downstream jobs.
    pub(super) fn freeze_shared(&self, last: &Round, weights: BlobRef, now: Timestamp) -> Option<Card> {
        let JobSpec::Rounds(spec) = &self.spec else { return None };
        let planned = Planned {
            name: &spec.specialist.name,
            model: spec.model(),
            training: &spec.federated.training,
            mode: TrainingMode::Rounds,
            seed: spec.seed,
            licence: &spec.licence,
        };
        Some(self.card(planned, self.joint(last, weights), now))
    }

    /// The jointly trained head, from the last round's aggregate. `None` in jobs for specialists.
    pub(super) fn freeze_head(&self, last: &Round, weights: BlobRef) -> Option<TrainedHead> {
        self.head.as_ref()?;
        let Frozen { weights, institutions, rounds, report, updates: _ } = self.joint(last, weights);
        let (statistics, statistics_from) = self.told(last);
        let statistics_from = Some(statistics_from);
        Some(TrainedHead { weights, institutions, rounds, report, statistics, statistics_from })
    }

    /// The statistics of a head's bands, pooled over the institutions of a round that told theirs, and how many they
    /// were. Of fewer than the job combines nothing is kept: they would be the numbers of one institution, or of few.
    fn told(&self, last: &Round) -> (Vec<BandNormalisation>, StatisticsFrom) {
        let mut from = StatisticsFrom { told: 0, institutions: 0 };
        let mut told = Vec::new();
        for (_, contribution) in last.contributions() {
            let Contribution::Update { statistics, .. } = contribution else { continue };
            from.institutions += 1;
            if let Some(statistics) = statistics {
                from.told += 1;
                told.push(&statistics.bands);
            }
        }
        if from.told == 0 || from.told < self.spec.min_institutions() {
            return (Vec::new(), from);
        }
        // Admission bounds moments so that what is derived from them is finite.
        (pool(told, self.max_share()).unwrap_or_default(), from)
    }

    /// The jointly trained weights. The last round is already counted.
    fn joint(&self, last: &Round, weights: BlobRef) -> Frozen {
        let (samples, metrics) = weighted_metrics(last);
        let imagery: Vec<Imagery> = reports(last).map(|report| report.imagery).collect();
        Frozen {
            weights,
            institutions: self.contributors.iter().cloned().collect(),
            rounds: self.spec.federated().map_or(0, |federated| federated.rounds.count),
            report: TrainingReport {
                samples,
                metrics,
                scoring: shared_scoring(last).map(Box::new),
                normalisation: self.normalisation.as_deref().cloned().unwrap_or_default(),
                energy: self.energy.unwrap_or_default(),
                initial: None,
                imagery: Imagery::shared(&imagery),
                encoding: Encoding::F32,
                spent: None,
            },
            updates: signed(last),
        }
    }

    fn card(&self, planned: Planned<'_>, frozen: Frozen, now: Timestamp) -> Card {
        let Planned { name, model, training, mode, seed, licence } = planned;
        let Frozen { weights, institutions, rounds, report, updates } = frozen;
        let TrainingReport {
            samples,
            metrics,
            scoring,
            normalisation,
            energy,
            initial,
            imagery,
            encoding: _,
            spent: _,
        } = report;
        let parent = self.starts.get(name).map(|start| start.parent(&model.bands));
        Card {
            name: name.clone(),
            version: 0,
            weights: weights.digest,
            weights_bytes: weights.size,
            model,
            normalisation,
            input_size: training.input_size,
            antialias: training.antialias,
            imagery,
            provenance: Provenance {
                job: self.id.clone(),
                mode,
                institutions,
                rounds,
                samples,
                seed,
                frozen_at: now,
                initial,
                parent,
                encodings: self.encodings.iter().copied().collect(),
            },
            metrics,
            scoring: scoring.map(|scoring| *scoring),
            energy,
            licence: licence.to_owned(),
            updates,
            signature: None,
        }
    }
}

/// The reports of the updates that count in a round.
fn reports(round: &Round) -> impl Iterator<Item = &TrainingReport> {
    round.contributions().filter_map(|(_, contribution)| match contribution {
        Contribution::Update { report, .. } => Some(&**report),
        Contribution::Statistics(_) | Contribution::Evaluation { .. } => None,
    })
}

/// The signed updates of a round. None if there are more than a card has room for.
fn signed(round: &Round) -> Vec<SignedUpdate> {
    let statements = round.contributions().filter_map(|(_, contribution)| match contribution {
        Contribution::Update { signed, .. } => signed.as_deref().cloned(),
        Contribution::Statistics(_) | Contribution::Evaluation { .. } => None,
    });
    Some(statements.collect::<Vec<_>>()).filter(|list| list.len() <= MAX_UPDATES).unwrap_or_default()
}

/// What the means of a round's scores are of, if those of all its institutions are of the same part. A mean over
/// institutions has no interval: their samples are not drawn from the same places.
fn shared_scoring(round: &Round) -> Option<Scoring> {
    let each: Vec<&Scoring> =
        reports(round).map(|report| report.scoring.as_deref()).collect::<Option<_>>()?;
    let part = each.first()?.part;
    let samples = each.iter().fold(0_u64, |sum, scoring| sum.saturating_add(scoring.samples));
    let alike = each.iter().all(|scoring| scoring.part == part);
    alike.then_some(Scoring { part, samples, intervals: BTreeMap::new(), chosen_on: BTreeMap::new() })
}

/// The samples of a round, and the means of the metrics that all its institutions report, weighted by
/// samples.
fn weighted_metrics(round: &Round) -> (u64, BTreeMap<String, Finite>) {
    let updates: Vec<_> = reports(round).map(|report| (report.samples, &report.metrics)).collect();
    let total: u64 = updates.iter().map(|(samples, _)| samples).sum();
    let mean = |name: &String| {
        let terms = updates.iter().map(|(samples, metrics)| Some(*samples as f64 * metrics.get(name)?.get()));
        // Admission bounds samples and metrics so that the mean is always finite.
        Finite::new(terms.sum::<Option<f64>>()? / total as f64)
    };
    let names = updates.first().map(|(_, metrics)| metrics.keys()).into_iter().flatten();
    (total, names.filter_map(|name| Some((name.clone(), mean(name)?))).collect())
}
