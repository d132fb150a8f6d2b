//! The rules of plans for what an assignment says: a coordinator that does not keep them is not obeyed.

use super::report::Report;
use super::rules::aggregation::proximal_mu;
use super::rules::network::predicted;
use super::rules::training::{of_a_head, settings, side_length};
use super::rules::words::words;
use super::{JobKind, Problem, Training};
use crate::model::{MAX_BANDS, ModelSpec};

/// Checks settings of training, which contain FedProx's mu here.
///
/// # Errors
/// Every broken rule.
pub fn check_training(
    training: &Training,
    kind: JobKind,
    model: Option<&ModelSpec>,
) -> Result<(), Vec<Problem>> {
    let mut report = Report::default();
    settings(training, model.map(|model| model.task), &mut report);
    proximal_mu("training.proximal_mu", training.proximal_mu, &mut report);
    if kind == JobKind::Downstream {
        of_a_head(training, &mut report);
    }
    report.conclude(Some(()))
}

/// Checks the bands and the classes of a network.
///
/// # Errors
/// Every broken rule.
pub fn check_model(model: &ModelSpec) -> Result<(), Vec<Problem>> {
    let ModelSpec { backbone: _, task, bands, classes, target } = model;
    let mut report = Report::default();
    words("model.bands", bands, &(1..=MAX_BANDS), &mut report);
    predicted(*task, classes, target.as_ref(), &mut report);
    report.conclude(Some(()))
}

/// Checks bands that are measured.
///
/// # Errors
/// Every broken rule.
pub fn check_bands(bands: &[String]) -> Result<(), Vec<Problem>> {
    let mut report = Report::default();
    words("statistics.bands", bands, &(1..=MAX_BANDS), &mut report);
    report.conclude(Some(()))
}

/// Checks the side to which tiles are resized.
///
/// # Errors
/// The broken rule.
pub fn check_input_size(input_size: Option<u32>) -> Result<(), Vec<Problem>> {
    let mut report = Report::default();
    side_length("input_size", input_size, &mut report);
    report.conclude(Some(()))
}
