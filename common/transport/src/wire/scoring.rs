//! What scores are of, and how sure they are.

use std::collections::BTreeMap;

use eosfed_common::assignment::{MAX_METRIC_NAME, MAX_METRICS};
use eosfed_common::finite::Finite;
use eosfed_common::scoring::{Interval, ScoredPart, Scoring};
use eosfed_proto::v1;

use super::model::{metric_messages, metrics};
use super::{Wire, WireError, at_most, finite, printable, specified, wrong};

/// What scores are of, checked against them.
pub(super) fn scoring(
    message: Option<v1::Scoring>,
    scores: &BTreeMap<String, Finite>,
) -> Result<Option<Box<Scoring>>, WireError> {
    let Some(message) = message else { return Ok(None) };
    let scoring = Scoring::from_message(message)?;
    scoring.check(scores).map_err(|rule| wrong("scoring", rule))?;
    Ok(Some(Box::new(scoring)))
}

/// The part of a data set that scores are of.
pub(super) fn scored_part(field: &'static str, part: i32) -> Result<ScoredPart, WireError> {
    match specified(field, part)? {
        v1::ScoredPart::Unspecified => Err(wrong(field, "a specified value")),
        v1::ScoredPart::Validation => Ok(ScoredPart::Validation),
        v1::ScoredPart::Test => Ok(ScoredPart::Test),
    }
}

/// Its message.
pub(super) const fn part_message(part: ScoredPart) -> v1::ScoredPart {
    match part {
        ScoredPart::Validation => v1::ScoredPart::Validation,
        ScoredPart::Test => v1::ScoredPart::Test,
    }
}

impl Wire for Scoring {
    type Message = v1::Scoring;

    fn from_message(message: v1::Scoring) -> Result<Self, WireError> {
        let v1::Scoring { part, samples, intervals: list, chosen_on } = message;
        let part = scored_part("scoring.part", part)?;
        let mut intervals = BTreeMap::new();
        for v1::Interval { name, low, high } in at_most("scoring.intervals", MAX_METRICS, list)? {
            let low = finite("interval.low", low)?;
            let high = finite("interval.high", high)?;
            let name = printable("interval.name", &name, 1..=MAX_METRIC_NAME)?;
            if intervals.insert(name, Interval { low, high }).is_some() {
                return Err(wrong("scoring.intervals", "each name once"));
            }
        }
        Ok(Self { part, samples, intervals, chosen_on: metrics(chosen_on)? })
    }

    fn into_message(self) -> v1::Scoring {
        let Self { part, samples, intervals, chosen_on } = self;
        let interval = |(name, Interval { low, high }): (String, Interval)| v1::Interval {
            name,
            low: low.get(),
            high: high.get(),
        };
        v1::Scoring {
            part: part_message(part).into(),
            samples,
            intervals: intervals.into_iter().map(interval).collect(),
            chosen_on: metric_messages(chosen_on),
        }
    }
}
