//! Institutions that have not answered because they are at work for another job.

use std::collections::BTreeMap;

use eosfed_common::ids::{InstitutionName, JobId};
use eosfed_common::view::{ParticipantState as Shown, RoundView};

use super::Federation;
use crate::domain::round::ParticipantState;

impl Federation {
    /// Says of each institution that has not answered in the open round of a job which other job it is at work for.
    pub fn mark_queued(&self, round: &mut RoundView) {
        let busy = self.at_work();
        for (name, one) in &mut round.participants {
            if one.state == Shown::Offered {
                one.queued_behind = busy.get(name).map(|job| (*job).clone());
            }
        }
    }

    /// The institutions that are at work, each with the first job that it is at work for.
    fn at_work(&self) -> BTreeMap<&InstitutionName, &JobId> {
        let mut busy = BTreeMap::new();
        for (id, round) in self.jobs.iter().filter_map(|(id, job)| Some((id, job.open_round()?))) {
            let leased = |state: &ParticipantState| matches!(state, ParticipantState::Leased { .. });
            for (name, _) in round.participants.iter().filter(|(_, one)| leased(&one.state)) {
                busy.entry(name).or_insert(id);
            }
        }
        busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::view::open_round;
    use crate::testing::{NOW, ONE_SHOT, enrolled, name, submit, token};

    #[test]
    fn who_works_for_another_job_is_queued_there_and_nowhere_else() {
        let mut federation = Federation::default();
        federation.merge(enrolled(&["west", "east"]));
        let first = submit(&federation, ONE_SHOT).1;
        let first_id = first.jobs[0].id.clone();
        federation.merge(first);
        let mut second = federation.jobs[&first_id].clone();
        let id: JobId = "j-0000000b".parse().unwrap();
        second.definition = std::sync::Arc::new(crate::domain::JobDefinition {
            id: id.clone(),
            ..crate::domain::JobDefinition::clone(&second.definition)
        });
        federation.jobs.insert(id.clone(), second);
        let queued = |federation: &Federation, job: &JobId| {
            let mut round = open_round(&federation.jobs[job], &[]).unwrap();
            federation.mark_queued(&mut round);
            let queued = round.participants.iter().filter_map(|(name, one)| {
                assert_eq!(one.shown_state() == "queued", one.queued_behind.is_some());
                Some((name.clone(), one.queued_behind.clone()?))
            });
            queued.collect::<Vec<_>>()
        };
        assert_eq!((queued(&federation, &first_id), queued(&federation, &id)), (vec![], vec![]));

        let assignment = federation.jobs[&first_id].assignment(&name("west")).unwrap();
        let (outcome, _) = federation.jobs[&first_id].accept(&assignment.id, token(1), NOW).unwrap();
        federation.jobs.insert(first_id.clone(), outcome.job);
        assert_eq!(queued(&federation, &first_id), [], "it is at work here");
        assert_eq!(queued(&federation, &id), [(name("west"), first_id)]);
    }
}
