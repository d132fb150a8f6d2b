//! Institutions whose access was revoked are absent: no round waits for them, and what they have submitted in
//! the open round does not count. Rounds that have closed, or whose updates are being aggregated, stay as
//! they are.

use eosfed_common::clock::Timestamp;
use eosfed_common::ids::InstitutionName;
use eosfed_common::ledger::{Actor, EventKind};

use super::{JobState, Outcome};

impl Outcome {
    /// Ends the part of revoked institutions in the open round, and in the rounds that open because of it.
    /// Each of these closes a round or an attempt, of which there are finitely many.
    pub(in crate::domain) fn without_revoked(
        mut self,
        is_revoked: impl Fn(&InstitutionName) -> bool,
        now: Timestamp,
    ) -> Self {
        loop {
            let JobState::Collecting(round) = &mut self.job.state else { return self };
            let index = round.index;
            let withdrawn = round.withdraw(&is_revoked, now);
            if withdrawn.is_empty() {
                return self;
            }
            for (institution, weights) in withdrawn {
                let discarded = weights.map(|blob| blob.digest);
                let kind = EventKind::ParticipationEnded { round: index, discarded };
                self.note_of(&institution, Actor::Coordinator, kind);
            }
            self = self.settle(now);
        }
    }
}
