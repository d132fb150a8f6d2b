//! The live view as lines for a pipe: one for each change, each of which stands for itself.

use eosfed_common::view::{ParticipantState, ParticipantView};

use super::table::word;
use crate::document::Watched;
use crate::print;

/// The present lines, each with what it is about.
pub(super) fn lines(watched: &Watched, trouble: Option<&str>) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    if let Some(trouble) = trouble {
        lines.push(("trouble".to_owned(), trouble.to_owned()));
    }
    for one in &watched.institutions {
        let state = word(one.presence(watched.overview.at));
        lines.push((format!("institution {}", one.name), format!("institution {}: {state}", one.name)));
    }
    for active in &watched.overview.active {
        let job = &active.job;
        let text = match &job.current {
            None => job.state.to_string(),
            Some(open) => format!(
                "round {} of {}, {}: {} of {} needed results",
                u64::from(open.index) + 1,
                job.rounds,
                open.phase,
                open.participants.submitted,
                active.needed
            ),
        };
        lines.push((format!("job {}", job.id), format!("job {}: {text}", job.id)));
    }
    for open in &watched.rounds {
        let parts = open.round.participants.iter();
        lines.extend(parts.map(|(name, part)| {
            let key = format!("work {} {name}", open.job);
            (key, format!("job {}, {name}: {}", open.job, does(part)))
        }));
    }
    for (at, problem) in watched.overview.problems.iter().enumerate() {
        let text =
            format!("problem: {}: {}", print::printable(&problem.about), print::printable(&problem.message));
        lines.push((format!("problem {} {} {at}", problem.kind, problem.about), text));
    }
    lines
}

/// What an institution does, in steps of a tenth.
fn does(part: &ParticipantView) -> String {
    let message = part.says().map(|text| format!(": {}", print::printable(&text))).unwrap_or_default();
    if part.state == ParticipantState::Working && part.steps > 0 {
        return format!("working, {} %{message}", part.step.min(part.steps) * 10 / part.steps * 10);
    }
    format!("{}{message}", part.shown_state())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::table::tests::watched;

    #[test]
    fn each_line_stands_for_itself() {
        let lines: Vec<_> = lines(&watched(), None).into_iter().map(|(_, line)| line).collect();
        let expected = [
            "institution east: online",
            "institution north: silent",
            "institution university-of-the-northern-coast-of-x: away",
            "institution west: online",
            "job j-00c0ffee: round 2 of 5, training: 1 of 2 needed results",
            "job j-00c0ffee, university-of-the-northern-coast-of-x: refused: policy: no krum",
            "job j-00c0ffee, west: working, 40 %",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn who_is_at_work_for_another_job_is_queued() {
        let mut watched = watched();
        let west = watched.rounds[0].round.participants.get_mut(&"west".parse().unwrap()).unwrap();
        west.state = ParticipantState::Offered;
        west.queued_behind = Some("j-0000000b".parse().unwrap());
        let lines: Vec<_> = lines(&watched, None).into_iter().map(|(_, line)| line).collect();
        let expected = "job j-00c0ffee, west: queued: at work for j-0000000b";
        assert!(lines.iter().any(|line| line == expected), "{lines:?}");
    }
}
