//! What a person approves of a job: the part of its assignments that stays the same from round to round. An
//! approval is of the digest of these terms, for a number of rounds and until a time. Pure.

use std::collections::BTreeSet;

use eosfed_common::assignment::{Assignment, Work};
use eosfed_common::clock::Timestamp;
use eosfed_common::counted::counted;
use eosfed_common::digest::Digest;
use eosfed_common::ids::{DataSetName, JobId};
use eosfed_common::plan::{JobKind, StrategyName, Training};
use eosfed_common::task::Keep;
use eosfed_common::training_target::TrainingTarget;
use eosfed_common::weights::Encoding;
use serde::{Deserialize, Serialize};

/// The terms of one kind of work of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// The job.
    pub job: JobId,
    /// Its display name.
    pub job_name: String,
    /// Its kind.
    pub kind: JobKind,
    /// Fewest institutions that are combined, as the coordinator says.
    pub min_institutions: u32,
    /// The data set that is read: the one that the plan asks for, or that the client has chosen of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<DataSetName>,
    /// The work.
    pub work: WorkTerms,
}

/// What is done. The seeds, the part of the schedule, the pooled normalisation and the starting weights of a
/// round differ from round to round, so they are no terms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkTerms {
    /// Measuring these bands.
    Statistics(Vec<String>),
    /// Training.
    Training {
        /// What is trained.
        target: Box<TrainingTarget>,
        /// The strategy of aggregation.
        strategy: Option<StrategyName>,
        /// The settings.
        settings: Box<Training>,
        /// Which weights are returned.
        keep: Keep,
        /// Whether a one-shot job starts from weights that the coordinator sends.
        warm_start: bool,
        /// How the update may be encoded, if not as 32-bit floats only.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        encodings: Vec<Encoding>,
    },
    /// Scoring specialists: each round another one, which `allow` decides about.
    Evaluation,
}

/// A person's approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The terms, by their digest.
    pub terms: Digest,
    /// The most rounds that it covers.
    pub rounds: u32,
    /// The end of it.
    pub until: Timestamp,
    /// The login name of the person.
    pub by: String,
    /// When it was given.
    pub at: Timestamp,
}

impl Terms {
    /// The terms of an assignment.
    #[must_use]
    pub fn of(assignment: &Assignment) -> Self {
        let Assignment { id, job_name, kind, training_target, min_institutions, dataset, work, .. } =
            assignment;
        let work = match work {
            Work::Statistics => WorkTerms::Statistics(training_target.bands()),
            Work::Training(work) => WorkTerms::Training {
                target: Box::new(training_target.clone()),
                strategy: work.strategy,
                settings: Box::new(work.settings.clone()),
                keep: work.keep,
                warm_start: *kind == JobKind::OneShot && work.base.is_some(),
                encodings: if work.encodings == [Encoding::F32] {
                    Vec::new()
                } else {
                    work.encodings.clone()
                },
            },
            Work::Evaluation(_) => WorkTerms::Evaluation,
        };
        Self {
            job: id.job.clone(),
            job_name: job_name.clone(),
            kind: *kind,
            min_institutions: *min_institutions,
            dataset: dataset.clone(),
            work,
        }
    }

    /// The same with the data set that the client has chosen; as before for a site that has one without a name.
    #[must_use]
    pub fn reading(self, chosen: Option<&DataSetName>) -> Self {
        Self { dataset: chosen.cloned().or(self.dataset), ..self }
    }

    /// Whether updates of federated training are sent.
    #[must_use]
    pub fn trains_with_others(&self) -> bool {
        let federated = matches!(self.kind, JobKind::Rounds | JobKind::Downstream);
        federated && matches!(self.work, WorkTerms::Training { .. })
    }

