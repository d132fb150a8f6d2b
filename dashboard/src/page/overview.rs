//! What runs, what waits and for whom, and what is wrong.

use eosfed_common::view::{ActiveJob, DiskView, Overview, Problem, ProblemKind};
use maud::{Markup, html};

use super::path;
use crate::format::{bytes, count, counted, relative, span};
use crate::layout::{Content, Shell};
use crate::parts::{
    Tile, Tone, badge, counts, empty, heading, job_link, job_state, panel, progress, release_link,
    round_phase, said, shell_command, tiles,
};
use crate::words;

/// The first page.
#[must_use]
pub fn overview(shell: &Shell, overview: &Overview) -> String {
    let body = html! {
        (heading(&html! { "Overview" }, &html! {}, &summary(overview)))
        (numbers(overview))
        (problems(overview))
        (active(overview))
        (latest(overview))
    };
    shell.document(&Content { title: "Overview".to_owned(), section: path::OVERVIEW, body })
}

fn summary(overview: &Overview) -> Markup {
    let running = overview.jobs.running;
    let wrong = overview.problems.len() + overview.more_problems as usize;
    let jobs = match running {
        0 => "No job runs".to_owned(),
        1 => "1 job runs".to_owned(),
        more => format!("{more} jobs run"),
    };
    let problems = match wrong {
        0 => "nothing needs attention".to_owned(),
        1 => "1 thing needs attention".to_owned(),
        more => format!("{more} things need attention"),
    };
    html! { p.lead data-announce { (jobs) "; " (problems) "." } }
}

fn numbers(overview: &Overview) -> Markup {
    let Overview { institutions, jobs, specialists, releases, .. } = overview;
    let silent = institutions.enrolled.saturating_sub(institutions.online);
    tiles(
        "numbers",
        &[
            Tile {
                name: "Institutions online",
                value: format!("{} / {}", institutions.online, institutions.enrolled),
                note: html! { (silent) " not online, " (institutions.invited) " invited" },
                href: Some(path::INSTITUTIONS),
                tone: if silent > 0 { Tone::Warn } else { Tone::Calm },
            },
            Tile {
                name: "Jobs running",
                value: count(jobs.running.into()),
                note: html! { (jobs.paused) " paused, " (count(jobs.finished.into())) " finished" },
                href: Some(path::JOBS),
                tone: if jobs.paused > 0 { Tone::Warn } else { Tone::Calm },
            },
            Tile {
                name: "Specialists",
                value: count(specialists.versions.into()),
                note: html! { (count(specialists.released.into())) " released" },
                href: Some(path::SPECIALISTS),
                tone: Tone::Calm,
            },
            Tile {
                name: "Releases",
                value: count((*releases).into()),
                note: html! {
                    @match &overview.latest_release {
                        Some(release) => { "latest " (relative(release.created_at, overview.at)) }
                        None => { "none yet" }
                    }
                },
                href: Some(path::RELEASES),
                tone: Tone::Calm,
            },
            disk_tile(overview.disk.as_ref(), overview),
        ],
    )
}

fn disk_tile(disk: Option<&DiskView>, overview: &Overview) -> Tile {
    let low = overview.problems.iter().any(|problem| problem.kind == ProblemKind::DiskLow);
    Tile {
        name: "Disk free",
        value: disk.map_or_else(|| "not known".to_owned(), |disk| bytes(disk.free_bytes)),
        note: html! { @if let Some(disk) = disk { "of " (bytes(disk.total_bytes)) } },
        href: Some(path::STORAGE),
        tone: if low { Tone::Bad } else { Tone::Calm },
    }
}

const fn tone(kind: ProblemKind) -> Tone {
    match kind {
        ProblemKind::DiskLow | ProblemKind::CertificateExpired | ProblemKind::ParticipantFailed => Tone::Bad,
        ProblemKind::JobPaused
        | ProblemKind::RoundLate
        | ProblemKind::InstitutionSilent
        | ProblemKind::CertificateExpiring => Tone::Warn,
    }
}

