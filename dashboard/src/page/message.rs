//! A page that says one thing: what was refused, and what to do.

use maud::html;

use crate::layout::{Content, Shell};
use crate::parts::{heading, said, shell_command};

/// What a page says.
#[derive(Debug)]
pub struct Message<'a> {
    /// The title.
    pub title: &'a str,
    /// What has happened, in a sentence.
    pub text: &'a str,
    /// The command that helps, if one does.
    pub command: Option<&'a str>,
}

impl Message<'static> {
    /// No stream of changes is free.
    pub const TOO_MANY: Self = Self {
        title: "Too many live pages",
        text: "Too many pages are live already. This one is loaded again every half minute.",
        command: None,
    };
}

/// A page that says one thing.
#[must_use]
pub fn message(shell: &Shell, message: &Message<'_>) -> String {
    let Message { title, text, command } = message;
    let body = html! {
        (heading(&html! { (title) }, &html! {}, &html! { p.lead { (said(text)) } }))
        @if let Some(command) = command { section id="then" { (shell_command(command)) } }
    };
    shell.document(&Content { title: (*title).to_owned(), section: "", body })
}
