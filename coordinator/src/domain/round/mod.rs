//! One attempt at one round: who was asked, who holds a lease, who has answered. Knows when it is
//! over; what follows from that is the job's affair.

mod transitions;

use std::collections::BTreeMap;

use eosfed_common::assignment::{BandMoments, BlobRef, Lease};
use eosfed_common::clock::Timestamp;
use eosfed_common::finite::Finite;
use eosfed_common::ids::{IdempotencyKey, InstitutionName, JobId};
use eosfed_common::plan::{JobSpec, Participation};
use eosfed_common::refusal::Refusal;
use eosfed_common::report::{EvaluationReport, TrainingReport};
use serde::{Deserialize, Serialize};

pub use eosfed_common::view::RoundKind;
pub use transitions::Expired;

/// What an institution has contributed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contribution {
    /// Weights that passed admission.
    Update {
        /// The weights.
        weights: BlobRef,
        /// What is known of their training.
        report: TrainingReport,
        /// The L2 norm of its step from the weights that it started from; 0 in one-shot jobs.
        norm: Finite,
        /// Index of the round whose weights it started from.
        since: u32,
    },
    /// Moments of each band.
    Statistics(Vec<BandMoments>),
    /// Scores of a frozen specialist.
    Evaluation(EvaluationReport),
}

/// How far one institution is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ParticipantState {
    /// Waiting for it to accept.
    Offered,
    /// It is at work.
    Leased {
        /// Its lease.
        lease: Lease,
        /// Index of the round that it was offered in, whose weights it starts from: an earlier one than
        /// this only in asynchronous jobs.
        since: u32,
        /// Steps done.
        step: u64,
        /// Number of steps; 0 while unknown.
        steps: u64,
        /// The newest training loss that it has reported; unknown after a restart.
        #[serde(skip)]
        loss: Option<Finite>,
    },
    /// It has answered, and its answer counts.
    Submitted {
        /// When that was recorded.
        at: Timestamp,
        /// The call's key: the same call again gets the same answer.
        key: IdempotencyKey,
        /// The answer.
        contribution: Contribution,
    },
    /// It does not want to.
    Refused {
        /// When it said so.
        at: Timestamp,
        /// Why.
        refusal: Refusal,
    },
    /// Its update was refused or excluded: kept to be looked at, and never counted.
    Rejected(Rejection),
    /// It could not, or its leases expired too often.
    Failed {
        /// When that became certain.
        at: Timestamp,
        /// What went wrong.
        message: String,
    },
}

/// An update that does not count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rejection {
    /// When it came.
    pub at: Timestamp,
    /// The call's key, if the call was answered with a receipt.
    pub key: Option<IdempotencyKey>,
    /// Why.
    pub refusal: Refusal,
    /// The update.
    pub weights: BlobRef,
}

impl ParticipantState {
    /// Whether nothing more is to be expected.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Offered | Self::Leased { .. } => false,
            Self::Submitted { .. } | Self::Refused { .. } | Self::Rejected(_) | Self::Failed { .. } => true,
        }
    }
}

/// One attempt at a round of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttemptId {
    /// Index of the round, from 0.
    pub round: u32,
    /// Number of the attempt, from 1.
    pub attempt: u32,
}

/// The attempt in which an institution was asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Asked {
    /// The job.
    pub job: JobId,
    /// Index of the round.
    pub round: u32,
    /// Number of the attempt.
    pub attempt: u32,
}

/// One institution's part in a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Participant {
    /// How far it is.
    pub state: ParticipantState,
    /// How many of its leases have expired.
    pub lease_expiries: u32,
    /// The attempt in which it was last asked from the beginning. Its training curve is recorded there.
    pub asked_in: Asked,
    /// Updates of earlier attempts that do not count.
    pub rejected: Vec<Rejection>,
}

impl Participant {
    const fn asked(asked_in: Asked) -> Self {
        Self { state: ParticipantState::Offered, lease_expiries: 0, asked_in, rejected: Vec::new() }
    }

    /// Asks once more, from the beginning. What was rejected stays on record.
    fn ask_again(&mut self, asked_in: Asked) {
        let Self { state, rejected, .. } = std::mem::replace(self, Self::asked(asked_in));
        self.rejected = rejected;
        if let ParticipantState::Rejected(rejection) = state {
            self.rejected.push(rejection);
        }
    }

    /// Everything of it that does not count.
    pub fn rejections(&self) -> impl Iterator<Item = &Rejection> {
        let now = match &self.state {
            ParticipantState::Rejected(rejection) => Some(rejection),
            ParticipantState::Offered
            | ParticipantState::Leased { .. }
            | ParticipantState::Submitted { .. }
            | ParticipantState::Refused { .. }
            | ParticipantState::Failed { .. } => None,
        };
        self.rejected.iter().chain(now)
    }

