//! Storage: how full the disk is, what is kept for what, and what is removed next.

use std::time::Duration;

use eosfed_common::ledger::PruneRule;
use eosfed_common::view::{BackupsView, DiskView, JobStorage, KeptFor, PruneView, StorageView, StoredKind};
use maud::{Markup, html};

use super::path;
use crate::format::{bytes, count, counted, relative, span};
use crate::layout::{Content, Shell};
use crate::parts::{
    Pager, facts, heading, job_link, maybe, numbers, panel, progress_as, said, shell_command, table, words,
};

/// Rounds that are listed.
const SHOWN: usize = 20;

/// What the page of storage shows.
#[derive(Debug)]
pub struct StoragePage<'a> {
    /// The state folder.
    pub folder: &'a str,
    /// What is stored there, with a part of the jobs.
    pub storage: &'a StorageView,
    /// The other jobs.
    pub pager: Pager,
}

/// The page of storage.
#[must_use]
pub fn storage(shell: &Shell, page: &StoragePage<'_>) -> String {
    let StorageView { disk, store_bytes, events, backups, next, .. } = page.storage;
    let body = html! {
        (heading(&html! { "Storage" }, &html! {}, &html! {}))
        (panel("disk", "Disk", &facts(&[
            ("State folder", html! { code.long { (said(page.folder)) } }),
            ("Free", maybe(*disk, |disk| html! { (bytes(disk.free_bytes)) " of " (bytes(disk.total_bytes)) })),
            ("Used", maybe(*disk, used)),
            ("Records and ledger", maybe(*store_bytes, |size| html! { (bytes(size)) })),
            ("Events in the ledger", html! { (count(*events)) }),
            ("Backups", maybe(backups.as_ref(), found)),
        ])))
        (panel("kept", "What is kept", &kinds(page.storage)))
        (panel("jobs", "Closed rounds", &jobs(page.storage, &page.pager)))
        (panel("next", "Removed next", &pruned(next)))
        (panel("commands", "Commands", &shell_command("eosfed storage show\neosfed storage prune --dry-run\neosfed-coordinator backup --state STATE --to FOLDER\neosfed audit verify")))
    };
    shell.document(&Content { title: "Storage".to_owned(), section: path::STORAGE, body })
}

fn used(disk: DiskView) -> Markup {
    let used = disk.total_bytes.saturating_sub(disk.free_bytes);
    html! { (progress_as("Disk used", used, disk.total_bytes, bytes)) }
}

fn found(backups: &BackupsView) -> Markup {
    html! {
        (count(u64::from(backups.number))) " in " code.long { (said(&backups.folder)) } ", " (bytes(backups.bytes))
        @if let Some(newest) = &backups.newest { ", the newest " (said(newest)) }
    }
}

const fn words_of(kind: KeptFor) -> &'static str {
    match kind {
        KeptFor::ReleasedSpecialists => "Released specialists",
        KeptFor::Specialists => "Other specialists",
        KeptFor::Heads => "Heads",
        KeptFor::OpenJobs => "Jobs under way",
        KeptFor::Updates => "Updates of closed rounds",
        KeptFor::GlobalWeights => "What closed rounds started from",
        KeptFor::Other => "Uploads, and what the next sweep removes",
    }
}

fn kinds(storage: &StorageView) -> Markup {
    let row = |kind: &StoredKind| {
        let oldest = maybe(kind.oldest, |at| relative(at, storage.at));
        row(html! { (words_of(kind.kind)) }, kind.files, kind.bytes, oldest)
    };
    let mut rows: Vec<_> = storage.kinds.iter().map(row).collect();
    rows.push(self::row(html! { "All weights" }, storage.files, storage.bytes, html! {}));
    let columns = [words("Kept for"), numbers("Files"), numbers("Size"), words("Oldest")];
    table("What is kept", &columns, &rows)
}

fn row(what: Markup, files: u64, size: u64, oldest: Markup) -> Vec<Markup> {
    vec![what, html! { (count(files)) }, html! { (bytes(size)) }, oldest]
}

fn jobs(storage: &StorageView, pager: &Pager) -> Markup {
    let kept_for = storage.keep_updates_for_seconds.map(|seconds| span(Duration::from_secs(seconds)));
    let most = storage.keep_updates_bytes.map(bytes);
    let rows: Vec<_> = storage.jobs.iter().map(|one| job(one, storage)).collect();
    let columns = [
        words("Job"),
        numbers("Rounds kept"),
        numbers("Updates"),
        numbers("Size"),
        numbers("Global weights"),
        words("Oldest"),
    ];
    html! {
        p {
            "Closed rounds keep their weights "
            @if let Some(kept_for) = kept_for { "for " (kept_for) } @else { "for ever" }
            @if let Some(most) = most { ", at most " (most) " of them" }
            ". Their records stay."
        }
        @if !rows.is_empty() { (table("Closed rounds by job", &columns, &rows)) }
        (pager)
    }
}

fn job(one: &JobStorage, storage: &StorageView) -> Vec<Markup> {
    vec![
        html! {
            a href={ (path::JOBS) "/" (one.job) } { (said(&one.name)) }
            span.under { (one.job) @if !one.ended { ", under way" } }
        },
        html! { (count(u64::from(one.rounds))) },
        html! { (count(one.updates)) },
        html! { (bytes(one.update_bytes)) },
        html! { (bytes(one.global_bytes)) },
        maybe(one.oldest, |at| relative(at, storage.at)),
    ]
}

fn pruned(next: &PruneView) -> Markup {
    let PruneView { rounds, files, bytes: size, oldest, .. } = next;
    if *rounds == 0 {
        return html! { p.of { "Nothing: no closed round is beyond the limits." } };
    }
    html! {
        p { (counted(*files, "file")) " of " (counted(*rounds, "closed round")) ", " (bytes(*size)) ":" }
        ul {
            @for one in oldest.iter().take(SHOWN) {
                li {
                    (job_link(one.job.as_str())) ", round " (u64::from(one.round) + 1) ", attempt " (one.attempt)
                    ": " (bytes(one.bytes)) ", "
                    @match one.rule {
                        PruneRule::Age => "too old",
                        PruneRule::Size => "the oldest of too many bytes",
                    }
                }
            }
            @if *rounds as usize > oldest.len().min(SHOWN) { li.of { "and more" } }
        }
    }
}
