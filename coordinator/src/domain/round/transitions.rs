//! Transitions of an open round. Each returns the changes that must be recorded. It does not return the
//! progress of a lease, which need not survive a restart.

use std::collections::BTreeSet;

use eosfed_common::assignment::{BlobRef, LEASE, Lease};
use eosfed_common::clock::Timestamp;
use eosfed_common::finite::Finite;
use eosfed_common::ids::{IdempotencyKey, InstitutionName, JobId, LeaseToken};
use eosfed_common::plan::Participation;
use eosfed_common::refusal::{Reason, Refusal};
use eosfed_common::robust::{median, outliers};

use super::{Contribution, Participant, ParticipantState, Rejection, Round};

/// A lease that has expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// The institution.
    pub institution: InstitutionName,
    /// How many of its leases have expired.
    pub expiries: u32,
    /// Whether the institution has failed because of it.
    pub failed: bool,
}

impl Round {
    /// The next attempt. It starts from the same weights, so submitted results stay and institutions at work
    /// continue. All others are asked again.
    #[must_use]
    pub fn again(&self, job: &JobId, rules: &Participation, now: Timestamp) -> Self {
        let mut next = self.clone();
        next.attempt += 1;
        (next.opened_at, next.deadline) = (now, now.plus(rules.deadline));
        let asked_in = next.asked_in(job);
        for participant in next.participants.values_mut() {
            participant.own_deadline = None;
            match participant.state {
                ParticipantState::Submitted { .. } | ParticipantState::Leased { .. } => {}
                ParticipantState::Offered
                | ParticipantState::Refused { .. }
                | ParticipantState::Rejected(_)
                | ParticipantState::Failed { .. } => participant.ask_again(asked_in.clone()),
            }
        }
        next
    }

    /// Takes over the institutions that are still at work in `last`, unless their work would be more than
    /// `max_staleness` rounds behind.
    pub(in crate::domain) fn carry(&mut self, last: &Self, max_staleness: u32) {
        for (name, participant) in &last.participants {
            if let ParticipantState::Leased { since, .. } = participant.state
                && self.index - since <= max_staleness
            {
                // Its rejected updates stay on record in the round that has ended, and nowhere else.
                let carried = Participant { rejected: Vec::new(), own_deadline: None, ..participant.clone() };
                self.participants.insert(name.clone(), carried);
            }
        }
    }

    /// Excludes the updates whose step is longer than `factor` times the median step, if there are three or
    /// more updates. Gives the excluded ones.
    pub(in crate::domain) fn exclude_outliers(&mut self, factor: f64) -> Vec<(InstitutionName, Rejection)> {
        let norms: Vec<f64> = self.norms().map(|(_, norm)| norm).collect();
        let far: BTreeSet<InstitutionName> = (self.norms().zip(outliers(&norms, factor)))
            .filter(|(_, outlier)| *outlier)
            .map(|((name, _), _)| name.clone())
            .collect();
        let mut excluded = Vec::new();
        for (name, participant) in self.participants.iter_mut().filter(|(name, _)| far.contains(*name)) {
            let ParticipantState::Submitted {
                at,
                key,
                contribution: Contribution::Update { weights, norm, .. },
            } = &participant.state
            else {
                continue;
            };
            let message = format!(
                "the update's step has norm {norm:.4}, more than {factor} times the round's median {:.4} \
                 (`admission.norm_factor`)",
                median(&norms)
            );
            let refusal = Refusal::new(Reason::NormOutlier, message);
            let rejection = Rejection { at: *at, key: Some(key.clone()), refusal, weights: *weights };
            participant.state = ParticipantState::Rejected(rejection.clone());
            excluded.push((name.clone(), rejection));
        }
        excluded
    }

    /// Ends the part of revoked institutions that are asked, at work or have submitted. Gives them, each with
    /// the update that does not count any more.
    pub(in crate::domain) fn withdraw(
        &mut self,
        is_revoked: impl Fn(&InstitutionName) -> bool,
        now: Timestamp,
    ) -> Vec<(InstitutionName, Option<BlobRef>)> {
        let mut withdrawn = Vec::new();
        for (name, participant) in self.participants.iter_mut().filter(|(name, _)| is_revoked(name)) {
            let message = "its access was revoked before the round closed";
            let (state, weights) = match &participant.state {
                ParticipantState::Refused { .. }
                | ParticipantState::Rejected(_)
                | ParticipantState::Failed { .. } => continue,
                ParticipantState::Submitted {
                    at,
                    key,
                    contribution: Contribution::Update { weights, .. },
                } => {
                    let refusal = Refusal::new(Reason::Unauthenticated, message);
                    let rejection = Rejection { at: *at, key: Some(key.clone()), refusal, weights: *weights };
                    (ParticipantState::Rejected(rejection), Some(*weights))
                }
                ParticipantState::Offered
                | ParticipantState::Leased { .. }
                | ParticipantState::Submitted { .. } => {
                    (ParticipantState::Failed { at: now, message: message.to_owned() }, None)
                }
            };
            participant.state = state;
            withdrawn.push((name.clone(), weights));
        }
        withdrawn
    }

