//! Institutions: who is here, and until when their certificates count.

use eosfed_common::clock::Timestamp;
use eosfed_common::data_statement::StatedDataSet;
use eosfed_common::view::{InstitutionView, Presence, SharedPolicyView, StatedDataView};
use maud::{Markup, Render as _, html};

use super::events::{EventLine, event_table};
use super::path;
use crate::format::{bytes, exact, relative};
use crate::layout::{Content, Shell};
use crate::parts::{
    Pager, Tone, badge, empty, facts, heading, maybe, none, numbers, panel, said, shell_command, table, words,
};

/// A page of the list of institutions.
#[must_use]
pub fn institutions(shell: &Shell, institutions: &[InstitutionView], pager: &Pager) -> String {
    let now = shell.now;
    let rows: Vec<Vec<Markup>> = institutions.iter().map(|one| row(one, now)).collect();
    let columns = [
        words("Institution"),
        words("State"),
        words("Last seen"),
        words("Version"),
        words("Certificate until"),
        numbers("Received"),
    ];
    let body = html! {
        (heading(&html! { "Institutions" }, &html! {}, &html! {}))
        section.panel id="list" aria-label="Institutions" {
            @if rows.is_empty() {
                (empty(
                    "No institution has been invited yet.",
                    "The token is used once; give it to the institution's engineer on a safe way.",
                    "eosfed institution invite west --token-file west.token",
                ))
            } @else {
                (table("Institutions", &columns, &rows))
                (pager.render())
            }
        }
    };
    shell.document(&Content { title: "Institutions".to_owned(), section: path::INSTITUTIONS, body })
}

/// Whether an institution is here.
fn presence(one: &InstitutionView, now: Timestamp) -> Markup {
    match one.presence(now) {
        Presence::Online => badge(Tone::Good, "online"),
        Presence::Away => badge(Tone::Calm, "away"),
        Presence::Silent => badge(Tone::Warn, "silent"),
        Presence::Invited => badge(Tone::Calm, "invited"),
        Presence::InvitationExpired => badge(Tone::Warn, "invitation expired"),
        Presence::Revoked => badge(Tone::Bad, "revoked"),
    }
}

/// Bytes received, of all kinds.
const fn received(one: &InstitutionView) -> u64 {
    one.received.weights.saturating_add(one.received.metrics).saturating_add(one.received.control)
}

fn row(one: &InstitutionView, now: Timestamp) -> Vec<Markup> {
    vec![
        html! { a href={ (path::INSTITUTIONS) "/" (one.name) } { (one.name) } },
        presence(one, now),
        maybe(one.last_seen, |at| relative(at, now)),
        maybe(one.version.as_deref(), said),
        maybe(one.certificate_expires_at, |at| expiry(at, now)),
        html! { (bytes(received(one))) },
    ]
}

/// Seconds before its end from which a certificate is shown as expiring: a week.
const EXPIRING: u64 = 7 * 86_400;

/// Until when a certificate counts.
fn expiry(at: Timestamp, now: Timestamp) -> Markup {
    let tone = if at <= now {
        Some(Tone::Bad)
    } else if at.since(now).as_secs() < EXPIRING {
        Some(Tone::Warn)
    } else {
        None
    };
    html! {
        @match tone {
            Some(tone) => span class={ "badge " (tone.class()) } { (relative(at, now)) },
            None => (relative(at, now)),
        }
    }
}

/// What the page of an institution shows.
#[derive(Debug)]
pub struct InstitutionPage<'a> {
    /// The institution.
    pub institution: &'a InstitutionView,
    /// Its newest events.
    pub events: &'a [EventLine],
}

