//! One attempt at one round: who was asked, who holds a lease, who has answered. Knows when it is
//! over; what follows from that is the job's affair.

use std::collections::{BTreeMap, BTreeSet};

use eosfed_common::assignment::{BandMoments, BlobRef, CurvePoint, LEASE, Lease, Progress};
use eosfed_common::card::{BandNormalisation, Energy, InitialFile};
use eosfed_common::clock::Timestamp;
use eosfed_common::finite::Finite;
use eosfed_common::ids::{IdempotencyKey, InstitutionName, LeaseToken};
use eosfed_common::plan::{JobSpec, Participation};
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::robust::{median, outliers};
use serde::{Deserialize, Serialize};

/// Most curve points kept of one participant in an open round; older ones are thinned out.
pub const MAX_CURVE: usize = 400;
/// Most curve points kept of one participant once its round has closed.
pub const MAX_CLOSED_CURVE: usize = 50;

/// What a round is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Pool per-band statistics.
    Statistics,
    /// Each institution trains its own specialist.
    OneShot,
    /// All train one model; the number counts training rounds from 0.
    Train(u32),
    /// All score the job's candidate in this place, from 0.
    Evaluate(u32),
}

/// What an institution has contributed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contribution {
    /// Weights that passed admission.
    Update {
        /// The weights.
        weights: BlobRef,
        /// Samples that they have learned from.
        samples: u64,
        /// Validation metrics.
        metrics: BTreeMap<String, Finite>,
        /// The normalisation used.
        normalisation: Vec<BandNormalisation>,
        /// Energy spent.
        energy: Energy,
        /// What the encoder started from, if that was a file of the institution's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        initial: Option<InitialFile>,
        /// The L2 norm of its step from the weights that it started from; 0 in one-shot jobs.
        norm: Finite,
        /// Index of the round whose weights it started from.
        since: u32,
    },
    /// Moments of each band.
    Statistics(Vec<BandMoments>),
    /// Scores of a frozen specialist.
    Evaluation {
        /// Validation samples scored.
        samples: u64,
        /// The scores.
        metrics: BTreeMap<String, Finite>,
        /// Energy spent.
        energy: Energy,
    },
}

/// How far one institution is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Slot {
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
        /// Steps in all; 0 while unknown.
        steps: u64,
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
    /// Its update was refused or set aside: kept to be looked at, and never counted.
    Rejected(Rejection),
    /// It could not, or fell silent too often.
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

impl Slot {
    /// Whether nothing more is to be expected.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Offered | Self::Leased { .. } => false,
            Self::Submitted { .. } | Self::Refused { .. } | Self::Rejected(_) | Self::Failed { .. } => true,
        }
    }
}

/// One institution's part in a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Participant {
    /// How far it is.
    pub slot: Slot,
    /// How many of its leases have run out.
    pub lapses: u32,
    /// Its training curve.
    pub curve: Vec<CurvePoint>,
    /// Updates of earlier attempts that do not count.
    pub rejected: Vec<Rejection>,
}

impl Participant {
    const fn asked() -> Self {
        Self { slot: Slot::Offered, lapses: 0, curve: Vec::new(), rejected: Vec::new() }
    }

    /// Asks once more. What was rejected stays on record.
    fn ask_again(&mut self) {
        let Self { slot, rejected, .. } = std::mem::replace(self, Self::asked());
        self.rejected = rejected;
        if let Slot::Rejected(rejection) = slot {
            self.rejected.push(rejection);
        }
    }

    /// Everything of it that does not count.
    pub fn rejections(&self) -> impl Iterator<Item = &Rejection> {
        let now = match &self.slot {
            Slot::Rejected(rejection) => Some(rejection),
            Slot::Offered
            | Slot::Leased { .. }
            | Slot::Submitted { .. }
            | Slot::Refused { .. }
            | Slot::Failed { .. } => None,
        };
        self.rejected.iter().chain(now)
    }
}

