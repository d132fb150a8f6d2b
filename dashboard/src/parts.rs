//! The parts that pages are made of.

use eosfed_common::card::Energy;
use eosfed_common::digest::Digest;
use eosfed_common::finite::Finite;
use eosfed_common::time_spent::TimeSpent;
use eosfed_common::view::{JobState, ParticipantCounts, ParticipantState, ParticipantView, RoundPhase};
use maud::{Markup, Render, html};

use crate::format;

/// Text that somebody has written. Its direction does not change that of the text around it.
pub(crate) fn said(text: &str) -> Markup {
    html! { bdi { (text) } }
}

/// A sentence of a log. Times do not break; a digest is cut where it is told from others, and is whole as a tooltip.
pub(crate) fn logged(text: &str) -> Markup {
    html! {
        bdi {
            @for (place, word) in text.split(' ').enumerate() {
                @if place > 0 { " " }
                @if is_time(word) {
                    (format::time(word))
                } @else if word.parse::<Digest>().is_ok() {
                    code.whole title=(word) { (&word[..DIGEST_BEGIN]) "…" }
                } @else {
                    (word)
                }
            }
        }
    }
}

/// Characters of a digest that are shown: its algorithm and 16 digits.
const DIGEST_BEGIN: usize = "sha256:".len() + 16;

/// Whether a word has the form in which times are written.
fn is_time(word: &str) -> bool {
    const FORM: &str = "0000-00-00T00:00:00Z";
    let fits = |(one, form): (u8, u8)| if form == b'0' { one.is_ascii_digit() } else { one == form };
    word.len() == FORM.len() && word.bytes().zip(FORM.bytes()).all(fits)
}

/// What a missing value is shown as, for eyes and for screen readers.
pub(crate) fn none() -> Markup {
    html! { span.none { span aria-hidden="true" { "–" } span.unseen { "none" } } }
}

/// A value, if there is one.
pub(crate) fn maybe<T>(value: Option<T>, show: impl FnOnce(T) -> Markup) -> Markup {
    value.map_or_else(none, show)
}

/// How good or bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// Under way.
    Busy,
    /// Somebody should look at it.
    Warn,
    /// It has failed.
    Bad,
    /// Neither.
    Calm,
}

impl Tone {
    /// The name of its style.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Busy => "busy",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Calm => "calm",
        }
    }
}

/// A word with a colour. The word alone says all.
pub(crate) fn badge(tone: Tone, text: &str) -> Markup {
    html! { span class={ "badge " (tone.class()) } { (text) } }
}

/// The state of a job.
pub(crate) fn job_state(state: JobState) -> Markup {
    let tone = match state {
        JobState::Preparing | JobState::Running | JobState::Aggregating => Tone::Busy,
        JobState::Paused => Tone::Warn,
        JobState::Finished => Tone::Good,
        JobState::Cancelled => Tone::Calm,
    };
    badge(tone, &state.to_string())
}

/// The phase of a round.
pub(crate) fn round_phase(phase: RoundPhase) -> Markup {
    let tone = match phase {
        RoundPhase::Recruiting | RoundPhase::Training | RoundPhase::Aggregating => Tone::Busy,
        RoundPhase::Paused | RoundPhase::Incomplete => Tone::Warn,
        RoundPhase::Complete => Tone::Good,
    };
    badge(tone, &phase.to_string())
}

/// The status of an institution in a round.
pub(crate) fn participant_state(one: &ParticipantView) -> Markup {
    let tone = match one.state {
        ParticipantState::Offered => Tone::Calm,
        ParticipantState::Working => Tone::Busy,
        ParticipantState::Submitted => Tone::Good,
        ParticipantState::Refused => Tone::Warn,
        ParticipantState::Rejected | ParticipantState::Failed => Tone::Bad,
    };
    badge(tone, &one.shown_state())
}

/// A panel of a page, with a heading. The id is unique on its page.
pub(crate) fn panel(id: &str, title: &str, body: &Markup) -> Markup {
    let heading = format!("{id}-title");
    html! {
        section.panel id=(id) aria-labelledby=(heading) {
            h2 id=(heading) { (title) }
            (body)
        }
    }
}

/// The heading of a page, with what is said beside it and below.
pub(crate) fn heading(title: &Markup, beside: &Markup, below: &Markup) -> Markup {
    html! {
        header.heading id="heading" {
            div.title { h1 { (title) } (beside) }
            (below)
        }
    }
}