    /// When a submission with this key was recorded, if it was.
    #[must_use]
    pub fn receipt(&self, key: &IdempotencyKey) -> Option<Timestamp> {
        match &self.state {
            ParticipantState::Submitted { at, key: known, .. } if known == key => Some(*at),
            ParticipantState::Submitted { .. }
            | ParticipantState::Rejected(_)
            | ParticipantState::Offered
            | ParticipantState::Leased { .. }
            | ParticipantState::Refused { .. }
            | ParticipantState::Failed { .. } => {
                self.rejections().find(|one| one.key.as_ref() == Some(key)).map(|rejection| rejection.at)
            }
        }
    }
}

/// One attempt at one round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Its index in the job, from 0.
    pub index: u32,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The last attempt before the job pauses.
    pub last_attempt: u32,
    /// What it is for.
    pub kind: RoundKind,
    /// When this attempt began.
    pub opened_at: Timestamp,
    /// When it ends at the latest.
    pub deadline: Timestamp,
    /// Everybody who was asked.
    pub participants: BTreeMap<InstitutionName, Participant>,
}

/// Whether an open round goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Open,
    /// It has what it needs.
    Complete,
    /// It will never have, or did not get in time, what it needs.
    TooFew,
}

impl Round {
    /// Asks `cohort`.
    pub fn open(
        job: &JobId,
        index: u32,
        kind: RoundKind,
        cohort: &[InstitutionName],
        spec: &JobSpec,
        now: Timestamp,
    ) -> Self {
        let asked_in = Asked { job: job.clone(), round: index, attempt: 1 };
        Self {
            index,
            attempt: 1,
            last_attempt: spec.attempts(),
            kind,
            opened_at: now,
            deadline: now.plus(spec.participation().deadline),
            participants: cohort
                .iter()
                .map(|name| (name.clone(), Participant::asked(asked_in.clone())))
                .collect(),
        }
    }

    /// Which attempt at which round it is.
    #[must_use]
    pub const fn id(&self) -> AttemptId {
        AttemptId { round: self.index, attempt: self.attempt }
    }

    fn asked_in(&self, job: &JobId) -> Asked {
        Asked { job: job.clone(), round: self.index, attempt: self.attempt }
    }

    /// How many answers count.
    #[must_use]
    pub fn submitted(&self) -> usize {
        let submitted = |one: &&Participant| matches!(one.state, ParticipantState::Submitted { .. });
        self.participants.values().filter(submitted).count()
    }

    /// How many institutions have taken part at all: at work or answered.
    #[must_use]
    pub fn engaged(&self) -> usize {
        let engaged = |state: &ParticipantState| {
            matches!(state, ParticipantState::Leased { .. } | ParticipantState::Submitted { .. })
        };
        self.participants.values().filter(|one| engaged(&one.state)).count()
    }

    /// The contributions in the order of the institutions' names, which is the order of all sums.
    pub fn contributions(&self) -> impl Iterator<Item = (&InstitutionName, &Contribution)> {
        self.participants.iter().filter_map(|(name, participant)| match &participant.state {
            ParticipantState::Submitted { contribution, .. } => Some((name, contribution)),
            ParticipantState::Offered
            | ParticipantState::Leased { .. }
            | ParticipantState::Refused { .. }
            | ParticipantState::Rejected(_)
            | ParticipantState::Failed { .. } => None,
        })
    }

    /// The updates, counted or rejected.
    pub fn blobs(&self) -> impl Iterator<Item = BlobRef> {
        let counted = self.contributions().filter_map(|(_, contribution)| match contribution {
            Contribution::Update { weights, .. } => Some(*weights),
            Contribution::Statistics(_) | Contribution::Evaluation { .. } => None,
        });
        let rejected = self.participants.values().flat_map(Participant::rejections);
        counted.chain(rejected.map(|rejection| rejection.weights))
    }

    /// Whether it goes on, given `now`.
    #[must_use]
    pub fn verdict(&self, rules: &Participation, now: Timestamp) -> Verdict {
        let min = rules.min as usize;
        let max = rules.max as usize;
        let submitted = self.submitted();
        let waiting = self.participants.values().filter(|one| !one.state.is_final()).count();
        if submitted >= max || (submitted >= min && (waiting == 0 || now >= self.deadline)) {
            Verdict::Complete
        } else if submitted + waiting < min || now >= self.deadline {
            Verdict::TooFew
        } else {
            Verdict::Open
        }
    }

    /// When time alone changes something next.
    #[must_use]
    pub fn wake_at(&self) -> Timestamp {
        let leases = self.participants.values().filter_map(|participant| match &participant.state {
            ParticipantState::Leased { lease, .. } => Some(lease.expires_at),
            ParticipantState::Offered
            | ParticipantState::Submitted { .. }
            | ParticipantState::Refused { .. }
            | ParticipantState::Rejected(_)
            | ParticipantState::Failed { .. } => None,
        });
        leases.min().map_or(self.deadline, |first| first.min(self.deadline))
    }
}
