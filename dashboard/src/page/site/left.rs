//! What has left the institution: each file and each record, with its digest, its bytes and the permission.

use eosfed_common::clock::Timestamp;
use eosfed_common::digest::Digest;
use eosfed_common::traffic::ByteCounts;
use maud::{Markup, Render as _, html};

use super::entries::{About, about_cell, entry_link};
use super::path;
use crate::format::{bytes, count, exact, relative};
use crate::layout::{Content, Shell};
use crate::parts::{
    Pager, Tile, Tone, badge, empty, heading, maybe, none, numbers, said, table, tiles, words,
};

/// Whether the bytes that have left are still here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The file is here, and can be downloaded.
    Here,
    /// The file was removed after its work had ended.
    NoLonger,
    /// It was a message, of which this log entry is kept and not the bytes.
    Never,
}

/// A record that has left.
#[derive(Debug, Clone)]
pub struct Left {
    /// When it began to leave.
    pub at: Timestamp,
    /// Its kind, such as `weights`.
    pub record: String,
    /// A few words about it.
    pub what: String,
    /// Its bytes; absent where it is a part of many messages.
    pub bytes: Option<u64>,
    /// The digest of the weights that it is or belongs to.
    pub weights: Option<Digest>,
    /// The words of `may_leave` that allow it.
    pub words: Vec<String>,
    /// What it is a result of.
    pub about: About,
    /// Whether the coordinator has confirmed it. Parts of heartbeats are not confirmed by themselves.
    pub arrived: bool,
    /// Whether the bytes are still here.
    pub kept: Kept,
}

/// What the page shows.
#[derive(Debug)]
pub struct LeftPage<'a> {
    /// The records with the numbers of their entries, newest first.
    pub records: &'a [(u64, Left)],
    /// All bytes that the daemon has sent.
    pub sent: ByteCounts,
    /// What is wrong with the log.
    pub error: Option<&'a str>,
    /// Whether the search has ended before the beginning of the log, at the limit of one page.
    pub cut: bool,
    /// Where the earlier ones are.
    pub pager: Pager,
}

/// What has left.
#[must_use]
pub fn left(shell: &Shell, page: &LeftPage<'_>) -> String {
    let lead = html! {
        p.lead { "Imagery and labels never leave. Everything that left is below, written down before its first byte was sent." }
    };
    let body = html! {
        (heading(&html! { "What has left" }, &html! {}, &lead))
        (sent_tiles(page.sent))
        section.panel id="list" aria-label="Records that have left" {
            @if let Some(error) = page.error { p.error role="alert" { (said(error)) } }
            (records(page.records, shell.now))
            @if page.cut { p.quiet { "The search for this page has ended here; earlier records are on the next page." } }
            (page.pager.render())
        }
        section.panel id="kept" aria-labelledby="kept-title" {
            h2 id="kept-title" { "Byte for byte" }
            p { "A file of weights that is still here can be downloaded as it was sent; its SHA-256 is the digest beside it. \
                 The daemon removes the files of an assignment when it has ended. Then the digest is what is left: the \
                 coordinator cannot have received other bytes under it." }
            p { "Messages are not kept. Their entry of the site log has their size and what was in them." }
        }
    };
    shell.document(&Content { title: "What has left".to_owned(), section: path::LEFT, body })
}

/// Bytes by kind.
pub(super) fn sent_tiles(sent: ByteCounts) -> Markup {
    let tile = |name, size: u64, note: &str| Tile {
        name,
        value: bytes(size),
        note: html! { (note) span.under { (count(size)) " bytes" } },
        href: None,
        tone: Tone::Calm,
    };
    tiles(
        "sent",
        &[
            tile("Weights", sent.weights, "files of weights"),
            tile("Reports", sent.metrics, "progress, metrics, statistics, scores, failures"),
            tile("Everything else", sent.control, "greetings, polls, acceptances, refusals"),
        ],
    )
}

/// A table of records that have left.
pub(super) fn records(records: &[(u64, Left)], now: Timestamp) -> Markup {
    if records.is_empty() {
        return empty(
            "Nothing has left yet.",
            "What may leave is a word in the policy. This command says what each word means:",
            "eosfed-client policy explain --policy STATE/policy.toml",
        );
    }
    let columns = [
        words("Entry"),
        words("When"),
        words("What"),
        numbers("Bytes"),
        words("Allowed by"),
        words("Result of"),
        words("The bytes"),
    ];
    let rows: Vec<Vec<Markup>> = records.iter().map(|(number, one)| row(*number, one, now)).collect();
    table("Records that have left", &columns, &rows)
}

fn row(number: u64, one: &Left, now: Timestamp) -> Vec<Markup> {
    vec![
        entry_link(number),
        html! { (relative(one.at, now)) span.under { (exact(one.at)) } },
        html! {
            strong { (said(&one.record)) } " " @if one.arrived { (badge(Tone::Good, "arrived")) }
            span.under { (said(&one.what)) }
            @if let Some(digest) = &one.weights { span.under { code.long { (digest) } } }
        },
        maybe(one.bytes, |size| html! { (count(size)) }),
        html! { span { @for word in &one.words { code { (word) } " " } } },
        about_cell(&one.about),
        match one.kept {
            Kept::Here => html! { a href={ (path::KEPT) "/" (number) } { "Download" } },
            Kept::NoLonger => html! { span.quiet { "no longer kept here" } },
            Kept::Never if one.bytes.is_some() => html! { span.quiet { "a message, not kept" } },
            Kept::Never => none(),
        },
    ]
}
