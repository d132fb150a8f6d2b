//! What the specialists of a release contribute to heads over it.

use eosfed_common::ids::ReleaseNumber;
use eosfed_common::scoring::ScoredPart;
use eosfed_common::view::{AblationView, WithoutView};
use maud::{Markup, html};

use crate::chart::Bars;
use crate::format::{counted, exact, signed, value};
use crate::parts::{empty, numbers, said, shell_command, specialist_link, table_of_some, words};

/// Most specialists that are shown at each end of an ablation.
const MAX_AT_AN_END: usize = 10;

/// The ablations of a release.
pub(super) fn ablations(all: &[AblationView], release: ReleaseNumber) -> Markup {
    if all.is_empty() {
        return empty(
            "Nobody has handed in what these specialists contribute yet.",
            "The trainer measures it where labelled samples are: the score of a head without each of its specialists. An operator hands the file in:",
            &format!(
                "eosfed-trainer ensemble ablate heads/top5 --data labelled --output ablation\neosfed release ablation {release} ablation"
            ),
        );
    }
    html! { @for one in all { (ablation(one, release)) } }
}

fn ablation(one: &AblationView, release: ReleaseNumber) -> Markup {
    let shown = ends(&one.without);
    let hidden = one.without.len() - shown.len();
    let bars = Bars::over(shown.iter().map(|one| one.gain.get()));
    let columns = [
        words("Specialist"),
        numbers("Weight"),
        numbers("Score without it"),
        numbers("Contributes"),
        words("Effect"),
    ];
    let rows: Vec<Vec<Option<Markup>>> = shown.iter().map(|one| row(one, &bars)).collect();
    html! {
        section.ablation {
            h3 { (said(&one.head)) }
            p.of { (scored(one)) }
            (table_of_some(&format!("What each specialist contributes to {}", one.head), &columns, &rows))
            @if hidden > 0 {
                p.of { "These help most and least; " (hidden) " lie between them:" }
                (shell_command(&format!("eosfed release show {release}")))
            }
            p.of { "Handed in by " (one.recorded_by) " on " (exact(one.recorded_at)) "." }
        }
    }
}

/// Those that help most and those that help least.
fn ends(all: &[WithoutView]) -> Vec<&WithoutView> {
    if all.len() <= 2 * MAX_AT_AN_END {
        return all.iter().collect();
    }
    let (first, last) = (&all[..MAX_AT_AN_END], &all[all.len() - MAX_AT_AN_END..]);
    first.iter().chain(last).collect()
}

/// What was scored, and how well with all specialists.
fn scored(one: &AblationView) -> Markup {
    let part = match one.part {
        ScoredPart::Test => "test",
        ScoredPart::Validation => "validation (which also chooses the epoch)",
    };
    let better = if one.larger_is_better { "larger is better" } else { "smaller is better" };
    html! {
        (one.task.name()) ": " (one.metric) " " strong { (value(one.all.get())) }
        @if !one.unit.is_empty() { " " (said(&one.unit)) }
        " with all of " (counted(one.without.len(), "specialist")) " (" (better) "), " (counted(one.samples, "sample")) " of the " (part) " part."
    }
}

fn row(one: &WithoutView, bars: &Bars) -> Vec<Option<Markup>> {
    let gain = one.gain.get();
    let effect = match gain {
        gain if gain > 0.0 => "helps",
        gain if gain < 0.0 => "better without it",
        _ => "no difference",
    };
    vec![
        Some(specialist_link(&one.specialist)),
        one.selection.map(|factor| html! { (value(factor.get())) }),
        Some(html! { (value(one.score.get())) }),
        Some(html! { (signed(gain)) }),
        Some(html! { span.effect { (bars.bar(gain)) span { (effect) } } }),
    ]
}
