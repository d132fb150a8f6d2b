//! Training curves. They are records of their own, so that a heartbeat writes nothing else. The size of a
//! curve is bounded, whatever its institution sends.

use eosfed_common::assignment::CurvePoint;
use eosfed_common::ids::InstitutionName;
use serde::{Deserialize, Serialize};

use super::round::JobAttempt;

/// Most points of a curve. Above this, every second point is dropped.
pub const MAX_POINTS: usize = 400;
/// Most bytes of a curve's points as JSON. Above this, every second point is dropped. The largest single
/// point that a message can hold has a tenth of these bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// The key of the curve.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CurveId {
    /// The attempt in which the institution was asked.
    pub asked_in: JobAttempt,
    /// The institution.
    pub institution: InstitutionName,
}

/// The training curve of one institution, from the offer to its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The key of the curve.
    pub id: CurveId,
    /// Its points, in the order of their steps.
    pub points: Vec<CurvePoint>,
}

impl Curve {
    /// A curve without points.
    #[must_use]
    pub const fn new(id: CurveId) -> Self {
        Self { id, points: Vec::new() }
    }

    /// The curve with the given points that come after its last one, or nothing if there are none. A repeated
    /// message therefore adds nothing.
    #[must_use]
    pub fn extended(mut self, points: Vec<CurvePoint>) -> Option<Self> {
        let before = self.points.len();
        for point in points {
            if self.points.last().is_none_or(|last| last.step < point.step) {
                self.points.push(point);
            }
        }
        if self.points.len() == before {
            return None;
        }
        while self.points.len() > MAX_POINTS || bytes(&self.points) > MAX_BYTES {
            self.halve();
        }
        Some(self)
    }

    /// Drops every second point, but never the last one.
    fn halve(&mut self) {
        let last = self.points.len() - 1;
        let mut index = 0..;
        self.points.retain(|_| index.next().unwrap_or(last) % 2 == last % 2);
    }
}

fn bytes(points: &[CurvePoint]) -> usize {
    serde_json::to_vec(points).map_or(usize::MAX, |json| json.len())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use eosfed_common::assignment::{MAX_METRIC_NAME, MAX_METRICS};
    use eosfed_common::finite::Finite;

    use super::*;

    fn curve() -> Curve {
        let asked_in = JobAttempt { job: "j-0a1b2c3d".parse().unwrap(), round: 0, attempt: 1 };
        Curve::new(CurveId { asked_in, institution: "west".parse().unwrap() })
    }

    fn point(step: u64, metrics: &BTreeMap<String, Finite>) -> CurvePoint {
        CurvePoint { step, loss: Finite::literal(1.0 / step as f64), metrics: metrics.clone() }
    }

    #[test]
    fn a_curve_keeps_its_end_and_ignores_repetition() {
        let mut curve = curve();
        for start in (1..2000).step_by(20) {
            let points: Vec<_> = (start..start + 20).map(|step| point(step, &BTreeMap::new())).collect();
            curve = curve.extended(points.clone()).unwrap();
            assert_eq!(curve.clone().extended(points), None);
        }
        assert!(curve.points.len() <= MAX_POINTS && curve.points.len() > 150, "{}", curve.points.len());
        assert_eq!(curve.points.last().unwrap().step, 2000);
        assert!(curve.points.is_sorted_by(|a, b| a.step < b.step));
    }

    #[test]
    fn a_curve_has_a_byte_budget_whatever_is_sent() {
        let name = |index| format!("{index:0>MAX_METRIC_NAME$}");
        let most: BTreeMap<_, _> = (0..MAX_METRICS)
            .map(|index| (name(index), Finite::literal(-1.234_567_890_123_456e-100)))
            .collect();
        assert!(bytes(&[point(u64::MAX / 2, &most)]) < MAX_BYTES / 5);
        let mut curve = curve();
        for step in 1..500 {
            curve = curve.extended(vec![point(step, &most)]).unwrap();
            assert!(bytes(&curve.points) <= MAX_BYTES);
            assert_eq!(curve.points.last().unwrap().step, step);
        }
        assert!(curve.points.len() > 2, "{}", curve.points.len());
    }
}