    /// Their digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).expect("terms are plain data"))
    }

    /// The terms in words, a line for each.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let Self { job, job_name, kind, min_institutions, dataset, work } = self;
        let mut lines = vec![format!("job {job}, `{job_name}`, of kind {kind}")];
        lines.extend(dataset.as_ref().map(|name| format!("reads the data set `{name}`")));
        match work {
            WorkTerms::Statistics(bands) => lines.push(format!("measures the bands {}", bands.join(", "))),
            WorkTerms::Evaluation => lines.push("scores specialists, each round another one".to_owned()),
            WorkTerms::Training { target, strategy, settings, keep: _, warm_start, encodings } => {
                lines.push(trained(target));
                let Training { epochs, batch_size, learning_rate, accumulate, clip_norm, .. } = **settings;
                let (epochs, batches) = (counted(epochs, "epoch"), counted(accumulate, "batch"));
                lines.push(format!(
                    "each round: {epochs}, batch size {batch_size}, {batches} to a step, learning \
                     rate {learning_rate}, gradients clipped to {clip_norm} (0: not clipped)"
                ));
                lines.push(strategy.map_or_else(
                    || "the weights leave as they are, and are combined with nothing".to_owned(),
                    |strategy| format!("weights are combined by `{strategy}`"),
                ));
                if !encodings.is_empty() {
                    let names = encodings.iter().map(|name| name.name()).collect::<Vec<_>>().join(", ");
                    lines.push(format!(
                        "updates are encoded as the first of these that the policy allows: {names}"
                    ));
                }
                if *warm_start {
                    lines.push("it starts from weights that the coordinator sends".to_owned());
                }
            }
        }
        if *kind != JobKind::OneShot {
            lines.push(format!(
                "at least {} combined, as the coordinator says",
                if *min_institutions == 1 {
                    "1 institution is".to_owned()
                } else {
                    format!("{min_institutions} institutions are")
                }
            ));
        }
        lines.push(format!("digest of these terms: {}", self.digest()));
        lines
    }
}

fn trained(target: &TrainingTarget) -> String {
    let bands = target.bands().join(", ");
    let classes = target.classes().join(", ");
    let task = target.task().map_or_else(String::new, |task| task.to_string());
    match target {
        TrainingTarget::Specialist(model) => {
            format!("trains a specialist, {}: {task} of {classes} on the bands {bands}", model.backbone)
        }
        TrainingTarget::Head(over) => {
            let number = over.release.number;
            format!("trains a head over release {number}: {task} of {classes} on the bands {bands}")
        }
        TrainingTarget::Bands(_) => format!("measures the bands {bands}"),
    }
}

impl Approval {
    /// Whether it covers a round of work on these terms, when those rounds have been accepted under it.
    #[must_use]
    pub fn covers(&self, terms: &Digest, round: u32, accepted: &BTreeSet<u32>, now: Timestamp) -> bool {
        let within = accepted.contains(&round) || accepted.len() < self.rounds as usize;
        self.terms == *terms && now < self.until && within
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::training;

    fn approval(assignment: &Assignment) -> Approval {
        let terms = Terms::of(assignment).digest();
        Approval { terms, rounds: 2, until: Timestamp(100), by: "ada".to_owned(), at: Timestamp(1) }
    }

    #[test]
    fn an_approval_ends_with_its_rounds_and_its_time() {
        let assignment = training(JobKind::Rounds);
        let (given, digest) = (approval(&assignment), Terms::of(&assignment).digest());
        let covers = |round, accepted: &[u32], now| {
            given.covers(&digest, round, &accepted.iter().copied().collect(), Timestamp(now))
        };
        assert!(covers(1000, &[], 0) && covers(1, &[0], 99));
        assert!(covers(1, &[0, 1], 0), "another attempt at the same round");
        assert!(!covers(2, &[0, 1], 0), "the rounds are used up");
        assert!(!covers(0, &[], 100), "its time is over");
    }

    #[test]
    fn changed_terms_have_another_digest_and_another_round_has_not() {
        let assignment = training(JobKind::Rounds);
        let digest = Terms::of(&assignment).digest();
        let changed = |change: fn(&mut Assignment)| {
            let mut other = assignment.clone();
            change(&mut other);
            Terms::of(&other).digest()
        };
        assert_eq!(digest, changed(|other| other.id.round = 7));
        assert_eq!(digest, changed(|other| other.deadline = Timestamp(5)));
        for change in [
            (|other| other.min_institutions = 3) as fn(&mut Assignment),
            |other| other.kind = JobKind::OneShot,
            |other| other.work = Work::Statistics,
            |other| other.training_target = TrainingTarget::Bands(Vec::new()),
            |other| {
                let Work::Training(work) = &mut other.work else { unreachable!() };
                work.settings.epochs += 1;
            },
            |other| {
                let Work::Training(work) = &mut other.work else { unreachable!() };
                work.strategy = Some(StrategyName::FedProx);
            },
        ] {
            assert_ne!(digest, changed(change));
        }
    }

    #[test]
    fn terms_are_shown_in_words() {
        let words = Terms::of(&training(JobKind::Rounds)).words().join("\n");
        for phrase in [
            "j-0a1b2c3d",
            "convnextv2_atto",
            "classification",
            "red",
            "2 epochs",
            "`fed-avg`",
            "2 institutions",
        ] {
            assert!(words.contains(phrase), "{phrase}: {words}");
        }
        let alone = Terms::of(&training(JobKind::OneShot)).words().join("\n");
        assert!(alone.contains("combined with nothing"), "{alone}");
    }
}
