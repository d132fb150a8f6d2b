//! Reading what is in the store and not in memory: closed rounds and curves.

use std::ops::RangeInclusive;

use eosfed_common::ids::JobId;
use eosfed_common::refusal::{Reason, Refusal};

use super::Core;
use crate::domain::closed::ClosedRound;
use crate::domain::curve::{Curve, CurveId};
use crate::domain::round::{AttemptId, Round};

impl Core {
    /// The attempts at these rounds of a job that have closed, in order, each with its curves.
    ///
    /// # Errors
    /// If there is no such job or the store fails.
    pub async fn history(
        &self,
        id: &JobId,
        rounds: RangeInclusive<u32>,
    ) -> Result<Vec<(ClosedRound, Vec<Curve>)>, Refusal> {
        self.with_job(id, |_| ())?;
        let mut history = Vec::new();
        for closed in self.store.closed_rounds(id, rounds).await? {
            let curves = self.curves(&closed.round).await?;
            history.push((closed, curves));
        }
        Ok(history)
    }

    /// An attempt at a round that has closed, with its curves.
    ///
    /// # Errors
    /// If there is no such job or no such attempt, or the store fails.
    pub async fn closed_attempt(
        &self,
        id: &JobId,
        attempt: AttemptId,
    ) -> Result<(ClosedRound, Vec<Curve>), Refusal> {
        self.with_job(id, |_| ())?;
        let closed = self.store.closed_rounds(id, attempt.round..=attempt.round).await?;
        let found = closed.into_iter().find(|closed| closed.round.id() == attempt).ok_or_else(|| {
            let AttemptId { round, attempt } = attempt;
            let message = format!("job {id} has no closed round {}, attempt {attempt}", u64::from(round) + 1);
            Refusal::new(Reason::NotFound, message)
        })?;
        let curves = self.curves(&found.round).await?;
        Ok((found, curves))
    }

    /// The curves of the institutions in a round.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn curves(&self, round: &Round) -> Result<Vec<Curve>, Refusal> {
        let mut curves = Vec::new();
        for (institution, participant) in &round.participants {
            let id = CurveId { asked_in: participant.asked_in.clone(), institution: institution.clone() };
            curves.extend(self.store.curve(&id).await?);
        }
        Ok(curves)
    }
}
