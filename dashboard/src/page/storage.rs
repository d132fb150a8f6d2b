//! Storage: how full the disk is, and what is kept for how long.

use std::time::Duration;

use eosfed_common::view::DiskView;
use maud::{Markup, html};

use super::path;
use crate::format::{bytes, count, span};
use crate::layout::{Content, Shell};
use crate::parts::{facts, heading, maybe, panel, progress, said, shell_command};

/// What the page of storage shows.
#[derive(Debug)]
pub struct StoragePage<'a> {
    /// The state folder.
    pub folder: &'a str,
    /// Its disk.
    pub disk: Option<DiskView>,
    /// The number of blobs that are published or that running jobs need, and their bytes.
    pub blobs: (u64, u64),
    /// The same of updates and starting weights of closed rounds.
    pub updates: (u64, u64),
    /// How long these are kept after their round has closed.
    pub keep_updates_for: Duration,
    /// How many events the ledger has.
    pub events: u64,
}

/// The page of storage.
#[must_use]
pub fn storage(shell: &Shell, page: &StoragePage<'_>) -> String {
    let kept = |(number, size): (u64, u64)| html! { (count(number)) " files, " (bytes(size)) };
    let body = html! {
        (heading(&html! { "Storage" }, &html! {}, &html! {}))
        (panel("disk", "Disk", &facts(&[
            ("State folder", html! { code.long { (said(page.folder)) } }),
            ("Free", maybe(page.disk, |disk| html! { (bytes(disk.free)) " of " (bytes(disk.total)) })),
            ("Used", maybe(page.disk, used)),
        ])))
        (panel("kept", "What is kept", &facts(&[
            ("Published, or needed by running jobs", kept(page.blobs)),
            ("Of closed rounds, for audits and forks", kept(page.updates)),
            ("Kept after a round has closed", html! { (span(page.keep_updates_for)) }),
            ("Events in the ledger", html! { (count(page.events)) }),
        ])))
        (panel("commands", "Commands", &shell_command("eosfed-coordinator backup --state STATE --to FOLDER\neosfed audit verify")))
    };
    shell.document(&Content { title: "Storage".to_owned(), section: path::STORAGE, body })
}

fn used(disk: DiskView) -> Markup {
    let used = disk.total.saturating_sub(disk.free);
    html! { (progress("Disk used, in MB", used / 1_000_000, disk.total / 1_000_000)) " MB" }
}
