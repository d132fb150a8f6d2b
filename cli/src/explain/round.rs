//! The open round of an explanation.

use eosfed_common::clock::Timestamp;
use eosfed_common::view::{JobView, ParticipantState, RoundView};

use super::super::document::{ExplainedInstitution, ExplainedRound};
use super::super::print;

/// Most names that a sentence has.
const MAX_NAMES: usize = 5;

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl ExplainedRound {
    pub(super) fn of(job: &JobView, view: &RoundView) -> Self {
        let count = |wanted: &dyn Fn(ParticipantState) -> bool| {
            number(view.participants.values().filter(|one| wanted(one.state)).count())
        };
        Self {
            index: view.index,
            of: job.rounds,
            attempt: view.attempt,
            needed: job.spec.participation().min,
            counted: count(&|state| state == ParticipantState::Submitted),
            asked: number(view.participants.len()),
            answered: count(&|state| state != ParticipantState::Offered),
            waiting: count(&|state| matches!(state, ParticipantState::Offered | ParticipantState::Working)),
            deadline: view.deadline,
        }
    }

    /// Its name for people, who count from 1.
    pub(super) fn name(&self) -> String {
        let again = if self.attempt > 1 { format!(", attempt {}", self.attempt) } else { String::new() };
        format!("round {} of {}{again}", u64::from(self.index) + 1, self.of)
    }

    /// Why a round is open, and what closes it.
    pub(super) fn running(
        &self,
        job: &JobView,
        institutions: &[ExplainedInstitution],
        now: Timestamp,
    ) -> (String, Vec<String>) {
        let awaited = institutions.iter().filter(|one| one.awaited).map(|one| one.institution.as_str());
        let awaited = names(&awaited.collect::<Vec<_>>());
        let Self { needed, counted, waiting, asked, answered, .. } = *self;
        let missing = needed.saturating_sub(counted);
        let figures =
            format!("{counted} of {needed} needed results count, {answered} of {asked} have answered");
        let name = self.name();
        let summary = match (missing, waiting) {
            (_, 0) => format!("{name}: everybody has answered; it closes now ({figures})"),
            (0, _) => format!("{name} has enough results and still waits for {awaited} ({figures})"),
            (missing, waiting) if missing > waiting => {
                format!(
                    "{name} can no longer get enough results ({figures}); it is tried again or the job pauses"
                )
            }
            _ => format!("{name} waits for {awaited} ({figures})"),
        };
        let enough = if missing == 0 {
            "with the results that it has"
        } else {
            "with too few it is tried again, or the job pauses"
        };
        let mut moves = vec![
            format!("an answer of {awaited}"),
            format!("its deadline, {}: {enough}", when(self.deadline, now)),
        ];
        if waiting == 0 {
            moves.remove(0);
        }
        moves.extend(institutions.iter().filter(|one| one.can_be_retried).map(|one| {
            format!("after the cause is removed: `eosfed job retry {} {}`", job.id, one.institution)
        }));
        (summary, moves)
    }
}

/// The commands that ask institutions again.
pub(super) fn retries(job: &JobView, view: &RoundView) -> Vec<String> {
    let retried = view.participants.iter().filter(|(_, one)| one.state.can_be_retried());
    retried.map(|(name, _)| format!("to ask {name} again: `eosfed job retry {} {name}`", job.id)).collect()
}

/// Names as a list in words.
fn names(all: &[&str]) -> String {
    match all {
        [] => "nobody".to_owned(),
        [one] => (*one).to_owned(),
        _ if all.len() > MAX_NAMES => {
            format!("{} and {} others", all[..MAX_NAMES].join(", "), all.len() - MAX_NAMES)
        }
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

/// A time from now.
pub(super) fn when(at: Timestamp, now: Timestamp) -> String {
    if at > now {
        format!("in {}", print::span(at.since(now).as_secs()))
    } else {
        format!("{} ago", print::span(now.since(at).as_secs()))
    }
}
