//! One entry of the site log, whole, and its line as it is stored.

use maud::html;

use super::entries::{SiteLine, about_cell, kind_badge};
use super::path;
use crate::format::{count, exact};
use crate::layout::{Content, Shell};
use crate::parts::{facts, heading, maybe, panel, said, shell_command};

/// What the page of an entry shows.
#[derive(Debug)]
pub struct EntryPage<'a> {
    /// Its number.
    pub number: u64,
    /// What it says.
    pub line: &'a SiteLine,
    /// The line of the log, byte for byte.
    pub stored: &'a str,
}

/// The page of an entry.
#[must_use]
pub fn entry(shell: &Shell, page: &EntryPage<'_>) -> String {
    let title = format!("Entry {}", count(page.number));
    let (kind, at, about, lines) = match page.line {
        SiteLine::Entry(entry) => (&*entry.kind, Some(entry.at), Some(&entry.about), &*entry.lines),
        SiteLine::Unreadable(_) => ("unreadable", None, None, &[][..]),
    };
    let body = html! {
        (heading(&html! { (title) }, &kind_badge(kind), &html! {}))
        (panel("about", "About", &facts(&[
            ("Written", maybe(at, exact)),
            ("About", maybe(about, about_cell)),
        ])))
        @if !lines.is_empty() {
            (panel("says", "What it says", &html! { ul { @for line in lines { li { (said(line)) } } } }))
        }
        (panel("stored", "As it is stored", &html! {
            p.of { "This is the line of the site log, byte for byte. Its " code { "hash" } " is chained to the entry before it." }
            pre.command { code { (said(page.stored)) } }
        }))
        (panel("commands", "Commands", &shell_command("eosfed-client log verify --state STATE")))
    };
    shell.document(&Content { title, section: path::LOG, body })
}
