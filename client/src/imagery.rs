//! The daemon's own look at the private imagery: whether it can serve an assignment, and the moments
//! of its bands. Only counts and moments come out of here.

use std::path::Path;

use eosfed_common::assignment::{Assignment, BandMoments, Work};
use eosfed_common::finite::Finite;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_data::{DataError, Dataset, Limits, Split, band_statistics};

/// Whether the data set can serve the assignment.
///
/// # Errors
/// [`Reason::DataUnfit`] with everything that stands against it.
pub fn fits(dataset: &Path, assignment: &Assignment) -> Result<(), Refusal> {
    let problems = match Dataset::open(dataset, &Limits::default()) {
        Ok(dataset) => problems(&dataset, assignment),
        Err(error) => vec![error.to_string()],
    };
    if problems.is_empty() {
        return Ok(());
    }
    let message = format!("the data set cannot serve this: {}", problems.join("; "));
    Err(Refusal::new(Reason::DataUnfit, message))
}

fn problems(dataset: &Dataset, assignment: &Assignment) -> Vec<String> {
    let trainee = &assignment.trainee;
    let mut problems = Vec::new();
    if let Err(error) = dataset.positions(&trainee.bands()) {
        problems.push(error.to_string());
    }
    let (part, name) = match assignment.work {
        Work::Statistics | Work::Training(_) => (Split::Train, "training"),
        Work::Evaluation(_) => (Split::Validation, "validation"),
    };
    if dataset.is_empty(part) {
        problems.push(format!("its {name} part has no samples"));
    }
    if assignment.work != Work::Statistics {
        problems
            .extend(dataset.serves(trainee.task(), trainee.classes()).err().map(|error| error.to_string()));
    }
    problems
}

/// Only finite pixels are counted, and 32-bit floats are too small to overflow 64-bit sums.
const FINITE: &str = "moments of finite pixels are finite";

/// Moments of each of these bands over the training part.
///
/// # Errors
/// As loading the data set.
pub fn moments(dataset: &Path, bands: &[String]) -> Result<Vec<BandMoments>, DataError> {
    let dataset = Dataset::open(dataset, &Limits::default())?;
    let loaded = dataset.load(Split::Train, bands)?;
    for finding in dataset.check_bands(bands, &loaded.samples)?.findings {
        tracing::warn!("{finding}");
    }
    let statistics = band_statistics(bands, loaded.samples.iter());
    let moments = statistics.into_iter().map(|entry| BandMoments {
        band: entry.band,
        count: entry.count,
        mean: Finite::new(entry.mean).expect(FINITE),
        m2: Finite::new(entry.m2).expect(FINITE),
    });
    Ok(moments.collect())
}