    /// The norms of the updates' steps.
    fn norms(&self) -> impl Iterator<Item = (&InstitutionName, f64)> {
        self.contributions().filter_map(|(name, contribution)| match contribution {
            Contribution::Update { norm, .. } => Some((name, norm.get())),
            Contribution::Statistics(_) | Contribution::Evaluation { .. } => None,
        })
    }

    /// Repeats the offer to an institution that has declined, failed or been rejected.
    pub(in crate::domain) fn ask_again(
        &mut self,
        job: &JobId,
        name: &InstitutionName,
    ) -> Result<(), Refusal> {
        let asked_in = self.asked_in(job);
        let participant = self.participant(name)?;
        match &participant.state {
            ParticipantState::Refused { .. }
            | ParticipantState::Rejected(_)
            | ParticipantState::Failed { .. } => {
                participant.ask_again(asked_in);
                Ok(())
            }
            ParticipantState::Offered
            | ParticipantState::Leased { .. }
            | ParticipantState::Submitted { .. } => {
                let message =
                    format!("institution `{name}` has not refused, failed or been rejected in this round");
                Err(Refusal::new(Reason::WrongState, message))
            }
        }
    }

    fn participant(&mut self, name: &InstitutionName) -> Result<&mut Participant, Refusal> {
        self.participants.get_mut(name).ok_or_else(|| {
            Refusal::new(Reason::NotFound, format!("institution `{name}` was not asked to take part"))
        })
    }

    /// Leases the work, or gives the lease that the institution already holds. Gives whether the lease is
    /// new.
    pub(in crate::domain) fn accept(
        &mut self,
        name: &InstitutionName,
        since: u32,
        token: LeaseToken,
        now: Timestamp,
    ) -> Result<(Lease, bool), Refusal> {
        let participant = self.participant(name)?;
        let expires_at = now.plus(LEASE);
        match &mut participant.state {
            ParticipantState::Offered => {
                let lease = Lease { token, expires_at };
                participant.state =
                    ParticipantState::Leased { lease: lease.clone(), since, step: 0, steps: 0, loss: None };
                Ok((lease, true))
            }
            ParticipantState::Leased { lease, .. } => {
                lease.expires_at = expires_at;
                Ok((lease.clone(), false))
            }
            state @ (ParticipantState::Submitted { .. }
            | ParticipantState::Refused { .. }
            | ParticipantState::Rejected(_)
            | ParticipantState::Failed { .. }) => Err(answered(state)),
        }
    }

    /// Records that the institution declines. Gives whether this is new.
    pub(in crate::domain) fn refuse(
        &mut self,
        name: &InstitutionName,
        refusal: Refusal,
        now: Timestamp,
    ) -> Result<bool, Refusal> {
        let participant = self.participant(name)?;
        match &participant.state {
            ParticipantState::Offered | ParticipantState::Leased { .. } => {
                participant.state = ParticipantState::Refused { at: now, refusal };
                Ok(true)
            }
            // A repeated call after a lost answer.
            ParticipantState::Refused { .. } => Ok(false),
            state @ (ParticipantState::Submitted { .. }
            | ParticipantState::Rejected(_)
            | ParticipantState::Failed { .. }) => Err(answered(state)),
        }
    }

    /// The participant, if it holds the lease.
    pub(in crate::domain) fn holder(
        &mut self,
        name: &InstitutionName,
        token: &LeaseToken,
    ) -> Result<&mut Participant, Refusal> {
        let participant = self.participant(name)?;
        match &participant.state {
            ParticipantState::Leased { lease, .. } if lease.token == *token => Ok(participant),
            ParticipantState::Leased { .. } => {
                let message = "the lease belongs to another run of this institution's client; accept again";
                Err(Refusal::new(Reason::LeaseMismatch, message))
            }
            ParticipantState::Offered => {
                Err(Refusal::new(Reason::LeaseExpired, "the lease has expired; accept the assignment again"))
            }
            state @ (ParticipantState::Submitted { .. }
            | ParticipantState::Refused { .. }
            | ParticipantState::Rejected(_)
            | ParticipantState::Failed { .. }) => Err(answered(state)),
        }
    }