/// One attempt at one round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Its place in the job, from 0.
    pub index: u32,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The last attempt before the job pauses.
    pub last_attempt: u32,
    /// What it is for.
    pub purpose: Purpose,
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
    /// Asks `roster`.
    pub fn open(
        index: u32,
        purpose: Purpose,
        roster: &[InstitutionName],
        spec: &JobSpec,
        now: Timestamp,
    ) -> Self {
        Self {
            index,
            attempt: 1,
            last_attempt: spec.attempts(),
            purpose,
            opened_at: now,
            deadline: now.plus(spec.participation().deadline),
            participants: roster.iter().map(|name| (name.clone(), Participant::asked())).collect(),
        }
    }

    /// The next attempt. It starts from the same weights, so what has been submitted stays, and who is
    /// at work goes on; everybody else is asked again.
    #[must_use]
    pub fn again(&self, rules: &Participation, now: Timestamp) -> Self {
        let mut next = self.clone();
        next.attempt += 1;
        (next.opened_at, next.deadline) = (now, now.plus(rules.deadline));
        for participant in next.participants.values_mut() {
            match participant.slot {
                Slot::Submitted { .. } | Slot::Leased { .. } => {}
                Slot::Offered | Slot::Refused { .. } | Slot::Rejected(_) | Slot::Failed { .. } => {
                    participant.ask_again();
                }
            }
        }
        next
    }

    /// Takes over who is still at work in `last`, unless its work would be more than `max_staleness`
    /// rounds behind.
    pub(super) fn carry(&mut self, last: &Self, max_staleness: u32) {
        for (name, participant) in &last.participants {
            if let Slot::Leased { since, .. } = participant.slot
                && self.index - since <= max_staleness
            {
                self.participants.insert(name.clone(), participant.clone());
            }
        }
    }

    /// Sets aside the updates whose step is longer than `factor` times the median step, if there are
    /// three or more; gives how many.
    pub(super) fn set_outliers_aside(&mut self, factor: f64) -> usize {
        let norms: Vec<f64> = self.norms().map(|(_, norm)| norm).collect();
        let far: BTreeSet<InstitutionName> = (self.norms().zip(outliers(&norms, factor)))
            .filter(|(_, outlier)| *outlier)
            .map(|((name, _), _)| name.clone())
            .collect();
        for (name, participant) in &mut self.participants {
            let Slot::Submitted { at, key, contribution: Contribution::Update { weights, norm, .. } } =
                &participant.slot
            else {
                continue;
            };
            if far.contains(name) {
                let message = format!(
                    "the update's step has norm {norm:.4}, more than {factor} times the round's median {:.4} \
                     (`admission.norm_factor`)",
                    median(&norms)
                );
                let refusal = Refusal::new(Reason::NormOutlier, message);
                let (at, key, weights) = (*at, Some(key.clone()), *weights);
                participant.slot = Slot::Rejected(Rejection { at, key, refusal, weights });
            }
        }
        far.len()
    }

    /// The norms of the updates' steps.
    fn norms(&self) -> impl Iterator<Item = (&InstitutionName, f64)> {
        self.contributions().filter_map(|(name, contribution)| match contribution {
            Contribution::Update { norm, .. } => Some((name, norm.get())),
            Contribution::Statistics(_) | Contribution::Evaluation { .. } => None,
        })
    }

    /// Asks an institution again that has refused, failed or been rejected.
    pub(super) fn ask_again(&mut self, name: &InstitutionName) -> Result<(), Refusal> {
        let participant = self.participant(name)?;
        match &participant.slot {
            Slot::Refused { .. } | Slot::Rejected(_) | Slot::Failed { .. } => {
                participant.ask_again();
                Ok(())
            }
            Slot::Offered | Slot::Leased { .. } | Slot::Submitted { .. } => {
                let message =
                    format!("institution `{name}` has not refused, failed or been rejected in this round");
                Err(Refusal::new(Reason::WrongState, message))
            }
        }
    }

    /// How many answers count.
    #[must_use]
    pub fn submitted(&self) -> usize {
        self.participants.values().filter(|p| matches!(p.slot, Slot::Submitted { .. })).count()
    }

    /// How many institutions have taken part at all: at work or answered.
    #[must_use]
    pub fn engaged(&self) -> usize {
        let engaged = |slot: &Slot| matches!(slot, Slot::Leased { .. } | Slot::Submitted { .. });
        self.participants.values().filter(|p| engaged(&p.slot)).count()
    }

    /// The contributions in the order of the institutions' names, which is the order of all sums.
    pub fn contributions(&self) -> impl Iterator<Item = (&InstitutionName, &Contribution)> {
        self.participants.iter().filter_map(|(name, participant)| match &participant.slot {
            Slot::Submitted { contribution, .. } => Some((name, contribution)),
            Slot::Offered
            | Slot::Leased { .. }
            | Slot::Refused { .. }
            | Slot::Rejected(_)
            | Slot::Failed { .. } => None,
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
        let (min, max) = (rules.min as usize, rules.max as usize);
        let submitted = self.submitted();
        let waiting = self.participants.values().filter(|p| !p.slot.is_final()).count();
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
        let leases = self.participants.values().filter_map(|participant| match &participant.slot {
            Slot::Leased { lease, .. } => Some(lease.expires_at),
            Slot::Offered
            | Slot::Submitted { .. }
            | Slot::Refused { .. }
            | Slot::Rejected(_)
            | Slot::Failed { .. } => None,
        });
        leases.min().map_or(self.deadline, |first| first.min(self.deadline))
    }

    fn participant(&mut self, name: &InstitutionName) -> Result<&mut Participant, Refusal> {
        self.participants.get_mut(name).ok_or_else(|| {
            Refusal::new(Reason::NotFound, format!("institution `{name}` was not asked to take part"))
        })
    }

    /// Lends the work, or gives the lease that is held already.
    pub(super) fn accept(
        &mut self,
        name: &InstitutionName,
        since: u32,
        token: LeaseToken,
        now: Timestamp,
    ) -> Result<Lease, Refusal> {
        let participant = self.participant(name)?;
        let expires_at = now.plus(LEASE);
        match &mut participant.slot {
            Slot::Offered => {
                let lease = Lease { token, expires_at };
                participant.slot = Slot::Leased { lease: lease.clone(), since, step: 0, steps: 0 };
                Ok(lease)
            }
            Slot::Leased { lease, .. } => {
                lease.expires_at = expires_at;
                Ok(lease.clone())
            }
            slot @ (Slot::Submitted { .. }
            | Slot::Refused { .. }
            | Slot::Rejected(_)
            | Slot::Failed { .. }) => Err(answered(slot)),
        }
    }

    /// Notes that the institution does not want to.
    pub(super) fn refuse(
        &mut self,
        name: &InstitutionName,
        refusal: Refusal,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let participant = self.participant(name)?;
        match &participant.slot {
            Slot::Offered | Slot::Leased { .. } => {
                participant.slot = Slot::Refused { at: now, refusal };
                Ok(())
            }
            // The same words again, after an answer that got lost.
            Slot::Refused { .. } => Ok(()),
            slot @ (Slot::Submitted { .. } | Slot::Rejected(_) | Slot::Failed { .. }) => Err(answered(slot)),
        }
    }

    /// The participant, if it holds the lease.
    pub(super) fn holder(
        &mut self,
        name: &InstitutionName,
        token: &LeaseToken,
    ) -> Result<&mut Participant, Refusal> {
        let participant = self.participant(name)?;
        match &participant.slot {
            Slot::Leased { lease, .. } if lease.token == *token => Ok(participant),
            Slot::Leased { .. } => {
                let message = "the lease belongs to another run of this institution's client; accept again";
                Err(Refusal::new(Reason::LeaseMismatch, message))
            }
            Slot::Offered => {
                Err(Refusal::new(Reason::LeaseExpired, "the lease has run out; accept the assignment again"))
            }
            slot @ (Slot::Submitted { .. }
            | Slot::Refused { .. }
            | Slot::Rejected(_)
            | Slot::Failed { .. }) => Err(answered(slot)),
        }
    }

    /// Renews the lease and notes progress; gives the lease's new end.
    pub(super) fn heartbeat(
        &mut self,
        name: &InstitutionName,
        token: &LeaseToken,
        progress: Progress,
        now: Timestamp,
    ) -> Result<Timestamp, Refusal> {
        let participant = self.holder(name, token)?;
        let expires_at = now.plus(LEASE);
        if let Slot::Leased { lease, since: _, step, steps } = &mut participant.slot {
            lease.expires_at = expires_at;
            (*step, *steps) = (progress.step, progress.steps);
        }
        extend_curve(&mut participant.curve, progress.points);
        Ok(expires_at)
    }

    /// Counts a contribution; each institution's counts once.
    pub(super) fn submit(
        &mut self,
        name: &InstitutionName,
        token: &LeaseToken,
        key: IdempotencyKey,
        contribution: Contribution,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.holder(name, token)?;
        if let Contribution::Update { weights, .. } = &contribution {
            self.must_be_new(weights)?;
        }
        self.participant(name)?.slot = Slot::Submitted { at: now, key, contribution };
        Ok(())
    }

    fn must_be_new(&self, weights: &BlobRef) -> Result<(), Refusal> {
        let repeats = |contribution: &Contribution| match contribution {
            Contribution::Update { weights: other, .. } => other.digest == weights.digest,
            Contribution::Statistics(_) | Contribution::Evaluation { .. } => false,
        };
        match self.contributions().find(|(_, contribution)| repeats(contribution)) {
            None => Ok(()),
            Some(_) => {
                let message = "another institution has submitted the same bytes in this round";
                Err(Refusal::new(Reason::Replayed, message))
            }
        }
    }

    /// Keeps an update that admission has refused, out of every count.
    pub(super) fn reject(
        &mut self,
        name: &InstitutionName,
        token: &LeaseToken,
        weights: BlobRef,
        refusal: Refusal,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.holder(name, token)?.slot = Slot::Rejected(Rejection { at: now, key: None, refusal, weights });
        Ok(())
    }

    /// Notes that the work failed there for good.
    pub(super) fn fail(
        &mut self,
        name: &InstitutionName,
        token: &LeaseToken,
        message: String,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if let Slot::Failed { .. } = self.participant(name)?.slot {
            return Ok(());
        }
        self.holder(name, token)?.slot = Slot::Failed { at: now, message };
        Ok(())
    }

    /// Takes back leases that have run out: offered again, or given up after too many.
    pub(super) fn lapse(&mut self, rules: &Participation, now: Timestamp) {
        for participant in self.participants.values_mut() {
            let Slot::Leased { lease, .. } = &participant.slot else { continue };
            if lease.expires_at > now {
                continue;
            }
            participant.lapses += 1;
            participant.slot = if participant.lapses >= rules.lease_expiries {
                let message = format!("fell silent {} times", participant.lapses);
                Slot::Failed { at: now, message }
            } else {
                Slot::Offered
            };
        }
    }

    /// Gives everybody the time back that the coordinator was away. What was reckoned by a clock that has
    /// been set back since is reckoned anew: nobody is waited for until that clock's time comes.
    pub(super) fn extend(&mut self, now: Timestamp) {
        let grace = now.plus(LEASE);
        if now < self.opened_at {
            self.deadline = now.plus(self.deadline.since(self.opened_at));
            self.opened_at = now;
        }
        self.deadline = self.deadline.max(grace);
        for participant in self.participants.values_mut() {
            if let Slot::Leased { lease, .. } = &mut participant.slot {
                lease.expires_at = grace;
            }
        }
    }

    /// Shortens the curves for the history.
    pub(super) fn thin_curves(&mut self) {
        for participant in self.participants.values_mut() {
            thin(&mut participant.curve, MAX_CLOSED_CURVE);
        }
    }
}

fn answered(slot: &Slot) -> Refusal {
    let what = match slot {
        Slot::Submitted { .. } => "submitted its result",
        Slot::Refused { .. } => "refused",
        Slot::Rejected(_) => "submitted a result that was not admitted",
        Slot::Failed { .. } => "failed",
        Slot::Offered | Slot::Leased { .. } => "not answered",
    };
    Refusal::new(Reason::WrongState, format!("this institution has already {what} in this round"))
}

/// Adds points that lie after those there are; a repeated message adds nothing.
fn extend_curve(curve: &mut Vec<CurvePoint>, points: Vec<CurvePoint>) {
    for point in points {
        if curve.last().is_none_or(|last| last.step < point.step) {
            curve.push(point);
        }
    }
    thin(curve, MAX_CURVE);
}

/// Halves the curve's density until it fits; its last point always stays.
fn thin(curve: &mut Vec<CurvePoint>, most: usize) {
    while curve.len() > most {
        let last = curve.len() - 1;
        let mut index = 0..;
        curve.retain(|_| {
            let at = index.next().unwrap_or(last);
            at % 2 == last % 2
        });
    }
}
