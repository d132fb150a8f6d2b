//! What institutions report and submit.

use std::collections::BTreeMap;

use eosfed_common::assignment::{
    BandMoments, BlobRef, CurvePoint, EvaluationSubmission, SignedMoments, StatisticsSubmission,
    UpdateSubmission,
};
use eosfed_common::band_values::{BandValues, ValueUnit};
use eosfed_common::card::{BandNormalisation, Energy, EnergySource, InitialFile};
use eosfed_common::digest::Digest;
use eosfed_common::finite::Finite;
use eosfed_common::head::Imagery;
use eosfed_common::ids::{AssignmentId, LeaseToken};
use eosfed_common::report::{EvaluationReport, TrainingReport};
use eosfed_common::scoring::{Interval, ScoredPart, Scoring};
use eosfed_common::signing::{EvaluationStatement, StatisticsStatement, UpdateStatement};
use eosfed_common::time_spent::TimeSpent;
use eosfed_common::weights::Encoding;

use crate::assignments::blob;
use crate::cards::normalisation;
use crate::ids::{key, token};
use crate::signing;

/// The report of a training on so many samples; its accuracy is one half.
#[must_use]
pub fn report(samples: u64, normalisation: Vec<BandNormalisation>) -> TrainingReport {
    let EvaluationReport { samples, metrics, scoring, energy } = scores(samples, 0.5);
    let imagery = Imagery::default();
    TrainingReport {
        samples,
        metrics,
        scoring,
        normalisation,
        energy,
        initial: None,
        imagery,
        encoding: Encoding::F32,
        spent: None,
    }
}

/// Scores of a specialist.
#[must_use]
pub fn scores(samples: u64, accuracy: f64) -> EvaluationReport {
    let metrics = [("accuracy".to_owned(), Finite::literal(accuracy))].into();
    EvaluationReport { samples, metrics, scoring: None, energy: Energy::default() }
}

/// The same moments of each of these bands.
#[must_use]
pub fn moments<B: ToString>(bands: &[B], count: u64, mean: f64, m2: f64) -> Vec<BandMoments> {
    let (mean, m2) = (Finite::literal(mean), Finite::literal(m2));
    bands.iter().map(|band| BandMoments { band: band.to_string(), count, mean, m2, values: None }).collect()
}

/// An update; its key follows from the round.
#[must_use]
pub fn update(
    assignment: &AssignmentId,
    token: &LeaseToken,
    weights: BlobRef,
    report: TrainingReport,
) -> UpdateSubmission {
    let key = key(weights.size ^ u64::from(assignment.round));
    let statement = UpdateStatement::of(assignment, (weights.digest, weights.size), &report);
    let signature = signing::institution(assignment.institution.as_str()).sign(&statement);
    UpdateSubmission {
        assignment: assignment.clone(),
        token: token.clone(),
        key,
        weights,
        report,
        signature,
        statistics: None,
        start_metrics: BTreeMap::new(),
        points: Vec::new(),
    }
}

/// An update of a head that tells these moments of its bands.
#[must_use]
pub fn telling(update: UpdateSubmission, bands: Vec<BandMoments>) -> UpdateSubmission {
    let statement = StatisticsStatement::of(&update.assignment, &bands);
    let signature = signing::institution(update.assignment.institution.as_str()).sign(&statement);
    UpdateSubmission { statistics: Some(Box::new(SignedMoments { bands, signature })), ..update }
}

/// Statistics.
#[must_use]
pub fn statistics(
    assignment: &AssignmentId,
    token: &LeaseToken,
    bands: Vec<BandMoments>,
) -> StatisticsSubmission {
    let statement = StatisticsStatement::of(assignment, &bands);
    let signature = signing::institution(assignment.institution.as_str()).sign(&statement);
    StatisticsSubmission {
        assignment: assignment.clone(),
        token: token.clone(),
        key: key(99),
        bands,
        signature,
    }
}

/// Scores; their key follows from the round.
#[must_use]
pub fn evaluation(
    assignment: &AssignmentId,
    token: &LeaseToken,
    report: EvaluationReport,
) -> EvaluationSubmission {
    let key = key(500 + u64::from(assignment.round));
    let statement = EvaluationStatement::of(assignment, &report);
    let signature = signing::institution(assignment.institution.as_str()).sign(&statement);
    EvaluationSubmission { assignment: assignment.clone(), token: token.clone(), key, report, signature }
}

/// Scores of the test part, in which nothing has its default.
#[must_use]
pub fn scoring() -> Scoring {
    let interval = Interval { low: Finite::literal(0.25), high: Finite::literal(0.75) };
    Scoring {
        part: ScoredPart::Test,
        samples: 12,
        intervals: [("accuracy".to_owned(), interval)].into(),
        chosen_on: [("accuracy".to_owned(), Finite::literal(0.625))].into(),
    }
}

/// An update in which nothing has its default, so that a field that is lost on the way is noticed.
#[must_use]
pub fn detailed_update() -> UpdateSubmission {
    let report = TrainingReport {
        scoring: Some(Box::new(scoring())),
        energy: Energy { kwh: Finite::literal(0.001), source: EnergySource::Estimated, co2e_g: None },
        initial: Some(InitialFile { file: "atto.safetensors".to_owned(), digest: Digest::of(b"i") }),
        imagery: Imagery { tile: Some([64, 32]), ground_sampling_distance: Some(10.0) },
        encoding: Encoding::Int8,
        spent: Some(Box::new(TimeSpent {
            starting_seconds: Finite::literal(0.5),
            loading_seconds: Finite::literal(0.75),
            training_seconds: Finite::literal(12.5),
            validation_seconds: Finite::literal(2.0),
            writing_seconds: Finite::literal(0.25),
        })),
        ..report(48, normalisation(&["red"], 0.1, 0.02))
    };
    let mut told = moments(&["red"], 9, 1.5, 0.25);
    let (low, high) = (Finite::literal(0.25), Finite::literal(2.5));
    told[0].values = Some(BandValues { unit: Some(ValueUnit::Reflectance), low, high });
    let id = "j-0a1b2c3d.1.2.west".parse().unwrap();
    let start_metrics = [("accuracy".to_owned(), Finite::literal(0.375))].into();
    let metrics = [("accuracy".to_owned(), Finite::literal(0.5))].into();
    let points = vec![CurvePoint { step: 3, loss: Finite::literal(0.5), metrics }];
    telling(UpdateSubmission { start_metrics, points, ..update(&id, &token(1), blob(), report) }, told)
}