    /// Renews the lease and records progress. Gives the new end of the lease.
    pub(in crate::domain) fn heartbeat(
        &mut self,
        name: &InstitutionName,
        token: &LeaseToken,
        (done, of): (u64, u64),
        newest: Option<Finite>,
        now: Timestamp,
    ) -> Result<Timestamp, Refusal> {
        let participant = self.holder(name, token)?;
        let expires_at = now.plus(LEASE);
        if let ParticipantState::Leased { lease, since: _, step, steps, loss } = &mut participant.state {
            lease.expires_at = expires_at;
            (*step, *steps) = (done, of);
            *loss = newest.or(*loss);
        }
        Ok(expires_at)
    }

    /// Counts a contribution. Each institution has at most one that counts.
    pub(in crate::domain) fn submit(
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
        self.participant(name)?.state = ParticipantState::Submitted { at: now, key, contribution };
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

    /// Keeps an update that admission refused. It is not counted.
    pub(in crate::domain) fn reject(
        &mut self,
        name: &InstitutionName,
        token: &LeaseToken,
        weights: BlobRef,
        refusal: Refusal,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let rejection = Rejection { at: now, key: None, refusal, weights };
        self.holder(name, token)?.state = ParticipantState::Rejected(rejection);
        Ok(())
    }

    /// Records that the work has failed and will not be repeated. Gives whether this is new.
    pub(in crate::domain) fn fail(
        &mut self,
        name: &InstitutionName,
        token: &LeaseToken,
        message: String,
        now: Timestamp,
    ) -> Result<bool, Refusal> {
        if let ParticipantState::Failed { .. } = self.participant(name)?.state {
            return Ok(false);
        }
        self.holder(name, token)?.state = ParticipantState::Failed { at: now, message };
        Ok(true)
    }

    /// Ends expired leases: the work is offered again, or the institution has failed after too many expiries.
    pub(in crate::domain) fn expire_leases(&mut self, rules: &Participation, now: Timestamp) -> Vec<Expired> {
        let mut expired = Vec::new();
        for (name, participant) in &mut self.participants {
            let ParticipantState::Leased { lease, .. } = &participant.state else { continue };
            if lease.expires_at > now {
                continue;
            }
            participant.lease_expiries += 1;
            let expiries = participant.lease_expiries;
            let failed = expiries >= rules.lease_expiries;
            participant.state = if failed {
                ParticipantState::Failed { at: now, message: format!("its lease expired {expiries} times") }
            } else {
                ParticipantState::Offered
            };
            expired.push(Expired { institution: name.clone(), expiries, failed });
        }
        expired
    }

    /// The round without its deadlines, the ends and the progress of leases.
    pub(in crate::domain) fn forget_progress(&mut self) {
        self.opened_at = Timestamp(0);
        self.deadline = Timestamp(0);
        for participant in self.participants.values_mut() {
            participant.own_deadline = None;
            if let ParticipantState::Leased { lease, since: _, step, steps, loss } = &mut participant.state {
                lease.expires_at = Timestamp(0);
                (*step, *steps, *loss) = (0, 0, None);
            }
        }
    }

    /// Extends leases and deadlines by the downtime of the coordinator. If the clock was set back
    /// meanwhile, both are computed again from the present time, so that they do not last longer than usual.
    pub(in crate::domain) fn extend(&mut self, now: Timestamp) {
        let grace = now.plus(LEASE);
        if now < self.opened_at {
            let opened_at = self.opened_at;
            self.move_deadlines(|at| now.plus(at.since(opened_at)));
            self.opened_at = now;
        }
        self.move_deadlines(|at| at.max(grace));
        for participant in self.participants.values_mut() {
            if let ParticipantState::Leased { lease, .. } = &mut participant.state {
                lease.expires_at = grace;
            }
        }
    }
}

fn answered(state: &ParticipantState) -> Refusal {
    let what = match state {
        ParticipantState::Submitted { .. } => "submitted its result",
        ParticipantState::Refused { .. } => "refused",
        ParticipantState::Rejected(_) => "submitted a result that was not admitted",
        ParticipantState::Failed { .. } => "failed",
        ParticipantState::Offered | ParticipantState::Leased { .. } => "not answered",
    };
    Refusal::new(Reason::WrongState, format!("this institution has already {what} in this round"))
}