/// What to do when there is nothing to show, with the next command.
pub(crate) fn empty(what: &str, then: &str, command: &str) -> Markup {
    html! {
        div.empty {
            p { strong { (what) } }
            p { (then) }
            (shell_command(command))
        }
    }
}

/// A command to be typed.
pub(crate) fn shell_command(command: &str) -> Markup {
    html! { pre.command { code { (command) } } }
}

/// Names with their values.
pub(crate) fn facts(entries: &[(&str, Markup)]) -> Markup {
    html! {
        dl.facts {
            @for (name, value) in entries {
                div { dt { (name) } dd { (value) } }
            }
        }
    }
}

/// A few numbers, large.
pub(crate) fn tiles(id: &str, tiles: &[Tile]) -> Markup {
    html! {
        ul.tiles id=(id) {
            @for tile in tiles { li { (tile) } }
        }
    }
}

/// One large number.
#[derive(Debug)]
pub(crate) struct Tile {
    /// What it counts.
    pub(crate) name: &'static str,
    /// The number.
    pub(crate) value: String,
    /// What is said below.
    pub(crate) note: Markup,
    /// The page with more.
    pub(crate) href: Option<&'static str>,
    /// How good or bad it is.
    pub(crate) tone: Tone,
}

impl Render for Tile {
    fn render(&self) -> Markup {
        let Self { name, value, note, href, tone } = self;
        html! {
            div class={ "tile " (tone.class()) } {
                span.name { @if let Some(href) = href { a href=(href) { (name) } } @else { (name) } }
                span.value { (value) }
                span.note { (note) }
            }
        }
    }
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// The title.
    pub(crate) title: &'static str,
    /// Whether it has numbers, which are aligned at their ends.
    pub(crate) number: bool,
}

/// A column of words.
pub(crate) const fn words(title: &'static str) -> Column {
    Column { title, number: false }
}

/// A column of numbers.
pub(crate) const fn numbers(title: &'static str) -> Column {
    Column { title, number: true }
}

