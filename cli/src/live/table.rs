//! The live view of a terminal.

use eosfed_common::counted::counted;
use eosfed_common::view::{
    ActiveJob, InstitutionView, ParticipantState, ParticipantView, Presence, RoundView,
};

use crate::document::Watched;
use crate::print;

/// Widths of the columns of institutions after the first.
const SEEN: usize = 7;
const PRESENCE: usize = 7;
const JOB: usize = 10;
const DOES: usize = 9;
/// Cells of a progress bar.
const BAR: usize = 8;
/// From this width on, there is room for the loss.
const WIDE: usize = 96;
/// Narrowest and widest column of names.
const NAMES: [usize; 2] = [12, 40];
/// Most problems that are shown.
const PROBLEMS: usize = 3;

/// The lines for a terminal of this width.
pub(super) fn lines(watched: &Watched, trouble: Option<&str>, columns: usize) -> Vec<String> {
    let mut lines = vec![heading(watched)];
    lines.extend(trouble.map(|trouble| format!("! {trouble}")));
    let problems = &watched.overview.problems;
    lines.extend(
        problems
            .iter()
            .take(PROBLEMS)
            .map(|one| format!("! {}: {}", print::printable(&one.about), print::printable(&one.message))),
    );
    let more = problems.len().saturating_sub(PROBLEMS) + watched.overview.more_problems as usize;
    if more > 0 {
        lines.push(format!("! and {more} more; see `eosfed status`"));
    }
    lines.push(String::new());
    lines.extend(rounds(watched));
    lines.push(String::new());
    lines.extend(institutions(watched, columns));
    lines
}

fn heading(watched: &Watched) -> String {
    let overview = &watched.overview;
    let disk =
        overview.disk.map(|disk| format!("; {} free", print::bytes(disk.free_bytes))).unwrap_or_default();
    format!(
        "{}  {} of {} online; jobs: {} running, {} paused{disk}",
        overview.at,
        overview.institutions.online,
        overview.institutions.enrolled,
        overview.jobs.running,
        overview.jobs.paused
    )
}

fn rounds(watched: &Watched) -> Vec<String> {
    if watched.overview.active.is_empty() {
        return vec!["no job is under way; begin one with `eosfed job submit PLAN`".to_owned()];
    }
    let mut lines = vec![format!(
        "{:JOB$}  {:20}  {:9}  {:11}  {:7}  DEADLINE",
        "JOB", "NAME", "ROUND", "PHASE", "RESULTS"
    )];
    lines.extend(watched.overview.active.iter().map(|active| round(active, watched)));
    if watched.overview.more_active > 0 {
        lines.push(format!(
            "and {}; see `eosfed job list`",
            counted(watched.overview.more_active, "more job")
        ));
    }
    lines
}

fn round(active: &ActiveJob, watched: &Watched) -> String {
    let job = &active.job;
    let name = cut(&print::printable(&job.name), 20);
    let Some(open) = &job.current else {
        return format!("{:JOB$}  {name:20}  {:9}  {}", job.id, "–", job.state);
    };
    let number = format!("{} of {}", u64::from(open.index) + 1, job.rounds);
    let results = format!("{} of {}", open.participants.submitted, active.needed);
    let left = open.deadline.since(watched.overview.at);
    let deadline =
        if left.is_zero() { "now".to_owned() } else { format!("in {}", print::span(left.as_secs())) };
    format!("{:JOB$}  {name:20}  {number:9}  {:11}  {results:7}  {deadline}", job.id, open.phase.to_string())
}

/// What an institution does: the job, and its part in it.
type Work<'a> = (&'a str, &'a ParticipantView);

fn institutions(watched: &Watched, columns: usize) -> Vec<String> {
    let longest = watched.institutions.iter().map(|one| one.name.as_str().len()).max().unwrap_or_default();
    let others = PRESENCE + SEEN + JOB + DOES + BAR + 7 + 5 * 2;
    let [least, most] = NAMES;
    let room = columns.saturating_sub(others).clamp(least, most);
    let width = longest.clamp(least, room);
    if watched.institutions.is_empty() {
        return vec!["no institution yet; invite one with `eosfed institution invite NAME`".to_owned()];
    }
    let mut rows: Vec<_> = watched.institutions.iter().map(|one| (one, work(watched, one))).collect();
    // Who works first, then who is here.
    rows.sort_by_key(|(one, work)| {
        (work.is_empty(), order(one.presence(watched.overview.at)), one.name.clone())
    });
    let title = format!(
        "{:width$}  {:PRESENCE$}  {:SEEN$}  {:JOB$}  {:DOES$}  PROGRESS",
        "INSTITUTION", "STATE", "SEEN", "JOB", "DOES"
    );
    let mut lines = vec![title];
    for (one, work) in rows {
        lines.extend(rows_of(watched, one, &work, width, columns >= WIDE));
    }
    lines
}