fn problems(overview: &Overview) -> Markup {
    let body = html! {
        @if overview.problems.is_empty() {
            p.quiet { (badge(Tone::Good, "all well")) " No job is paused, no institution is silent, no certificate expires soon." }
        } @else {
            ul.problems { @for one in &overview.problems { li { (problem(one, overview)) } } }
            @if overview.more_problems > 0 { p.quiet { "and " (overview.more_problems) " more" } }
        }
    };
    panel("attention", "Needs attention", &body)
}

fn problem(problem: &Problem, overview: &Overview) -> Markup {
    html! {
        div.problem {
            p.what { (badge(tone(problem.kind), words::problem(problem.kind))) " " strong { (about(problem)) }
                @if let Some(at) = problem.at { " " span.of { (relative(at, overview.at)) } } }
            p { (said(&problem.message)) }
            @if let Some(command) = &problem.command { (shell_command(command)) }
        }
    }
}

fn about(problem: &Problem) -> Markup {
    match problem.kind {
        ProblemKind::JobPaused | ProblemKind::RoundLate | ProblemKind::ParticipantFailed => {
            job_link(&problem.about)
        }
        ProblemKind::InstitutionSilent => {
            html! { a href={ (path::INSTITUTIONS) "/" (problem.about) } { (said(&problem.about)) } }
        }
        ProblemKind::DiskLow => html! { a href=(path::STORAGE) { (problem.about) } },
        ProblemKind::CertificateExpired | ProblemKind::CertificateExpiring => said(&problem.about),
    }
}

fn active(overview: &Overview) -> Markup {
    let body = html! {
        @if overview.active.is_empty() { (no_job(overview)) }
        @for job in &overview.active { (active_job(job, overview)) }
        @if overview.more_active > 0 {
            p.quiet { "and " (overview.more_active) " more; " a href=(path::JOBS) { "see all jobs" } }
        }
    };
    panel("running", "Running and waiting", &body)
}

fn no_job(overview: &Overview) -> Markup {
    if overview.institutions.enrolled == 0 && overview.institutions.invited == 0 {
        return empty(
            "No institution has been invited yet.",
            "Invite the first one; its engineer joins with the token that this command writes.",
            "eosfed institution invite west --token-file west.token",
        );
    }
    empty(
        "No job is under way.",
        "A job is described by a plan. Check it, then submit it:",
        "eosfed job check plan.toml\neosfed job submit plan.toml --watch",
    )
}

fn active_job(active: &ActiveJob, overview: &Overview) -> Markup {
    let ActiveJob { job, why, .. } = active;
    html! {
        article.job {
            div.title {
                h3 { a href={ (path::JOBS) "/" (job.id) } { (said(&job.name)) } }
                (job_state(job.state))
                span.of { (job.kind) " · " (job.id) }
            }
            @if let Some(why) = why { p.why { (said(why)) } }
            @if let Some(round) = &job.current {
                div.line {
                    span { "Round " (round.index + 1) " of " (job.rounds)
                        @if round.attempt > 1 { ", attempt " (round.attempt) } }
                    (round_phase(round.phase))
                    (progress("Rounds complete", job.complete_rounds.into(), job.rounds.into()))
                }
                (counts(&round.participants))
                p.of { (waiting(active)) " Deadline " (relative(round.deadline, overview.at))
                    " (" (span(round.deadline.since(round.opened_at))) " in all)." }
            }
        }
    }
}

/// For whom a job waits, and how many answers it needs.
fn waiting(active: &ActiveJob) -> Markup {
    let have = active.job.current.as_ref().map_or(0, |round| round.participants.submitted);
    html! {
        (have) " of " (active.needed) " needed results are here. "
        @if !active.waits_for.is_empty() {
            "Waits for "
            @for (place, name) in active.waits_for.iter().enumerate() {
                @if place > 0 { ", " }
                a href={ (path::INSTITUTIONS) "/" (name) } { (name) }
            }
            @if active.waits_for_more > 0 { " and " (active.waits_for_more) " more" }
            "."
        }
    }
}

fn latest(overview: &Overview) -> Markup {
    let Some(release) = &overview.latest_release else { return html! {} };
    let body = html! {
        p { (release_link(release.number)) ", " (relative(release.created_at, overview.at)) ", "
            (counted(release.specialists, "specialist")) }
        @if !release.note.is_empty() { p.of { (said(&release.note)) } }
    };
    panel("latest", "Latest release", &body)
}
