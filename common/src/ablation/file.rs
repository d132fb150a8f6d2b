//! The file of an ablation, as `eosfed-trainer ensemble ablate` writes it.

use serde::{Deserialize, Serialize};

use super::{Ablation, Without};
use crate::digest::Digest;
use crate::finite::Finite;
use crate::ids::ReleaseNumber;
use crate::metric::Better;
use crate::model::Task;
use crate::scoring::ScoredPart;

/// The contents of `ablation.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AblationFile {
    /// Name of the head.
    pub head: String,
    /// The release under the head.
    pub release: ReleaseNumber,
    /// What the head predicts.
    pub task: Task,
    /// The scored part of the data set: `train`, `validation` or `test`.
    pub part: String,
    /// The number of samples that were scored.
    pub samples: u64,
    /// Name of the metric.
    pub metric: String,
    /// Unit of the metric, for an error in the units of a target; else empty.
    pub unit: String,
    /// Whether a larger value is better.
    pub larger_is_better: bool,
    /// The metric with all specialists.
    pub all: f64,
    /// The metric without each of them, most useful first.
    pub ablations: Vec<FileEntry>,
}

/// The effect of leaving out one specialist.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// The specialist.
    pub specialist: String,
    /// Digest of its weights; absent for an encoder with random weights.
    pub digest: Option<Digest>,
    /// Factor of its maps.
    pub weight: f32,
    /// Main metric without it.
    pub without: f64,
    /// Main metric without it minus the metric with all. Below zero the specialist helps; for errors,
    /// above zero.
    pub change: f64,
}

/// Why a file is not the ablation of a head over a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAnAblation(String);

impl AblationFile {
    /// Its name in the folder of the results.
    pub const FILE: &'static str = "ablation.json";

    /// What it says, checked.
    ///
    /// # Errors
    /// If it is about the training part or a random encoder, if a number is not what follows from the others,
    /// or as [`Ablation::check`].
    pub fn ablation(&self) -> Result<Ablation, NotAnAblation> {
        let part = match self.part.as_str() {
            "validation" => ScoredPart::Validation,
            "test" => ScoredPart::Test,
            other => {
                return Err(NotAnAblation(format!(
                    "`part` must be `test` or `validation`, since scores of the training part say nothing of \
                     other samples, found `{}`",
                    other.chars().take(80).flat_map(char::escape_debug).collect::<String>()
                )));
            }
        };
        let all = finite("all", self.all)?;
        let without = self.ablations.iter().map(|one| self.without(one)).collect::<Result<_, _>>()?;
        let Self { head, release, task, metric, unit, samples, .. } = self.clone();
        let ablation = Ablation { release, head, task, part, samples, metric, unit, all, without };
        ablation.check().map_err(NotAnAblation)?;
        if ablation.better().is_some_and(|better| (better == Better::Larger) != self.larger_is_better) {
            let (metric, found) = (&self.metric, self.larger_is_better);
            return Err(NotAnAblation(format!(
                "`larger_is_better` is wrong for `{metric}`, found `{found}`"
            )));
        }
        Ok(ablation)
    }

    fn without(&self, entry: &FileEntry) -> Result<Without, NotAnAblation> {
        let FileEntry { specialist, digest, weight, without, change } = entry;
        let name: String = specialist.chars().take(80).flat_map(char::escape_debug).collect();
        let Some(weights) = *digest else {
            let message = format!("encoder `{name}` has no `digest`: it is not a specialist of a release");
            return Err(NotAnAblation(message));
        };
        if *change != without - self.all {
            return Err(NotAnAblation(format!(
                "`change` of `{name}` must be `without` minus `all`, {without} - {} = {}, found `{change}`",
                self.all,
                without - self.all
            )));
        }
        let selection = Some(finite("weight", f64::from(*weight))?);
        Ok(Without { weights, selection, score: finite("without", *without)? })
    }
}

fn finite(field: &str, value: f64) -> Result<Finite, NotAnAblation> {
    Finite::try_from(value).map_err(|error| NotAnAblation(format!("`{field}` must be {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ablation::tests::ablation;

    fn file() -> AblationFile {
        let entry = |one: Without| FileEntry {
            specialist: "west-rgb".to_owned(),
            digest: Some(one.weights),
            weight: 0.25,
            without: one.score.get(),
            change: one.score.get() - 0.8,
        };
        let Ablation { release, head, task, part, samples, metric, unit, all, without } = ablation();
        AblationFile {
            head,
            release,
            task,
            part: part.to_string(),
            samples,
            metric,
            unit,
            larger_is_better: true,
            all: all.get(),
            ablations: without.into_iter().map(entry).collect(),
        }
    }

    #[test]
    fn a_file_says_an_ablation_or_what_is_wrong_with_it() {
        assert_eq!(file().ablation(), Ok(ablation()));
        let read = serde_json::to_string(&file()).unwrap();
        assert_eq!(serde_json::from_str::<AblationFile>(&read).unwrap().ablation(), Ok(ablation()));
        type Break = fn(&mut AblationFile);
        let broken: [(&str, Break); 8] = [
            ("found `train`", |file| file.part = "train".to_owned()),
            ("has no `digest`", |file| file.ablations[1].digest = None),
            ("found `false`", |file| file.larger_is_better = false),
            ("must be `without` minus `all`", |file| file.ablations[0].change = 0.3),
            ("found `1.5`", |file| {
                file.all = 1.5;
                file.ablations.iter_mut().for_each(|one| one.change = one.without - 1.5);
            }),
            ("found `NaN`", |file| file.ablations[0].weight = f32::NAN),
            ("found `NaN`", |file| file.all = f64::NAN),
            ("`head` must be", |file| file.head.clear()),
        ];
        for (needed, change) in broken {
            let mut one = file();
            change(&mut one);
            let said = one.ablation().unwrap_err().to_string();
            assert!(said.contains(needed), "{said}");
        }
    }
}