fn work<'a>(watched: &'a Watched, one: &InstitutionView) -> Vec<Work<'a>> {
    let part = |round: &'a RoundView| round.participants.get(&one.name);
    watched.rounds.iter().filter_map(|open| Some((open.job.as_str(), part(&open.round)?))).collect()
}

const fn order(presence: Presence) -> u8 {
    match presence {
        Presence::Online => 0,
        Presence::Away => 1,
        Presence::Silent => 2,
        Presence::Invited => 3,
        Presence::InvitationExpired => 4,
        Presence::Revoked => 5,
    }
}

/// What a presence is called in lists.
pub(super) const fn word(presence: Presence) -> &'static str {
    match presence {
        Presence::Online => "online",
        Presence::Away => "away",
        Presence::Silent => "silent",
        Presence::Invited => "invited",
        Presence::InvitationExpired => "lapsed",
        Presence::Revoked => "revoked",
    }
}

fn rows_of(
    watched: &Watched,
    one: &InstitutionView,
    work: &[Work<'_>],
    width: usize,
    wide: bool,
) -> Vec<String> {
    let now = watched.overview.at;
    let seen = one.last_seen.map_or_else(|| "–".to_owned(), |at| print::span(now.since(at).as_secs()));
    let start = format!(
        "{:width$}  {:PRESENCE$}  {seen:SEEN$}",
        cut(one.name.as_str(), width),
        word(one.presence(now))
    );
    let blank = " ".repeat(width + PRESENCE + SEEN + 4);
    if work.is_empty() {
        return vec![format!("{start}  {:JOB$}  –", "–")];
    }
    let row = |(at, (job, part)): (usize, &Work<'_>)| {
        let start = if at == 0 { &start } else { &blank };
        let line = format!("{start}  {job:JOB$}  {:DOES$}  {}", part.shown_state(), progress(part, wide));
        line.trim_end().to_owned()
    };
    work.iter().enumerate().map(row).collect()
}

fn progress(part: &ParticipantView, wide: bool) -> String {
    let message = part.says().map(|text| print::printable(&text));
    if part.state != ParticipantState::Working || part.steps == 0 {
        return message.unwrap_or_default();
    }
    let done = part.step.min(part.steps);
    let cells = usize::try_from(done * BAR as u64 / part.steps).unwrap_or(BAR);
    let percent = done * 100 / part.steps;
    let loss = part.loss.filter(|_| wide).map(|loss| format!("  loss {loss:.3}")).unwrap_or_default();
    format!("{}{} {percent:3} %{loss}", "#".repeat(cells), ".".repeat(BAR - cells))
}

/// A text of at most `most` characters.
fn cut(text: &str, most: usize) -> String {
    console::truncate_str(text, most, "…").into_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use eosfed_common::clock::Timestamp;
    use eosfed_common::finite::Finite;
    use eosfed_common::view::{
        ActiveJob, InstitutionCounts, JobCounts, OpenRoundSummary, Overview, ParticipantCounts, RefCounts,
        RoundKind, RoundPhase,
    };

    use super::*;
    use crate::document::WatchedRound;

    const NOW: Timestamp = Timestamp(1_795_000_000_000);

    fn institution(name: &str, seen_ago: Option<u64>) -> InstitutionView {
        InstitutionView {
            name: name.parse().unwrap(),
            enrolled_at: Some(Timestamp(1)),
            invited_until: None,
            invited_by: None,
            revoked_at: None,
            certificate_expires_at: None,
            signing_key: None,
            data: None,
            policy: None,
            last_seen: seen_ago.map(|ago| Timestamp(NOW.0 - ago * 1000)),
            version: None,
            received: eosfed_common::traffic::ByteCounts::default(),
        }
    }

    fn part(state: ParticipantState, step: u64, message: Option<&str>) -> ParticipantView {
        ParticipantView {
            state,
            step,
            steps: 200,
            message: message.map(ToOwned::to_owned),
            lease_expiries: 0,
            loss: Finite::new(0.5),
            samples: None,
            weights: None,
            scoring: None,
            metrics: BTreeMap::new(),
            start_metrics: BTreeMap::new(),
            energy: None,
            spent: None,
            norm: None,
            encoding: None,
            queued_behind: None,
            own_deadline: None,
            curve: Vec::new(),
        }
    }

    /// A federation of four, two of which work.
    pub(crate) fn watched() -> Watched {
        let job: ActiveJob = serde_json::from_value(serde_json::json!({
            "id": "j-00c0ffee", "name": "trees \u{1b}[2Jand a long name", "kind": "rounds", "state": "running",
            "submitted_by": "ada", "submitted_at": 1, "ended_at": null, "rounds": 5, "complete_rounds": 1,
            "current": null, "specialists": 0, "release": null, "head_over": null,
            "why": null, "needed": 2, "waits_for": [], "waits_for_more": 0
        }))
        .unwrap();
        let deadline = NOW.plus(std::time::Duration::from_secs(7200));
        let counts = ParticipantCounts { working: 1, submitted: 1, ..ParticipantCounts::default() };
        let current = OpenRoundSummary {
            index: 1,
            attempt: 1,
            kind: RoundKind::Train(0),
            opened_at: Timestamp(1),
            phase: RoundPhase::Training,
            deadline,
            participants: counts,
        };
        let active =
            ActiveJob { job: eosfed_common::view::JobSummary { current: Some(current), ..job.job }, ..job };
        let overview = Overview {
            at: NOW,
            version: "0.1.0".to_owned(),
            started_at: Timestamp(1),
            institutions: InstitutionCounts { enrolled: 4, online: 2, invited: 0, revoked: 0 },
            jobs: JobCounts { running: 1, ..JobCounts::default() },
            specialists: RefCounts::default(),
            releases: 0,
            latest_release: None,
            active: vec![active],
            more_active: 0,
            problems: Vec::new(),
            more_problems: 0,
            disk: None,
        };
        let participants = [
            ("west".parse().unwrap(), part(ParticipantState::Working, 90, None)),
            (
                "university-of-the-northern-coast-of-x".parse().unwrap(),
                part(ParticipantState::Refused, 0, Some("policy: no krum")),
            ),
        ];
        let round = RoundView {
            index: 1,
            attempt: 1,
            kind: RoundKind::Train(0),
            phase: RoundPhase::Training,
            opened_at: Timestamp(1),
            deadline,
            closed_at: None,
            participants: participants.into(),
            ..serde_json::from_value(serde_json::json!({
                "index":0,"attempt":1,"kind":"one_shot","phase":"complete","opened_at":1,"deadline":2,
                "closed_at":2,"participants":{}
            }))
            .unwrap()
        };
        Watched {
            overview,
            institutions: vec![
                institution("east", Some(3)),
                institution("north", None),
                institution("university-of-the-northern-coast-of-x", Some(200)),
                institution("west", Some(61)),
            ],
            rounds: vec![WatchedRound { job: "j-00c0ffee".parse().unwrap(), round }],
        }
    }

    #[test]
    fn the_view_fits_eighty_columns_and_shows_who_works_first() {
        let lines = lines(&watched(), None, 80);
        let expected = "\
2026-11-18T11:06:40Z  2 of 4 online; jobs: 1 running, 0 paused

JOB         NAME                  ROUND      PHASE        RESULTS  DEADLINE
j-00c0ffee  trees \u{fffd}[2Jand a lon…  2 of 5     training     1 of 2   in 2 h

INSTITUTION             STATE    SEEN     JOB         DOES       PROGRESS
west                    online   1 min    j-00c0ffee  working    ###.....  45 %
university-of-the-nor…  away     3 min    j-00c0ffee  refused    policy: no krum
east                    online   3 s      –           –
north                   silent   –        –           –";
        assert_eq!(lines.join("\n"), expected);
        assert!(lines.iter().all(|line| console::measure_text_width(line) <= 80));
        let wide = super::lines(&watched(), Some("gone; trying again"), 120).join("\n");
        assert!(
            wide.contains("! gone") && wide.contains("university-of-the-northern-coast-of-x  away"),
            "{wide}"
        );
        assert!(wide.contains("45 %  loss 0.500"), "{wide}");
    }

    #[test]
    fn an_empty_federation_says_what_to_do() {
        let mut watched = watched();
        watched.overview.active.clear();
        watched.institutions.clear();
        let text = lines(&watched, None, 80).join("\n");
        assert!(
            text.contains("`eosfed job submit PLAN`") && text.contains("`eosfed institution invite NAME`"),
            "{text}"
        );
    }
}
