//! Metrics for several labels per image: mean average precision, and F1 and accuracy at a threshold.

use tch::{Device, Kind, Tensor};

use super::mean;

/// The probability from which a class counts as present where several can be.
pub const PRESENT: f64 = 0.5;

/// Scores and labels of all images, by class.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelScores {
    /// For each class, each image's score and whether it has the class.
    classes: Vec<Vec<(f32, bool)>>,
}

impl LabelScores {
    /// Scores without an image yet.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        Self { classes: vec![Vec::new(); classes] }
    }

    /// Adds labels and logits, both `[N, classes]`.
    pub fn add(&mut self, labels: &Tensor, logits: &Tensor) {
        let flat = |tensor: &Tensor| {
            let tensor = tensor.to_kind(Kind::Float).to_device(Device::Cpu).contiguous().view([-1]);
            Vec::<f32>::try_from(tensor).expect("a flat float tensor on the processor becomes a vector")
        };
        let width = self.classes.len();
        for (at, (score, label)) in flat(logits).into_iter().zip(flat(labels)).enumerate() {
            self.classes[at % width].push((score, label > 0.5));
        }
    }

    /// Adds an image's score and presence of each class.
    pub(super) fn add_row(&mut self, row: &[(f32, bool)]) {
        self.classes.iter_mut().zip(row).for_each(|(class, entry)| class.push(*entry));
    }

    /// Area under the stepwise precision-recall curve of each class; `None` for a class that no image
    /// has.
    #[must_use]
    pub fn average_precision(&self) -> Vec<Option<f64>> {
        self.classes.iter().map(|class| average_precision(class)).collect()
    }

    /// By class: true positives, false positives, false negatives.
    fn counts(&self) -> Vec<[f64; 3]> {
        let least = (PRESENT / (1.0 - PRESENT)).ln() as f32;
        let count = |class: &Vec<(f32, bool)>| {
            let of =
                |predicted, has| class.iter().filter(|(s, l)| ((*s > least), *l) == (predicted, has)).count();
            [of(true, true) as f64, of(true, false) as f64, of(false, true) as f64]
        };
        self.classes.iter().map(count).collect()
    }

    pub(super) fn summary(&self) -> Vec<(&'static str, f64)> {
        let counts = self.counts();
        // A class that no image has counts as 0, as in torchmetrics.
        let precision: Vec<_> = self.average_precision().iter().map(|ap| Some(ap.unwrap_or(0.0))).collect();
        let f1 = |[tp, fp, fng]: &[f64; 3]| Some(2.0 * tp / (2.0 * tp + fp + fng).max(1.0));
        let all: f64 = self.classes.iter().map(|class| class.len() as f64).sum();
        let wrong: f64 = counts.iter().map(|[_, fp, fng]| fp + fng).sum();
        let accuracy = if all > 0.0 { 1.0 - wrong / all } else { 0.0 };
        vec![
            ("map", mean(&precision)),
            ("macro_f1", mean(&counts.iter().map(f1).collect::<Vec<_>>())),
            ("accuracy", accuracy),
        ]
    }
}

fn average_precision(class: &[(f32, bool)]) -> Option<f64> {
    let positives = class.iter().filter(|(_, label)| *label).count();
    if positives == 0 {
        return None;
    }
    let mut sorted = class.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut hits = 0;
    let mut before = 0;
    let mut area = 0.0;
    for (at, (score, label)) in sorted.iter().enumerate() {
        hits += usize::from(*label);
        // Images of equal score are added to the curve together.
        if sorted.get(at + 1).is_none_or(|next| next.0 < *score) {
            area += (hits - before) as f64 * hits as f64 / (at + 1) as f64;
            before = hits;
        }
    }
    Some(area / positives as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn average_precision_adds_ties_together() {
        let class = |list: &[(f32, bool)]| average_precision(list);
        assert_eq!(class(&[(0.9, true), (0.8, false), (0.7, true)]), Some(0.5 + 0.5 * 2.0 / 3.0));
        assert_eq!(class(&[(0.5, true), (0.5, false), (0.5, false)]), Some(1.0 / 3.0));
        assert_eq!(class(&[(0.5, false)]), None);
    }
}
