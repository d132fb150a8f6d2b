//! One attempt at one round: which institutions were asked, hold a lease or have answered. It decides when
//! the attempt closes; the job decides what follows.

mod time;
mod transitions;

use std::collections::BTreeMap;

use eosfed_common::assignment::{BandMoments, BlobRef, Lease, SignedMoments};
use eosfed_common::clock::Timestamp;
use eosfed_common::finite::Finite;
use eosfed_common::ids::{IdempotencyKey, InstitutionName, JobId};
use eosfed_common::plan::{JobSpec, Participation};
use eosfed_common::refusal::Refusal;
use eosfed_common::report::{EvaluationReport, TrainingReport};
use eosfed_common::signing::SignedUpdate;
use serde::{Deserialize, Serialize};

pub use eosfed_common::view::RoundKind;
pub use transitions::Expired;

/// The result of an institution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contribution {
    /// Weights that passed admission.
    Update {
        /// The weights.
        weights: BlobRef,
        /// The report of their training.
        report: Box<TrainingReport>,
        /// The L2 norm of its step from the weights that it started from; 0 in one-shot jobs.
        norm: Finite,
        /// Index of the round whose weights it started from.
        since: u32,
        /// The institution's signed statement. Absent in updates of before there were such.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signed: Option<Box<SignedUpdate>>,
        /// Moments of the bands of a head. Absent where the institution does not tell them, and for a specialist.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        statistics: Option<Box<SignedMoments>>,
        /// Scores of the weights of this round that it started from, where these are an average of institutions. Empty
        /// in updates of before, and where the institution does not tell them.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        start_metrics: BTreeMap<String, Finite>,
    },
    /// Moments of each band.
    Statistics(Vec<BandMoments>),
    /// Scores of a frozen specialist.
    Evaluation(EvaluationReport),
}

/// The state of one institution in a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ParticipantState {
    /// The work is offered; it has not answered.
    Offered,
    /// It is at work.
    Leased {
        /// Its lease.
        lease: Lease,
        /// Index of the round that it was offered in, whose weights it starts from. It can be earlier than
        /// this round only in asynchronous jobs.
        since: u32,
        /// Steps done.
        step: u64,
        /// Number of steps; 0 while unknown.
        steps: u64,
        /// The last reported training loss. Unknown after a restart.
        #[serde(skip)]
        loss: Option<Finite>,
    },
    /// It has submitted a result, which counts.
    Submitted {
        /// When the result was recorded.
        at: Timestamp,
        /// The idempotency key of the call: a repeated call gets the same answer.
        key: IdempotencyKey,
        /// The result.
        contribution: Contribution,
    },
    /// It has declined.
    Refused {
        /// When it declined.
        at: Timestamp,
        /// Why.
        refusal: Refusal,
    },
    /// Its update was rejected or excluded. The update is kept for inspection and never counted.
    Rejected(Rejection),
    /// Its work failed, or its leases expired too often.
    Failed {
        /// When it failed.
        at: Timestamp,
        /// What went wrong.
        message: String,
    },
}

/// An update that does not count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rejection {
    /// When it was received.
    pub at: Timestamp,
    /// The idempotency key of the call, if it was answered with a receipt.
    pub key: Option<IdempotencyKey>,
    /// Why.
    pub refusal: Refusal,
    /// The update.
    pub weights: BlobRef,
}

impl ParticipantState {
    /// Whether no answer is expected any more.
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
pub struct JobAttempt {
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
    /// Its state.
    pub state: ParticipantState,
    /// How many of its leases have expired.
    pub lease_expiries: u32,
    /// The attempt in which its work last started from the beginning. Its training curve is recorded there.
    pub asked_in: JobAttempt,
    /// Updates of earlier attempts that do not count.
    pub rejected: Vec<Rejection>,
    /// When its time in this attempt ends, if that is later than the attempt's deadline: it was or is at work for
    /// another job while its work is offered here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_deadline: Option<Timestamp>,
}

impl Participant {
    const fn asked(asked_in: JobAttempt) -> Self {
        Self {
            state: ParticipantState::Offered,
            lease_expiries: 0,
            asked_in,
            rejected: Vec::new(),
            own_deadline: None,
        }
    }