/// The page of an institution.
#[must_use]
pub fn institution(shell: &Shell, page: &InstitutionPage<'_>) -> String {
    let InstitutionPage { institution: one, events } = page;
    let now = shell.now;
    let body = html! {
        (heading(&said(one.name.as_str()), &presence(one, now), &html! {}))
        (panel("access", "Access", &access(one, now)))
        @if let Some(data) = &one.data { (panel("data", "What it says of its data set", &stated(data))) }
        (panel("policy", "What its policy allows", &match &one.policy {
            Some(shared) => policy(shared),
            None => html! {
                p { "This institution shares nothing of its policy. What it does not allow shows where it declines \
                     work: each refusal says which rules object, as far as the institution tells. Its policy decides \
                     what it shares (the word " code { "policy_summary" } ")." }
            },
        }))
        (panel("traffic", "Since the coordinator was started", &facts(&[
            ("Last seen", maybe(one.last_seen, |at| relative(at, now))),
            ("Version", maybe(one.version.as_deref(), said)),
            ("Weights received", html! { (bytes(one.received.weights)) }),
            ("Metrics received", html! { (bytes(one.received.metrics)) }),
            ("Everything else", html! { (bytes(one.received.control)) }),
        ])))
        (panel("events", "Newest events", &html! {
            (event_table(events, now))
            p { a href={ (path::EVENTS) "?institution=" (one.name) } { "All events about " (one.name) } }
        }))
        (panel("commands", "Commands", &shell_command(&format!(
            "eosfed institution re-enrol {0} --token-file {0}.token\neosfed institution revoke {0} --reason \"…\"", one.name
        ))))
    };
    shell.document(&Content { title: one.name.to_string(), section: path::INSTITUTIONS, body })
}

/// What an institution has said of its data set, signed by it.
fn stated(data: &StatedDataView) -> Markup {
    let one = |said_of: StatedDataSet| {
        let StatedDataSet { dataset, task, bands, classes, samples: _, inventory } = said_of;
        facts(&[
            ("Data set", if dataset.is_empty() { none() } else { said(&dataset) }),
            ("Task", html! { (task.name()) }),
            ("Bands", said(&bands.join(", "))),
            ("Classes", if classes.is_empty() { none() } else { said(&classes.join(", ")) }),
            ("Said and signed", exact(data.stated_at)),
            ("Inventory", html! { code.long { (inventory) } }),
        ])
    };
    html! {
        @for said_of in data.statement.all() { (one(said_of)) }
        @if data.statement.partial { p { "It has other data sets, of which it says nothing." } }
    }
}

/// What an institution shares of its policy, signed by it.
fn policy(shared: &SharedPolicyView) -> Markup {
    let summary = &shared.summary;
    let list = |words: &[String]| if words.is_empty() { none() } else { said(&words.join(", ")) };
    let yes_or_no = |yes: bool| html! { (if yes { "yes" } else { "no" }) };
    html! {
        (facts(&[
            ("Kinds of job", list(&summary.job_kinds)),
            ("Tasks", list(&summary.tasks)),
            ("Backbones", list(&summary.backbones)),
            ("Strategies", list(&summary.strategies)),
            ("Encodings of updates", said(&summary.encodings_in_words())),
            ("May leave", list(&summary.may_leave)),
            ("Fewest institutions", html! { (summary.min_institutions) }),
            ("Most epochs", html! { (summary.max_epochs) }),
            ("Its update alone published", yes_or_no(summary.individual_updates)),
            ("Start from sent weights", yes_or_no(summary.warm_start)),
            ("A person approves each job", yes_or_no(summary.manual_approval)),
            ("Updates get noise", yes_or_no(summary.noise)),
            ("Said and signed", exact(shared.shared_at)),
        ]))
        p.of { "As the institution says; its policy itself decides, and has more rules than these." }
    }
}

fn access(one: &InstitutionView, now: Timestamp) -> Markup {
    facts(&[
        ("Enrolled", maybe(one.enrolled_at, exact)),
        ("Invited by", maybe(one.invited_by.as_ref(), |by| html! { (crate::words::actor(by)) })),
        ("Invitation until", maybe(one.invited_until, |at| relative(at, now))),
        (
            "Certificate until",
            maybe(one.certificate_expires_at, |at| html! { (expiry(at, now)) " · " (exact(at)) }),
        ),
        ("Revoked", maybe(one.revoked_at, exact)),
        ("Signing key", one.signing_key.as_ref().map_or_else(none, |key| html! { code.long { (key) } })),
    ])
}
