//! What the lying coordinator offers.

use clap::ValueEnum;
use eosfed_common::assignment::{Assignment, BlobRef, Offered, TrainingWork, Work};
use eosfed_common::model::{Backbone, ModelSpec, Task};
use eosfed_common::plan::{JobKind, StrategyName};
use eosfed_common::training_target::TrainingTarget;
use eosfed_proto::v1;
use eosfed_testkit::cards::normalisation;
use eosfed_testkit::{assignments, signing};
use eosfed_transport::wire::signed_assignment;

/// The bands of the end-to-end tests' imagery.
const BANDS: [&str; 3] = ["red", "green", "blue"];

/// The number of the job that a person may approve. Other jobs have the numbers of their offers.
const APPROVED: usize = 0x0a1b_2c3d;

/// One thing that it offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Lie {
    /// No lie: training in rounds as an honest coordinator asks for it
    Honest,
    /// A one-shot job that starts from given weights, in one step: its weights would tell about samples
    OneShotBase,
    /// Training in rounds of a single step over everything
    OneStep,
    /// Training in rounds without a strategy
    NoStrategy,
    /// A strategy that publishes the update of one institution
    Krum,
    /// Starting weights of a tebibyte
    HugeBase,
    /// Tiles that take all memory
    HugeInput,
    /// A name that forges lines of the log and steers the terminal
    ForgedName,
    /// The id of another institution's assignment
    OtherInstitution,
    /// More institutions than there were when the offer was signed
    ChangedAfterSigning,
    /// No lie: the first round of a job that a person may approve
    FirstRound,
    /// The thousandth round of the same job
    LaterRound,
    /// The two thousandth
    LastRound,
    /// A round of the same job with another learning rate
    OtherTerms,
    /// No lie: statistics
    Statistics,
    /// No offer, until it is withdrawn
    Nothing,
}

/// The model that everything is about.
pub(super) fn model() -> ModelSpec {
    ModelSpec {
        backbone: Backbone::Atto,
        task: Task::Classification,
        bands: BANDS.map(str::to_owned).to_vec(),
        classes: ["dark", "bright"].map(str::to_owned).to_vec(),
        target: None,
    }
}

impl Lie {
    /// The offer, of a job with this number.
    pub(super) fn offer(self, number: usize, base: BlobRef) -> v1::Assignment {
        let kind = if self == Self::OneShotBase { JobKind::OneShot } else { JobKind::Rounds };
        let mut assignment = assignments::training(kind);
        let institution = if self == Self::OtherInstitution { "east" } else { super::VICTIM };
        let (job, round) = match self {
            Self::FirstRound => (APPROVED, 0),
            Self::LaterRound => (APPROVED, 1000),
            Self::LastRound => (APPROVED, 2000),
            Self::OtherTerms => (APPROVED, 1),
            _ => (number, 0),
        };
        assignment.id = format!("j-{job:08x}.{round}.1.{institution}").parse().expect("an id");
        assignment.training_target = TrainingTarget::Specialist(model());
        match &mut assignment.work {
            Work::Training(work) if self != Self::Statistics => {
                work.base = Some(base);
                work.normalisation = Some(normalisation(&BANDS, 1.0, 2.0));
                self.change(work);
            }
            work => *work = Work::Statistics,
        }
        let mut message = signed_assignment(offered(assignment), signing::coordinator().key());
        if self == Self::ForgedName {
            message.job_name = "fine\n2026-01-01T00:00:00Z  INFO forged\u{1b}[2J\u{202e}".to_owned();
        }
        if self == Self::ChangedAfterSigning {
            message.min_institutions = 100;
        }
        message
    }

    fn change(self, work: &mut TrainingWork) {
        let settings = &mut work.settings;
        match self {
            Self::Honest | Self::ForgedName | Self::OtherInstitution | Self::ChangedAfterSigning => {}
            Self::FirstRound | Self::LaterRound | Self::LastRound | Self::Statistics | Self::Nothing => {}
            Self::OtherTerms => settings.learning_rate = 1.0,
            Self::OneShotBase | Self::OneStep => {
                settings.epochs = 1;
                settings.batch_size = 4096;
                settings.learning_rate = 1.0;
                settings.clip_norm = 0.0;
            }
            Self::NoStrategy => work.strategy = None,
            Self::Krum => work.strategy = Some(StrategyName::Krum),
            Self::HugeBase => work.base = work.base.map(|base| BlobRef { size: 1 << 40, ..base }),
            Self::HugeInput => settings.input_size = Some(65_536),
        }
    }
}

fn offered(assignment: Assignment) -> Assignment<Offered> {
    assignments::offered(assignment, assignments::blob())
}