    /// Offers the work again, from the beginning. Rejected updates stay on record.
    fn ask_again(&mut self, asked_in: JobAttempt) {
        let Self { state, rejected, .. } = std::mem::replace(self, Self::asked(asked_in));
        self.rejected = rejected;
        if let ParticipantState::Rejected(rejection) = state {
            self.rejected.push(rejection);
        }
    }

    /// All its rejected updates.
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
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Number of the last attempt before the job pauses.
    pub last_attempt: u32,
    /// Its kind.
    pub kind: RoundKind,
    /// When this attempt opened.
    pub opened_at: Timestamp,
    /// Its deadline. With too few results, [`Round::ends_at`] can be later.
    pub deadline: Timestamp,
    /// All institutions that were asked.
    pub participants: BTreeMap<InstitutionName, Participant>,
}

/// The verdict on an open round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It stays open.
    Open,
    /// It is complete.
    Complete,
    /// It cannot become complete, or its time has passed.
    TooFew,
}

impl Round {
    /// Opens an attempt that asks `cohort`.
    pub fn open(
        job: &JobId,
        index: u32,
        kind: RoundKind,
        cohort: &[InstitutionName],
        spec: &JobSpec,
        now: Timestamp,
    ) -> Self {
        let asked_in = JobAttempt { job: job.clone(), round: index, attempt: 1 };
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

    /// Its round and attempt.
    #[must_use]
    pub const fn id(&self) -> AttemptId {
        AttemptId { round: self.index, attempt: self.attempt }
    }

    fn asked_in(&self, job: &JobId) -> JobAttempt {
        JobAttempt { job: job.clone(), round: self.index, attempt: self.attempt }
    }

    /// The number of results that count.
    #[must_use]
    pub fn submitted(&self) -> usize {
        let submitted = |one: &&Participant| matches!(one.state, ParticipantState::Submitted { .. });
        self.participants.values().filter(submitted).count()
    }

    /// The number of institutions that are at work or have answered.
    #[must_use]
    pub fn participating(&self) -> usize {
        let is_participating = |state: &ParticipantState| {
            matches!(state, ParticipantState::Leased { .. } | ParticipantState::Submitted { .. })
        };
        self.participants.values().filter(|one| is_participating(&one.state)).count()
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

    /// The updates that an institution has handed in, counted or rejected.
    pub fn blobs_of(&self, institution: &InstitutionName) -> impl Iterator<Item = BlobRef> {
        let own = self.contributions().filter(move |(name, _)| *name == institution);
        let counted = own.filter_map(|(_, contribution)| match contribution {
            Contribution::Update { weights, .. } => Some(*weights),
            Contribution::Statistics(_) | Contribution::Evaluation { .. } => None,
        });
        let rejected = self.participants.get(institution).into_iter().flat_map(Participant::rejections);
        counted.chain(rejected.map(|rejection| rejection.weights))
    }

    /// Whether it stays open at the time `now`.
    #[must_use]
    pub fn verdict(&self, rules: &Participation, now: Timestamp) -> Verdict {
        let min = rules.min as usize;
        let max = rules.max as usize;
        let submitted = self.submitted();
        let waiting = self.participants.values().filter(|one| !one.state.is_final()).count();
        let over = now >= self.ends_at(rules);
        if submitted >= max || (submitted >= min && (waiting == 0 || over)) {
            Verdict::Complete
        } else if submitted + waiting < min || over {
            Verdict::TooFew
        } else {
            Verdict::Open
        }
    }

    /// The next time at which a lease expires or the attempt ends.
    #[must_use]
    pub fn wake_at(&self, rules: &Participation) -> Timestamp {
        let leases = self.participants.values().filter_map(|participant| match &participant.state {
            ParticipantState::Leased { lease, .. } => Some(lease.expires_at),
            ParticipantState::Offered
            | ParticipantState::Submitted { .. }
            | ParticipantState::Refused { .. }
            | ParticipantState::Rejected(_)
            | ParticipantState::Failed { .. } => None,
        });
        let end = self.ends_at(rules);
        leases.min().map_or(end, |first| first.min(end))
    }
}