/// A table; the first cell of each row is its heading. On narrow screens each row is a block.
pub(crate) fn table(caption: &str, columns: &[Column], rows: &[Vec<Markup>]) -> Markup {
    let class = |column: &Column| column.number.then_some("number");
    html! {
        table role="table" {
            caption.unseen { (caption) }
            thead role="rowgroup" {
                tr role="row" {
                    @for column in columns {
                        th role="columnheader" scope="col" class=[class(column)] { (column.title) }
                    }
                }
            }
            tbody role="rowgroup" {
                @for row in rows {
                    tr role="row" {
                        @for (place, (column, cell)) in columns.iter().zip(row).enumerate() {
                            @if place == 0 {
                                th role="rowheader" scope="row" class=[class(column)] { (cell) }
                            } @else {
                                td role="cell" class=[class(column)] data-label=(column.title) { (cell) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A table without the columns in which no row has a value.
pub(crate) fn table_of_some(caption: &str, columns: &[Column], rows: &[Vec<Option<Markup>>]) -> Markup {
    let used: Vec<usize> =
        (0..columns.len()).filter(|place| rows.iter().any(|row| row[*place].is_some())).collect();
    let columns: Vec<Column> = used.iter().map(|place| columns[*place]).collect();
    let shown = |row: &Vec<Option<Markup>>| {
        used.iter().map(|place| row[*place].clone().unwrap_or_else(none)).collect::<Vec<_>>()
    };
    table(caption, &columns, &rows.iter().map(shown).collect::<Vec<_>>())
}

/// A bar of progress, with its counts as text.
pub(crate) fn progress(name: &str, done: u64, all: u64) -> Markup {
    progress_as(name, done, all, format::count)
}

/// A bar of progress, with its numbers in this form.
pub(crate) fn progress_as(name: &str, done: u64, all: u64, shown: fn(u64) -> String) -> Markup {
    if all == 0 {
        return none();
    }
    html! {
        span.progress {
            progress value=(done.min(all)) max=(all) aria-label=(name) {}
            span.of { (shown(done)) " / " (shown(all)) }
        }
    }
}

/// A bar of the statuses of a round's institutions, with the same numbers as words.
pub(crate) fn counts(counts: &ParticipantCounts) -> Markup {
    let all = counts.asked();
    if all == 0 {
        return html! { span.none { "nobody was asked" } };
    }
    let entries = [
        (counts.submitted, "submitted", "good"),
        (counts.working, "working", "busy"),
        (counts.offered, "not answered", "calm"),
        (counts.refused, "declined", "warn"),
        (counts.rejected, "rejected", "bad"),
        (counts.failed, "failed", "bad"),
    ];
    let shown: Vec<_> = entries.into_iter().filter(|(number, _, _)| *number > 0).collect();
    let text: Vec<String> = shown.iter().map(|(number, what, _)| format!("{number} {what}")).collect();
    let from = |place: usize| shown[..place].iter().map(|(number, _, _)| number).sum::<u32>();
    html! {
        span.share {
            svg viewBox={ "0 0 " (all) " 1" } preserveAspectRatio="none" aria-hidden="true" focusable="false" {
                @for (place, (number, _, class)) in shown.iter().enumerate() {
                    rect class=(class) x=(from(place)) y="0" width=(number) height="1" {}
                }
            }
            span.of { (text.join(", ")) }
        }
    }
}

/// A pager: where the next page is, and how much comes after this one.
#[derive(Debug, Clone, Default)]
pub struct Pager {
    /// The address of the first page, if this is another.
    pub first: Option<String>,
    /// The address of the next page, if there is one.
    pub next: Option<String>,
    /// How many entries come after this page.
    pub remaining: u64,
}

impl Render for Pager {
    fn render(&self) -> Markup {
        if self.first.is_none() && self.next.is_none() {
            return html! {};
        }
        html! {
            nav.pager aria-label="Pages of this list" {
                @if let Some(first) = &self.first { a href=(first) { "First page" } }
                @if let Some(next) = &self.next {
                    a href=(next) rel="next" { "Next page" }
                    @if self.remaining > 0 { span.of { (format::count(self.remaining)) " more" } }
                }
            }
        }
    }
}

/// Most metrics in one cell.
const MAX_METRICS: usize = 3;

/// Metrics with their values; those of single classes are left to the page that has room for them.
pub(crate) fn metrics<'a>(metrics: impl IntoIterator<Item = (&'a String, &'a Finite)>) -> Markup {
    let all: Vec<_> = metrics.into_iter().filter(|(name, _)| !name.contains('/')).collect();
    if all.is_empty() {
        return none();
    }
    html! {
        span.metrics {
            @for (name, value) in all.iter().take(MAX_METRICS) {
                span { span.of { (name) } " " (format::value(value.get())) }
            }
        }
    }
}

/// Energy, if any was reported.
pub(crate) fn energy(energy: Option<Energy>) -> Markup {
    maybe(energy, |energy| html! { span.amount { (format::energy(energy)) } })
}

/// What the time of a training was spent on.
pub(crate) fn time(spent: Option<TimeSpent>) -> Markup {
    maybe(spent, |spent| html! { span.amount { (spent) } })
}

/// A link to a job.
pub(crate) fn job_link(id: &str) -> Markup {
    html! { a.id href={ "/jobs/" (id) } { (id) } }
}

/// A link to a specialist, of which the reference is `NAME@VERSION`.
pub(crate) fn specialist_link(reference: &str) -> Markup {
    html! { a href={ "/specialists/" (reference) } { (reference) } }
}

/// A link to a release.
pub(crate) fn release_link(number: impl std::fmt::Display) -> Markup {
    html! { a href={ "/releases/" (number) } { "release " (number) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_digests_of_a_log_do_not_break() {
        let digits = "2e6fea653957968f89ed7a9117492205602c6983f1f7f83d447dabd576926f87";
        let text = format!("for 1 round until 2026-12-27T09:43:02Z terms: sha256:{digits} <b>");
        let html = logged(&text).into_string();
        let time = "<time datetime=\"2026-12-27T09:43:02Z\">2026-12-27 09:43:02 UTC</time>";
        assert!(html.contains(time), "{html}");
        let digest =
            format!("<code class=\"whole\" title=\"sha256:{digits}\">sha256:2e6fea653957968f…</code>");
        assert!(html.contains(&digest) && html.ends_with(" &lt;b&gt;</bdi>"), "{html}");
        for odd in ["2026-12-27T09:43:02", "2026-12-27T09:43:0äZ", "sha256:2e6f", "", "  ", "sha256:"] {
            let html = logged(odd).into_string();
            assert_eq!(html, format!("<bdi>{odd}</bdi>"));
        }
    }
}
